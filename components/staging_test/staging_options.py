"""What the parameter `staging_options` may say: where and how a candidate's pod runs."""

from typing import ClassVar

from pydantic import Field

from kfp_edge.cluster.pod_options import PodOptions, Quantity


class StagingOptions(PodOptions):
    """Where a candidate's pod runs, as whom, and what it may use; a test on this machine reads none of it."""

    parameter: ClassVar[str] = "staging_options"

    #: The pipeline's own when empty.
    namespace: str = ""
    #: The namespace's `default` when empty. The pod is not given its token either way.
    service_account: str = ""
    #: A Secret of type kubernetes.io/dockerconfigjson in that namespace.
    pull_secret: str = ""
    memory: Quantity = "256Mi"
    #: Seconds after which what is left of a test may be deleted by any other run.
    ttl: int = Field(3600, ge=60)
