"""The parameter `staging_options`: namespace, nodes and resources of a candidate's pod."""

from typing import ClassVar

from pydantic import Field

from kfp_edge.kubernetes.pod_options import PodOptions
from kfp_edge.kubernetes.quantities import Memory


class StagingOptions(PodOptions):
    """Namespace, service account, nodes and resources of a candidate's pod; not used by a test on this machine."""

    parameter: ClassVar[str] = "staging_options"

    namespace: str = ""
    """Namespace of the pod; the pipeline's own if empty."""
    service_account: str = ""
    """Service account of the pod, whose token is not mounted; the namespace's `default` if empty."""
    pull_secret: str = ""
    """Secret of type `kubernetes.io/dockerconfigjson` in that namespace, for pulling the image."""
    memory: Memory = "256Mi"
    """Memory request and limit, a Kubernetes quantity."""
    ttl: int = Field(3600, ge=60)
    """Seconds after which the `clean_up` of any run may delete what is left of the test; at least 60."""
