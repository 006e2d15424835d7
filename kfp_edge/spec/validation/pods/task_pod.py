"""The pods that the tasks of a pipeline run in, and values that are known before a run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import (
    ComponentSpec,
    PipelineDeploymentConfig,
    PipelineSpec,
    TaskConfigPassthroughType,
    TaskInputsSpec,
)

from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.secret_patterns import detect_secret
from kfp_edge.spec.validation.document_parts import get_platform_executors
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.protobuf_fields import parse_message

#: The images in whose place the backend's driver creates or deletes a claim; no pod of the task runs.
CREATE_CLAIM, DELETE_CLAIM = "argostub/createpvc", "argostub/deletepvc"
#: What happens to a value that the driver or Kubernetes does not take.
POD_REFUSED = "and Kubernetes refuses the pod"
POD_WAITS = "and the pod waits forever"
TASK_FAILS = "and the run fails when it reaches the task"

_PLACEHOLDER = "{{"


@dataclass(frozen=True)
class TaskPod:
    """The pod of a container executor that a task runs: its two specs, each with its path.

    `handed_on` holds the settings that the pod does not get, because the component takes them as a `dsl.TaskConfig`.
    """

    path: str
    container: PipelineDeploymentConfig.PipelineContainerSpec
    platform_path: str
    platform: KubernetesExecutorConfig
    handed_on: frozenset[int]

    def has(self, setting: int) -> bool:
        """Whether a setting (of `TaskConfigPassthroughType`) is one of this pod."""
        return setting not in self.handed_on


def task_finding(path: str, message: str) -> Finding:
    """Return a finding about a task that cannot start as it is written."""
    return Finding("KE104", path, message)


def quote(value: object) -> str:
    """Return a value for a message, without the text of a secret, and not all of a long one."""
    kind = detect_secret(value) if isinstance(value, str) else ""
    return kind or f"{value!r:.100}"


def is_known(text: str) -> bool:
    """Whether a text is the same in every run."""
    return _PLACEHOLDER not in text


def constant_value(parameter: TaskInputsSpec.InputParameterSpec) -> Any:
    """Return the value of an input that is a constant, as YAML has it; None if it is none, or null."""
    if parameter.WhichOneof("kind") != "runtime_value" or parameter.runtime_value.WhichOneof("value") != "constant":
        return None
    return plain_value(parameter.runtime_value.constant)


def plain_value(value: Value) -> Any:
    """Return a value of protobuf as YAML has it; None if it is empty."""
    return json_format.MessageToDict(value) if value.WhichOneof("kind") else None


def reachable_components(spec: PipelineSpec) -> dict[str, ComponentSpec]:
    """Return the components that tasks of the pipeline run, those of nested pipelines included, by name."""
    reached: dict[str, ComponentSpec] = {}
    waiting = [spec.root]
    while waiting:
        for task in waiting.pop().dag.tasks.values():
            name = task.component_ref.name
            if name in spec.components and name not in reached:
                reached[name] = spec.components[name]
                waiting.append(spec.components[name])
    return dict(sorted(reached.items()))


def find_task_pods(
    pipeline: PipelineDocument, spec: PipelineSpec, config: PipelineDeploymentConfig
) -> Iterator[TaskPod]:
    """Yield the pods that tasks run in, without those in whose place the driver works."""
    platform_path, platform_executors = get_platform_executors(pipeline)
    for label, components in sorted(_components_by_executor(spec).items()):
        if label not in config.executors or not config.executors[label].HasField("container"):
            continue
        container = config.executors[label].container
        if container.image in (CREATE_CLAIM, DELETE_CLAIM):
            continue
        platform = parse_message(platform_executors.get(label, {}), KubernetesExecutorConfig)
        if platform is not None:
            path = join_path(pipeline.spec_path, "deploymentSpec", "executors", label, "container")
            handed_on = frozenset(setting for component in components for setting in _handed_on(component))
            yield TaskPod(path, container, join_path(platform_path, label), platform, handed_on)


def _components_by_executor(spec: PipelineSpec) -> Mapping[str, list[ComponentSpec]]:
    components: dict[str, list[ComponentSpec]] = {}
    for component in reachable_components(spec).values():
        if component.executor_label:
            components.setdefault(component.executor_label, []).append(component)
    return components


def _handed_on(component: ComponentSpec) -> Iterator[int]:
    """Yield the settings that a component takes as a `dsl.TaskConfig`, and that its pod does not get."""
    for passthrough in component.task_config_passthroughs:
        if not passthrough.apply_to_task:
            yield passthrough.field


#: The settings that a component can take instead of its pod.
Setting = TaskConfigPassthroughType
