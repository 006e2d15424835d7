"""What the tasks of a compiled pipeline need, with the parameters of a run."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from google.protobuf import json_format
from kfp.kubernetes.kubernetes_executor_config_pb2 import ImagePullSecret, KubernetesExecutorConfig, PvcMount
from kfp.pipeline_spec.pipeline_spec_pb2 import (
    ComponentSpec,
    PipelineDeploymentConfig,
    PipelineSpec,
    PipelineTaskSpec,
    TaskInputsSpec,
)

from kfp_edge.prerequisites.pod_needs import ContainerNeeds, Kind, ObjectNeed, PodNeeds
from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.validation.document_parts import get_deployment_spec, get_platform_executors
from kfp_edge.spec.validation.protobuf_fields import parse_message

#: What Argo adds to the pod of every task, without requests and limits.
ARGO_CONTAINERS = (ContainerNeeds("init"), ContainerNeeds("wait"))

_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")


@dataclass(frozen=True)
class _Value:
    """A value that is known before the run, and the parameter of the pipeline that it comes from, if it does."""

    value: Any
    parameter: str = ""


#: The values of the inputs of one graph; those that are known only while it runs are absent.
_Scope = Mapping[str, _Value]


def find_stage_needs(document: PipelineDocument, arguments: Mapping[str, Any]) -> Iterator[PodNeeds]:
    """Yield what the pod of each task needs, in topological order.

    What is known only while the pipeline runs, such as the name of a claim that a task creates, is left out.

    Args:
        document: The pipeline, which a backend would take.
        arguments: The parameters of the run, defaults included.
    """
    spec = parse_message(document.spec, PipelineSpec)
    deployment = parse_message(get_deployment_spec(document.spec), PipelineDeploymentConfig)
    assert spec is not None, "the pipeline was validated"
    assert deployment is not None, "the pipeline was validated"
    walk = _Walk(spec, deployment, get_platform_executors(document)[1])
    yield from walk.needs(spec.root, {name: _Value(value, name) for name, value in arguments.items()})


@dataclass(frozen=True)
class _Walk:
    """A walk through the graphs of a pipeline, with its executors."""

    spec: PipelineSpec
    deployment: PipelineDeploymentConfig
    platform: Mapping[str, Any]

    def needs(self, graph: ComponentSpec, scope: _Scope) -> Iterator[PodNeeds]:
        # the order of a mapping of protobuf changes from process to process
        dependencies = {name: task.dependent_tasks for name, task in sorted(graph.dag.tasks.items())}
        for name in TopologicalSorter(dependencies).static_order():
            task = graph.dag.tasks[name]
            component = self.spec.components[task.component_ref.name]
            inputs = dict(_known_inputs(task, component, scope))
            if component.HasField("dag"):
                yield from self.needs(component, inputs)
            elif self.deployment.executors[component.executor_label].WhichOneof("spec") == "container":
                yield self._pod_needs(name, component.executor_label, scope, inputs)

    def _pod_needs(self, name: str, label: str, scope: _Scope, inputs: _Scope) -> PodNeeds:
        """Return the needs of a task; names of objects are inputs of its graph, quantities are inputs of its own."""
        container = self.deployment.executors[label].container
        config = parse_message(self.platform.get(label, {}), KubernetesExecutorConfig)
        assert config is not None, "the pipeline was validated"
        return PodNeeds(
            title=f"the stage {name}",
            image="" if "{{" in container.image else container.image,
            pull_secret=next(_pull_secrets(config, scope), None),
            objects=tuple(_objects(config, scope)),
            containers=(_main_container(container.resources, inputs), *ARGO_CONTAINERS),
            counts={"pods": 1},
            labels=dict(config.pod_metadata.labels),
        )


def _known_inputs(task: PipelineTaskSpec, component: ComponentSpec, scope: _Scope) -> Iterator[tuple[str, _Value]]:
    for name, definition in component.input_definitions.parameters.items():
        if name not in task.inputs.parameters and definition.HasField("default_value"):
            yield name, _Value(json_format.MessageToDict(definition.default_value))
    for name, parameter in task.inputs.parameters.items():  # a limit is one that the component does not define
        if (value := _resolve(parameter, scope)) is not None:
            yield name, value


def _resolve(parameter: TaskInputsSpec.InputParameterSpec, scope: _Scope) -> _Value | None:
    """Return the value of a parameter, None if it is not known before the run."""
    if parameter.parameter_expression_selector:
        return None
    if parameter.WhichOneof("kind") == "component_input_parameter":
        return scope.get(parameter.component_input_parameter)
    if parameter.WhichOneof("kind") == "runtime_value":
        value = json_format.MessageToDict(parameter.runtime_value.constant)
        return None if "{{" in str(value) else _Value(value)
    return None


def _objects(config: KubernetesExecutorConfig, scope: _Scope) -> Iterator[ObjectNeed]:
    for secret in (*config.secret_as_env, *config.secret_as_volume):
        keys = [pair.secret_key for pair in getattr(secret, "key_to_env", ())]
        reference = secret.secret_name_parameter if secret.HasField("secret_name_parameter") else None
        yield from _named("Secret", reference, secret.secret_name, scope, keys, is_required=not secret.optional)
    for config_map in (*config.config_map_as_env, *config.config_map_as_volume):
        keys = [pair.config_map_key for pair in getattr(config_map, "key_to_env", ())]
        reference = config_map.config_map_name_parameter if config_map.HasField("config_map_name_parameter") else None
        name = config_map.config_map_name
        yield from _named("ConfigMap", reference, name, scope, keys, is_required=not config_map.optional)
    for mount in config.pvc_mount:
        yield from _claim(mount, scope)


def _claim(mount: PvcMount, scope: _Scope) -> Iterator[ObjectNeed]:
    if mount.HasField("pvc_name_parameter"):
        yield from _named("PersistentVolumeClaim", mount.pvc_name_parameter, "", scope)
    elif mount.WhichOneof("pvc_reference") == "component_input_parameter":
        reference = TaskInputsSpec.InputParameterSpec(component_input_parameter=mount.component_input_parameter)
        yield from _named("PersistentVolumeClaim", reference, "", scope)
    else:
        yield from _named("PersistentVolumeClaim", None, mount.constant, scope)


def _pull_secrets(config: KubernetesExecutorConfig, scope: _Scope) -> Iterator[ObjectNeed]:
    secret: ImagePullSecret
    for secret in config.image_pull_secret:
        reference = secret.secret_name_parameter if secret.HasField("secret_name_parameter") else None
        yield from _named("Secret", reference, secret.secret_name, scope, is_required=False)


def _named(
    kind: Kind,
    reference: TaskInputsSpec.InputParameterSpec | None,
    name: str,
    scope: _Scope,
    keys: list[str] | None = None,
    *,
    is_required: bool = True,
) -> Iterator[ObjectNeed]:
    """Yield the object with this name, or the one that the parameter names if its value is known."""
    value = _Value(name) if reference is None else _resolve(reference, scope)
    if value is not None and isinstance(value.value, str) and value.value:
        yield ObjectNeed(kind, value.value, frozenset(keys or ()), is_required, value.parameter)


def _main_container(
    resources: PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec, inputs: _Scope
) -> ContainerNeeds:
    limits = {
        "cpu": _quantity(resources.resource_cpu_limit, resources.cpu_limit, "", inputs),
        "memory": _quantity(resources.resource_memory_limit, resources.memory_limit, "G", inputs),
    }
    requests = {
        "cpu": _quantity(resources.resource_cpu_request, resources.cpu_request, "", inputs),
        "memory": _quantity(resources.resource_memory_request, resources.memory_request, "G", inputs),
    }
    return ContainerNeeds("main", _without_empty(requests), _without_empty(limits))


def _quantity(text: str, number: float, unit: str, inputs: _Scope) -> str:
    """Return a quantity, empty if there is none or it is not known; `number` is how older SDKs wrote it."""
    if match := _PLACEHOLDER.fullmatch(text):
        known = inputs.get(match[1])
        text = "" if known is None else str(known.value)
    return text or (f"{number:g}{unit}" if number else "")


def _without_empty(quantities: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in quantities.items() if text}
