"""The decorator of every component: one runtime image, nothing installed when a pod starts."""

import ast
import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kfp import dsl

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent

#: The image that has this package installed, where none is named.
DEFAULT_RUNTIME_IMAGE = "quay.io/kfp-edge/runtime:0.1.0"
#: The one that pipelines are compiled with. A release pins it by digest.
RUNTIME_IMAGE = os.environ.get("KFP_EDGE_RUNTIME_IMAGE") or DEFAULT_RUNTIME_IMAGE


def component(function: Callable[..., Any]) -> "BaseComponent":
    """Make a KFP component of a function, whose docstring describes its inputs and outputs.

    The source that a pod runs has no docstring: a backend stores the source up to six times for every task, and would
    not take the cached outputs of a stage whose description has changed.
    """
    made = dsl.component(function, base_image=RUNTIME_IMAGE, install_kfp_package=False)
    command = made.component_spec.implementation.container.command
    command[-1] = _without_docstring(command[-1])
    return made


def _without_docstring(source: str) -> str:
    (function,) = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    if ast.get_docstring(function) is None:
        return source
    docstring = function.body[0]
    lines = source.splitlines(keepends=True)
    return "".join(lines[: docstring.lineno - 1] + lines[docstring.end_lineno :])


def describe_inputs(*components: "BaseComponent") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds descriptions of inputs to a docstring: those of the first component that has them.

    Below `@component`, whose KFP decorator reads the docstring. Its section "Args:" is the last one.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        docstring = inspect.getdoc(function) or ""
        inputs = [each.component_spec.inputs or {} for each in components]
        described = {name: spec for each in reversed(inputs) for name, spec in each.items()}
        lines = [
            f"    {name}: {' '.join((described[name].description or '').split())}"
            for name in inspect.signature(function).parameters
            if name in described and f"\n    {name}: " not in docstring
        ]
        function.__doc__ = "\n".join([docstring.rstrip(), *lines, ""])
        return function

    return decorate
