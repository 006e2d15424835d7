"""All checks of the pods of a pipeline."""

from collections.abc import Callable, Iterator

from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig, PipelineSpec

from kfp_edge.spec.backends.profiles import Backend
from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.validation.lint_findings import Finding
from kfp_edge.spec.validation.pods.claims import check_claims, check_workspace
from kfp_edge.spec.validation.pods.environment import check_environment
from kfp_edge.spec.validation.pods.resources import check_resources
from kfp_edge.spec.validation.pods.scheduling import check_scheduling
from kfp_edge.spec.validation.pods.settings import check_settings
from kfp_edge.spec.validation.pods.shared_containers import check_shared_containers
from kfp_edge.spec.validation.pods.task_pod import TaskPod, find_task_pods
from kfp_edge.spec.validation.pods.volumes import check_volumes

_CHECKS: tuple[Callable[[TaskPod], Iterator[Finding]], ...] = (
    check_settings,
    check_resources,
    check_environment,
    check_volumes,
    check_scheduling,
)


def check_pods(
    pipeline: PipelineDocument, spec: PipelineSpec, config: PipelineDeploymentConfig, backend: Backend
) -> Iterator[Finding]:
    """Find what the driver or Kubernetes refuses when a run reaches a task.

    Args:
        pipeline: The pipeline, whose fields a backend knows.
        spec: Its pipeline spec.
        config: Its deployment spec.
        backend: The backend that runs it.
    """
    for pod in find_task_pods(pipeline, spec, config):
        for check in _CHECKS:
            yield from check(pod)
    yield from check_shared_containers(spec, config, pipeline.spec_path)
    yield from check_claims(pipeline, spec, config, backend)
    yield from check_workspace(pipeline)
