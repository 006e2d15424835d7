"""Checks that constants, defaults and loop items have the type of the parameter that they are for.

A server does not compare them. The driver does when a run reaches the task: a text takes any value, as JSON; another
type takes no value but its own, and a fraction is as good as a whole number. Source: `resolveInputs` and `getItems` in
backend/src/v2/driver (KFP 2.16.1).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.struct_pb2 import Value
from kfp.pipeline_spec.pipeline_spec_pb2 import (
    ComponentInputsSpec,
    ComponentSpec,
    ParameterType,
    PipelineSpec,
    PipelineTaskSpec,
)

from kfp_edge.spec.secret_patterns import detect_secret
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.pods.task_pod import (
    TASK_FAILS,
    plain_value,
    reachable_components,
    task_finding,
)

#: Which kind of a protobuf `Value` each type takes. A text takes all; others are left to the server.
_KINDS = {
    ParameterType.NUMBER_DOUBLE: ("number_value", "a number"),
    ParameterType.NUMBER_INTEGER: ("number_value", "a number"),
    ParameterType.BOOLEAN: ("bool_value", "true or false"),
    ParameterType.LIST: ("list_value", "a list"),
    ParameterType.STRUCT: ("struct_value", "a mapping"),
}
_PLACEHOLDER = "{{$."


@dataclass(frozen=True)
class _Graph:
    """A component that is a graph, and its path; `has_defaults` is whether a run may use the defaults of its inputs."""

    path: str
    component: ComponentSpec
    has_defaults: bool


def check_value_types(spec: PipelineSpec, path: str) -> Iterator[Finding]:
    """Find values of another type than the parameter that a task takes them for.

    Args:
        spec: The parsed pipeline spec.
        path: The location of the spec in its document.
    """
    for graph in _graphs(spec, path):
        if graph.has_defaults:
            yield from _check_defaults(graph, spec)
        for name in sorted(graph.component.dag.tasks):
            task = graph.component.dag.tasks[name]
            if task.component_ref.name in spec.components:
                task_path = join_path(graph.path, "dag", "tasks", name)
                yield from _check_task(task, task_path, spec)
                yield from _check_inputs_of_graph(task, task_path, graph.component, spec)


def _graphs(spec: PipelineSpec, path: str) -> Iterator[_Graph]:
    components = reachable_components(spec)
    yield _Graph(join_path(path, "root"), spec.root, has_defaults=True)
    for name, component in components.items():
        if component.HasField("dag"):
            yield _Graph(join_path(path, "components", name), component, has_defaults=False)


def _check_defaults(graph: _Graph, spec: PipelineSpec) -> Iterator[Finding]:
    """Check the defaults of the pipeline's parameters against the tasks that take them."""
    for name, definition in sorted(graph.component.input_definitions.parameters.items()):
        if not definition.HasField("default_value"):
            continue
        if expected := _find_mismatch(definition.default_value, name, graph.component, spec):
            value_path = join_path(graph.path, "inputDefinitions", "parameters", name, "defaultValue")
            described = _describe(plain_value(definition.default_value))
            yield _type_finding(value_path, f"is {described}, and a task takes {name} as {expected}", expected)


def _check_task(task: PipelineTaskSpec, path: str, spec: PipelineSpec) -> Iterator[Finding]:
    component = spec.components[task.component_ref.name]
    definitions = component.input_definitions.parameters
    for name in sorted(task.inputs.parameters):
        parameter = task.inputs.parameters[name]
        input_path = join_path(path, "inputs", "parameters", name)
        if _has_no_source(parameter.WhichOneof("kind"), parameter.runtime_value.WhichOneof("value")):
            yield Finding("KE105", input_path, f"has no value, {TASK_FAILS}; write one, or remove the input.")
            continue
        if parameter.WhichOneof("kind") != "runtime_value" or parameter.parameter_expression_selector:
            continue
        value = parameter.runtime_value.constant
        if parameter.runtime_value.WhichOneof("value") != "constant" or _is_placeholder(value):
            continue
        if name in definitions and (expected := _expected_instead(value, name, component, spec)):
            value_path = join_path(input_path, "runtimeValue", "constant")
            yield _type_finding(value_path, f"is {_describe(plain_value(value))}", expected)
    yield from _check_defaults_of_nested(task, component, join_path(path, "componentRef"), spec)
    yield from _check_items(task, component, path)


def _check_inputs_of_graph(
    task: PipelineTaskSpec, path: str, graph: ComponentSpec, spec: PipelineSpec
) -> Iterator[Finding]:
    """Compare the types of the graph's inputs with those that a task takes them as."""
    definitions = spec.components[task.component_ref.name].input_definitions.parameters
    for name, parameter in sorted(task.inputs.parameters.items()):
        source = parameter.component_input_parameter
        if not source or parameter.parameter_expression_selector or name not in definitions:
            continue
        if source not in graph.input_definitions.parameters:
            continue
        given = graph.input_definitions.parameters[source].parameter_type
        kind, expected = _KINDS.get(definitions[name].parameter_type, ("", ""))
        given_kind, given_words = _KINDS.get(
            given, ("string_value", "a text") if given == ParameterType.STRING else ("", "")
        )
        if kind and given_kind and kind != given_kind:
            source_path = join_path(path, "inputs", "parameters", name, "componentInputParameter")
            message = (
                f"is {source}, {given_words}, and {task.component_ref.name} takes {expected}, {TASK_FAILS}; declare "
                "both alike, for the items of a list as in `list[int]`."
            )
            yield Finding("KE105", source_path, message)


def _has_no_source(kind: str | None, value: str | None) -> bool:
    return kind is None or (kind == "runtime_value" and value is None)


def _check_defaults_of_nested(
    task: PipelineTaskSpec, component: ComponentSpec, path: str, spec: PipelineSpec
) -> Iterator[Finding]:
    """Check the defaults of a nested pipeline that a task uses; those of a container are for the program in it."""
    if not component.HasField("dag"):
        return
    for name, definition in sorted(component.input_definitions.parameters.items()):
        if name in task.inputs.parameters or not definition.HasField("default_value"):
            continue
        if expected := _expected_instead(definition.default_value, name, component, spec):
            described = _describe(plain_value(definition.default_value))
            yield _type_finding(path, f"the default of {name} in {task.component_ref.name} is {described}", expected)


def _expected_instead(value: Value, name: str, component: ComponentSpec, spec: PipelineSpec) -> str:
    """Return what a component, or a task in it, takes instead of a value; empty if all of them take it."""
    definition = component.input_definitions.parameters[name]
    return _mismatch(value, definition) or _find_mismatch(value, name, component, spec)


def _find_mismatch(value: Value, name: str, component: ComponentSpec, spec: PipelineSpec) -> str:
    """Return what a task of a graph takes instead of the graph's input; empty if all of them take it."""
    is_text = name in component.input_definitions.parameters and (
        component.input_definitions.parameters[name].parameter_type == ParameterType.STRING
    )
    if is_text and value.WhichOneof("kind") != "string_value":
        return ""  # its tasks get the value as JSON
    for task in component.dag.tasks.values():
        inner = spec.components.get(task.component_ref.name)
        for input_name, parameter in task.inputs.parameters.items():
            if parameter.component_input_parameter != name or parameter.parameter_expression_selector:
                continue
            is_defined = inner is not None and input_name in inner.input_definitions.parameters
            if is_defined and (expected := _expected_instead(value, input_name, inner, spec)):
                return expected
    return ""


def _mismatch(value: Value, definition: ComponentInputsSpec.ParameterSpec) -> str:
    """Return what a parameter takes instead of a value; empty if it takes it."""
    kind, expected = _KINDS.get(definition.parameter_type, ("", ""))
    return expected if kind and value.WhichOneof("kind") not in (kind, None) else ""


def _check_items(task: PipelineTaskSpec, component: ComponentSpec, path: str) -> Iterator[Finding]:
    """Check the items of a loop that are written in the pipeline."""
    iterator = task.parameter_iterator
    source = iterator.items.input_parameter
    if source in task.inputs.parameters and task.inputs.parameters[source].parameter_expression_selector:
        message = (
            f"is a loop over a member of another loop's item, which no driver finds, {TASK_FAILS}; let a task return "
            "the list, and loop over its output."
        )
        yield task_finding(join_path(path, "parameterIterator", "items", "inputParameter"), message)
    if iterator.items.WhichOneof("kind") != "raw":
        return
    raw, items_path = iterator.items.raw, join_path(path, "parameterIterator", "items", "raw")
    items = _read_items(raw)
    if items is None:
        message = f"is no list in JSON, {TASK_FAILS}; write one, such as '[1, 2]'."
        yield Finding("KE105", items_path, message)
        return
    definition = component.input_definitions.parameters.get(iterator.item_input)
    for index, item in enumerate(items):
        value = Value()
        _set_value(value, item)
        if definition is not None and (expected := _mismatch(value, definition)):
            yield _type_finding(items_path, f"has {_describe(item)} as item {index + 1}", expected)
            return


def _read_items(raw: str) -> list[Any] | None:
    """Return the items as the driver reads them: a list in JSON, or a text with such a list; None if it fails."""
    try:
        items = json.loads(raw)
        if isinstance(items, str):
            items = json.loads(items)
            return items if isinstance(items, list) else []
    except (ValueError, RecursionError):
        return None
    return items if isinstance(items, list) else None


def _set_value(value: Value, item: object) -> None:
    match item:
        case None:
            value.null_value = 0  # type: ignore[assignment]
        case bool():
            value.bool_value = item
        case int() | float():
            value.number_value = item
        case str():
            value.string_value = item
        case list():
            value.list_value.SetInParent()
        case _:
            value.struct_value.SetInParent()


def _is_placeholder(value: Value) -> bool:
    return _PLACEHOLDER in value.string_value


def _type_finding(path: str, problem: str, expected: str) -> Finding:
    return Finding("KE105", path, f"{problem}, {TASK_FAILS}; write {expected}.")


def _describe(value: object) -> str:
    """Return a value for a message, without the text of a secret."""
    if isinstance(value, str):
        return detect_secret(value) or f"the text {value!r:.60}"
    if isinstance(value, bool) or value is None:
        return {None: "empty", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"the number {value:.15g}"
    return "a mapping" if isinstance(value, dict) else "a list"
