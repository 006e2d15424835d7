"""Text in two braces is what Argo Workflows makes of it: seen with KFP 2.16.1 and Argo 3.7.8."""

import pytest

from kfp_edge.spec.workflow.templates import find_refused, find_replaced

REFUSED = [
    "{{ item.name }}",
    "{{tasks.a.outputs}}",
    "{{inputs.parameters.x}}",
    "{{pod.name}}",
    "{{workflow.nope}}",
    "{{workflow.priority}}",
    "{{workflow.failures}}",
    "{{steps.x}}",
]
REPLACED = ["{{workflow.name}}", "{{ workflow.uid }}", "{{node.name}}", "{{=1+1}}", "{{workflow.creationTimestamp.s}}"]
UNCHANGED = [
    "{{ user }}",
    "{{item}}",
    "{{workflow}}",
    "{{ inputs }}",
    "{{outputs.x}}",
    "{{$.inputs.parameters['text']}}",
    "{{= nope( }}",
    "{{= a.b }}",
    "{{=<% %>=}}",
    "{{workflowname}}",
    "{{",
    "a }} b",
    "{{}}",
    "{'a': {'item.b': {}}}",
]


@pytest.mark.parametrize("text", REFUSED)
def test_a_variable_that_argo_does_not_know_is_refused(text: str) -> None:
    assert find_refused(f"with {text} in it") == text
    assert find_replaced(text) == ""


@pytest.mark.parametrize("text", REPLACED)
def test_a_variable_and_an_expression_are_replaced(text: str) -> None:
    assert find_replaced(f"with {text} in it") == text
    assert find_refused(text) == ""


@pytest.mark.parametrize("text", UNCHANGED)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert find_refused(text) == find_replaced(text) == ""
