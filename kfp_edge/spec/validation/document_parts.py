"""Parts of a pipeline's documents, whichever of their two names they have there."""

from typing import Any

from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.validation.lint_findings import join_path


def get_deployment_spec(parent: object) -> dict[str, Any]:
    """Return the deployment spec in a pipeline or platform spec; protobuf keeps it as an uninterpreted `Struct`."""
    return get_mapping(parent, "deploymentSpec", "deployment_spec")


def get_platform_executors(pipeline: PipelineDocument) -> tuple[str, dict[str, Any]]:
    """Return the path of the executors in the platform spec, and their Kubernetes configuration by label."""
    path = join_path(pipeline.platform_path, "platforms", "kubernetes", "deploymentSpec", "executors")
    kubernetes = get_mapping(get_mapping(pipeline.platform, "platforms"), "kubernetes")
    return path, get_mapping(get_deployment_spec(kubernetes), "executors")


def get_pipeline_config(pipeline: PipelineDocument) -> dict[str, str]:
    """Return the settings of a pipeline in its platform spec: the path of each by its key."""
    kubernetes = get_mapping(get_mapping(pipeline.platform, "platforms"), "kubernetes")
    path = join_path(pipeline.platform_path, "platforms", "kubernetes", "pipelineConfig")
    return {key: join_path(path, key) for key in get_mapping(kubernetes, "pipelineConfig", "pipeline_config")}


def get_mapping(parent: object, *names: str) -> dict[str, Any]:
    """Return the mapping that `parent` holds under the first of `names` that it has; an empty one if none."""
    for name in names:
        member = parent.get(name) if isinstance(parent, dict) else None
        if isinstance(member, dict):
            return member
    return {}
