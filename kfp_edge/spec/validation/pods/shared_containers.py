"""Components whose containers are alike.

A backend stores a component under a hash of its container alone (`hashComponentContainer` in
backend/src/v2/compiler/argocompiler/argo.go, the same from KFP 2.5 to 2.17): of components with equal containers, the
inputs and outputs of one are those of all.
"""

from collections.abc import Iterator

from kfp.pipeline_spec.pipeline_spec_pb2 import ComponentSpec, PipelineDeploymentConfig, PipelineSpec

from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.pods.task_pod import reachable_components, task_finding


def check_shared_containers(spec: PipelineSpec, config: PipelineDeploymentConfig, path: str) -> Iterator[Finding]:
    """Find components with equal containers and different inputs or outputs."""
    first_of_container: dict[bytes, tuple[str, bytes]] = {}
    for name, component in reachable_components(spec).items():
        label = component.executor_label
        if label not in config.executors or not config.executors[label].HasField("container"):
            continue
        container = config.executors[label].container.SerializeToString(deterministic=True)
        interface = _interface(component)
        other, interface_of_other = first_of_container.setdefault(container, (name, interface))
        if interface != interface_of_other:
            message = (
                f"has the same container as {other} and other inputs or outputs, and a backend takes those of one of "
                "them for both; set an environment variable in one of them."
            )
            yield task_finding(join_path(path, "components", name), message)


def _interface(component: ComponentSpec) -> bytes:
    """Return the inputs and outputs of a component, without descriptions, in a form that can be compared."""
    copy = ComponentSpec()
    copy.CopyFrom(component)
    copy.ClearField("executor_label")
    for definitions in (copy.input_definitions, copy.output_definitions):
        for field in (definitions.parameters, definitions.artifacts):
            for definition in field.values():
                definition.ClearField("description")
    interface: bytes = copy.SerializeToString(deterministic=True)
    return interface
