"""The Secret with which nodes pull the image of the stages, where the default has no login for its registry.

A parameter names it and has a default, so that one login serves wherever the image is. But a pod that names a pull
secret gets none of its service account, and among those is the login for OpenShift's own registry.
"""

from collections.abc import Mapping
from typing import Any

from kfp_edge.client.submission.package import PipelinePackage
from kfp_edge.errors import ClusterError
from kfp_edge.kubernetes import Cluster
from kfp_edge.prerequisites.images import find_better_pull_secrets
from kfp_edge.prerequisites.namespace import Namespace
from kfp_edge.prerequisites.stage_needs import find_stage_needs

_KIND = "DataSciencePipelinesApplication"


def put_pull_secrets(cluster: Cluster, package: PipelinePackage, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments, with pull secrets of the service account of runs where these are better than the default.

    Args:
        cluster: Where the run will be, and its namespace.
        package: The pipeline.
        arguments: Its parameters. A pull secret that the user names stays.
    """
    defaults = {
        name: definition["defaultValue"]
        for name, definition in package.pipeline.parameters.items()
        if "defaultValue" in definition
    }
    pods = list(find_stage_needs(package.document, {**defaults, **arguments}))
    try:
        names = [each["metadata"]["name"] for each in cluster.list(_KIND)]
        if len(names) != 1:
            return dict(arguments)
        better = find_better_pull_secrets(Namespace(cluster, cluster.namespace), f"pipeline-runner-{names[0]}", pods)
    except ClusterError:
        return dict(arguments)  # `check_run` reports what may not be read
    return {**better, **arguments}
