"""Which backend a server is, as far as it or its cluster reports that.

The health check of KFP has the version of a release in `tag_name`. That of OpenShift AI has not: its images are built
without one, so the field is "unknown". But its operator is installed by the Operator Lifecycle Manager, which copies
the ClusterServiceVersion of an operator for the whole cluster into every namespace, where everybody may read it who may
view the project. A cluster may do without the copies (`disableCopiedCSVs`); then the version remains unknown.

Sources: `newHealthzResponse` (backend/src/apiserver/main.go) and Dockerfile.konflux.api of
red-hat-data-services/data-science-pipelines; `csvCopyPrototype` and `aggregate-olm-view` of the Operator Lifecycle
Manager.
"""

import re
from dataclasses import dataclass

from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.errors import ClusterError, KfpApiError
from kfp_edge.kubernetes import Cluster
from kfp_edge.spec.backends.profiles import Backend, find_release

_HEALTH = "/apis/v2beta1/healthz"
_NUMBER = re.compile(r"v?[0-9]+\.[0-9]+.*")
_OPERATOR = "rhods-operator."
#: The copies of what is installed in the namespace of the operator.
_COPIES = "olm.copiedFrom=redhat-ods-operator"


@dataclass(frozen=True)
class ServerVersion:
    """The version of a server.

    Attributes:
        title: The product with its version, such as `OpenShift AI 3.2.1`; empty if it is unknown.
        backend: The backend that it is; None if that is unknown, or has no profile.
    """

    title: str = ""
    backend: Backend | None = None


def find_server_version(api: KfpApi) -> ServerVersion:
    """Return the version of a server.

    Raises:
        KfpApiError: the server cannot be reached, or does not accept the token.
    """
    endpoint = api.endpoint
    if endpoint.is_in_cluster and endpoint.cluster is not None:
        platform = find_platform_version(endpoint.cluster)
        if platform.title:
            return platform
    try:
        tag = str(api.get("ask for the version", _HEALTH).get("tag_name", ""))
    except KfpApiError as error:
        if error.status in (0, 401):
            raise
        return ServerVersion()  # a proxy may refuse what is no call of the API
    return ServerVersion(f"KFP {tag}", find_release("kfp", tag)) if _NUMBER.fullmatch(tag) else ServerVersion()


def find_platform_version(cluster: Cluster) -> ServerVersion:
    """Return the version of OpenShift AI in a cluster; an unknown one while it is being upgraded, too."""
    try:
        copies = cluster.list("ClusterServiceVersion", _COPIES)
    except ClusterError:
        return ServerVersion()  # no OpenShift, or we may not read it
    versions = [
        str(each["spec"]["version"])
        for each in copies
        if each["metadata"]["name"].startswith(_OPERATOR) and each.get("status", {}).get("phase") == "Succeeded"
    ]
    if len(versions) != 1:
        return ServerVersion()
    return ServerVersion(f"OpenShift AI {versions[0]}", find_release("rhoai", versions[0]))
