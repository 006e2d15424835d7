"""The decorator of components: what a compiled pipeline has of a function."""

import ast

from kfp_edge.components.ingest.component import ingest


def test_the_source_that_a_pod_runs_has_no_docstring_and_the_descriptions_are_there() -> None:
    source = ingest.component_spec.implementation.container.command[-1]
    (function,) = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    assert function.name == "ingest"
    assert ast.get_docstring(function) is None
    assert all(each.description for each in ingest.component_spec.inputs.values())
