"""The decorator of components: what a compiled pipeline has of a function."""

import ast

from kfp.dsl.base_component import BaseComponent

from kfp_edge.components.ingest.component import ingest
from kfp_edge.runtime.component import component


@component
def count(rows: int) -> int:
    return rows


def body_of(stage: BaseComponent) -> ast.FunctionDef:
    """Return the function that a pod runs."""
    source = stage.component_spec.implementation.container.command[-1]
    (function,) = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    return function


def test_the_source_that_a_pod_runs_has_no_docstring_and_the_descriptions_are_there() -> None:
    function = body_of(ingest)
    assert function.name == "ingest"
    assert ast.get_docstring(function) is None
    assert all(each.description for each in ingest.component_spec.inputs.values())


def test_a_function_without_a_docstring_is_as_it_was_written() -> None:
    (statement,) = body_of(count).body
    assert ast.unparse(statement) == "return rows"
