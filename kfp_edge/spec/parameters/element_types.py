"""The types of the elements of a pipeline's lists.

A compiled pipeline only says that a parameter is a list. The functions of its components, whose source KFP embeds, say
more: `drop: list[str]`. So a parameter's list has the elements of the component's list to which it is passed.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

#: A type of Python for which KFP has one.
ElementType = Literal["str", "int", "float", "bool", "dict", "list"]

_LISTS = ("list", "List")
_CHANNEL = "pipelinechannel--"


def find_element_types(spec: Mapping[str, Any]) -> dict[str, ElementType]:
    """Return the type of the elements by the name of the parameter, for the lists of which it is known.

    Args:
        spec: A compiled pipeline that a backend accepts.
    """
    definitions = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    names = [name for name, definition in definitions.items() if definition.get("parameterType") == "LIST"]
    types = {name: next(_element_types(spec, spec["root"], name), None) for name in names}
    return {name: element for name, element in types.items() if element}


def _element_types(spec: Mapping[str, Any], component: Mapping[str, Any], name: str) -> Iterator[ElementType]:
    """Yield what the components that take an input parameter of `component` declare."""
    if "executorLabel" in component:
        executor = spec["deploymentSpec"]["executors"].get(component["executorLabel"], {})
        if element := _declared_element_type(executor.get("container", {}), name.removeprefix(_CHANNEL)):
            yield element
        return
    for task in component.get("dag", {}).get("tasks", {}).values():
        for key, value in task.get("inputs", {}).get("parameters", {}).items():
            if value.get("componentInputParameter") == name:
                yield from _element_types(spec, spec["components"][task["componentRef"]["name"]], key)


def _declared_element_type(container: Mapping[str, Any], name: str) -> ElementType | None:
    """Return what a container's Python function declares; None if it runs none, or that declares nothing."""
    for text in container.get("command", ()):
        if f"{name}:" not in text:
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            for argument in (*function.args.args, *function.args.kwonlyargs):
                match argument:
                    case ast.arg(
                        arg=arg,
                        annotation=ast.Subscript(value=ast.Name(id=outer) | ast.Attribute(attr=outer), slice=inner),
                    ) if arg == name and outer in _LISTS:
                        return _element_type(inner)
    return None


def _element_type(annotation: ast.expr) -> ElementType | None:
    """Return `dict` for `dict[str, int]` and `Dict`, and None for what KFP has no type for."""
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    name = ast.unparse(annotation).rpartition(".")[2].lower()
    return next((element for element in get_args(ElementType) if element == name), None)
