"""Quantities of CPU, memory and accelerators that come from parameters of the pipeline.

The driver puts the value of an input in place of `{{$.inputs.parameters['NAME']}}` when a run reaches the task; an
empty text sets nothing. Source: `initPodSpecPatch` (backend/src/v2/driver) of KFP 2.16.1.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import ComponentSpec, PipelineDeploymentConfig, PipelineSpec, PipelineTaskSpec

from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.validation.document_parts import get_deployment_spec
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.pods.resources import check_resources
from kfp_edge.spec.validation.pods.task_pod import TaskPod, constant_value, find_task_pods, is_known
from kfp_edge.spec.validation.protobuf_fields import parse_message

_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
_FIELDS = ("resource_cpu_limit", "resource_cpu_request", "resource_memory_limit", "resource_memory_request")
_ACCELERATOR_FIELDS = ("resource_type", "resource_count")


@dataclass(frozen=True)
class _Value:
    """A value that is known before a run, where it is in the YAML, and the parameter that it is of; "" for none."""

    text: str
    path: str
    parameter: str = ""


_Scope = Mapping[str, _Value]


def check_parameter_resources(
    pipeline: PipelineDocument, arguments: Mapping[str, Any] | None = None
) -> Iterator[Finding]:
    """Find quantities that no pod can have in the inputs of tasks, as far as these are known before a run.

    Tasks that a condition decides on are not checked: a run may leave them out because of the value.

    Args:
        pipeline: A pipeline whose fields a backend knows.
        arguments: Values of its parameters, in place of their defaults.

    Yields:
        Findings at the place of the value, those on an argument at that of its default.
    """
    spec = parse_message(pipeline.spec, PipelineSpec)
    config = parse_message(get_deployment_spec(pipeline.spec), PipelineDeploymentConfig)
    if spec is None or config is None:
        return
    root = join_path(pipeline.spec_path, "root")
    scope = dict(_parameters(spec.root, join_path(root, "inputDefinitions", "parameters"), arguments or {}))
    pods = {pod.path: pod for pod in find_task_pods(pipeline, spec, config)}
    walk = _Walk(spec, pipeline.spec_path, pods)
    yield from dict.fromkeys(walk.findings(spec.root, root, scope, ()))


def _parameters(root: ComponentSpec, path: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, _Value]]:
    for name, definition in sorted(root.input_definitions.parameters.items()):
        has_default = definition.HasField("default_value")
        value = arguments.get(name, json_format.MessageToDict(definition.default_value) if has_default else None)
        if (text := _to_text(value)) is not None:
            yield name, _Value(text, join_path(path, name, "defaultValue"), name)


def _to_text(value: object) -> str | None:
    """Return a value as the driver writes it; None for one that is no text and no number."""
    match value:
        case str() if is_known(value):
            return value
        case bool():
            return None
        case int() | float():
            return f"{value:g}" if value % 1 else f"{value:.0f}"
    return None


@dataclass(frozen=True)
class _Walk:
    """A walk through the graphs of a pipeline, with the pods of its executors by path."""

    spec: PipelineSpec
    spec_path: str
    pods: Mapping[str, TaskPod]

    def findings(self, graph: ComponentSpec, path: str, scope: _Scope, parents: tuple[str, ...]) -> Iterator[Finding]:
        for name, task in sorted(graph.dag.tasks.items()):
            reference = task.component_ref.name
            if task.trigger_policy.condition or reference not in self.spec.components or reference in parents:
                continue
            component = self.spec.components[reference]
            inputs = dict(_inputs(task, join_path(path, "dag", "tasks", name), scope))
            if component.HasField("dag"):
                component_path = join_path(self.spec_path, "components", reference)
                yield from self.findings(component, component_path, inputs, (*parents, reference))
                continue
            keys = ("deploymentSpec", "executors", component.executor_label, "container")
            if (pod := self.pods.get(join_path(self.spec_path, *keys))) is not None:
                yield from _check_pod(name, pod, inputs)


def _inputs(task: PipelineTaskSpec, path: str, scope: _Scope) -> Iterator[tuple[str, _Value]]:
    for name, parameter in task.inputs.parameters.items():
        if parameter.parameter_expression_selector:
            continue
        source = parameter.component_input_parameter
        if source in scope:
            yield name, scope[source]
        elif (text := _to_text(constant_value(parameter))) is not None:
            yield name, _Value(text, join_path(path, "inputs", "parameters", name, "runtimeValue", "constant"))


def _check_pod(name: str, pod: TaskPod, inputs: _Scope) -> Iterator[Finding]:
    """Check the resources with the inputs in the place of placeholders; what is wrong without them is left out."""
    container = PipelineDeploymentConfig.PipelineContainerSpec()
    container.CopyFrom(pod.container)
    values: dict[str, _Value] = {}
    for message, path, fields in (
        (container.resources, "resources", _FIELDS),
        (container.resources.accelerator, "resources.accelerator", _ACCELERATOR_FIELDS),
    ):
        for field in fields:
            match = _PLACEHOLDER.fullmatch(getattr(message, field))
            if match and match[1] in inputs:
                setattr(message, field, inputs[match[1]].text)
                first, *others = field.split("_")
                key = first + "".join(word.title() for word in others)
                values[join_path(f"{pod.path}.{path}", key)] = inputs[match[1]]
    if not values:
        return
    known = set(check_resources(pod))
    for finding in check_resources(replace(pod, container=container)):
        if finding in known:
            continue
        resource = finding.path.rpartition(".")[2]
        value = values.get(finding.path) or _other_amount(finding.path, values)
        source = f"the parameter {value.parameter} sets" if value.parameter else "an input of a task sets"
        yield Finding(finding.code, value.path, f"{resource} of the task {name}, which {source}, {finding.message}")


def _other_amount(path: str, values: Mapping[str, _Value]) -> _Value:
    """Return the value of the limit that a request, which is written as it is, exceeds."""
    return next(value for key, value in values.items() if key == path.replace("Request", "Limit"))
