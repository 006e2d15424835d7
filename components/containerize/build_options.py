"""The parameter `build_options`: where and how a build in the cluster runs."""

from typing import ClassVar, Literal

from pydantic import Field

from kfp_edge.kubernetes.pod_options import ObjectName, OptionalObjectName, PodOptions
from kfp_edge.kubernetes.quantities import Memory

#: Requests and limits of the step that fetches the build context.
FETCH_CPU, FETCH_MEMORY = "500m", "256Mi"


class BuildOptions(PodOptions):
    """How a build in the cluster runs; `append` reads none of it."""

    parameter: ClassVar[str] = "build_options"

    context: str = Field("", pattern=r"^(s3://[^/]+(/.*)?)?$")
    """`s3://BUCKET/PREFIX` for the build context, required. The TaskRun gets a presigned link and no credentials."""
    service_account: ObjectName = "pipeline"
    """Service account of the TaskRun, which must be allowed to use the SCC `pipelines-scc`."""
    builder_image: str = "registry.access.redhat.com/ubi8/buildah:8.10-5"
    """An image with Buildah, curl, tar and sha256sum; name yours by digest."""
    storage_driver: Literal["vfs", "overlay"] = "vfs"
    """Storage driver of Buildah: `vfs`, or `overlay`, which is faster where the nodes allow it. With older Buildah it
    gives another digest; see "Reproducible" in the README."""
    ca_bundle: OptionalObjectName = ""
    """ConfigMap whose `*.crt` are trusted for the registry and the object store, beside the builder image's own CAs."""
    registry_secret: OptionalObjectName = ""
    """Secret of type `kubernetes.io/dockerconfigjson` for the push; if empty, those linked to the service account."""
    pull_secret: OptionalObjectName = ""
    """Secret of type `kubernetes.io/dockerconfigjson` for pulling `builder_image`. If empty, it is `registry_secret`
    where that image is in the registry that is pushed to; elsewhere, those linked to the service account."""
    memory: Memory = "2Gi"
    """Memory request and limit of the step that builds, a Kubernetes quantity."""
    timeout: int = Field(1800, ge=1, le=86400)
    """Seconds from the start of the TaskRun to its end, waiting for a node included; at most 86400."""

    def find_pull_secret(self, pushed_image: str) -> str:
        """Return the pull secret of the pod that pushes `HOST/REPO...`.

        Empty for those of the service account, which Kubernetes uses only where a pod names none.
        """
        registries = {self.builder_image.partition("/")[0], pushed_image.partition("/")[0]}
        return self.pull_secret or (self.registry_secret if len(registries) == 1 else "")
