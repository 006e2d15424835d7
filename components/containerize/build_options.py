"""What the parameter `build_options` may say: where and how a build in the cluster runs."""

from typing import ClassVar, Literal

from pydantic import Field

from kfp_edge.cluster.pod_options import PodOptions, Quantity


class BuildOptions(PodOptions):
    """How a build in the cluster runs; the builds on this machine read none of it."""

    parameter: ClassVar[str] = "build_options"

    #: `s3://BUCKET/PREFIX`, where the build context lies while the build runs.
    context: str = Field("", pattern=r"^(s3://[^/]+(/.*)?)?$")
    #: Who the build runs as; OpenShift Pipelines lets `pipeline` use the SCC that Buildah needs.
    service_account: str = "pipeline"
    #: An image with Buildah, curl, tar and sha256sum.
    builder_image: str = "registry.access.redhat.com/ubi8/buildah:8.10-5"
    storage_driver: Literal["vfs", "overlay"] = "vfs"
    #: A ConfigMap whose `*.crt` are trusted beside the authorities of the builder image.
    ca_bundle: str = ""
    #: A Secret of type kubernetes.io/dockerconfigjson; without it, those linked to the service account count.
    registry_secret: str = ""
    memory: Quantity = "2Gi"
    #: Seconds from the start of the TaskRun to its end.
    timeout: int = Field(1800, ge=1, le=86400)
