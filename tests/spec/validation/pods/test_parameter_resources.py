"""Quantities that come from parameters are checked with the defaults and with the values of a run."""

from typing import Any

import pytest
from kfp import dsl

from kfp_edge.spec.compiling.compiler import compile_to_yaml
from kfp_edge.spec.pipeline_file import read_pipeline_file
from kfp_edge.spec.validation.pods.parameter_resources import check_parameter_resources
from kfp_edge.spec.validation.validate import validate_text


@dsl.component(base_image="example.com/work:1", install_kfp_package=False)
def work(text: str = "") -> str:
    return text


@dsl.pipeline(name="inner")
def inner(amount: str):
    """Set a limit in a nested pipeline."""
    work().set_memory_limit(amount)


@dsl.pipeline(name="sized")
def sized(memory: str = "1Gi", cpu: str = "2", nested: str = "1Gi", gpus: str = "1", guarded: str = "", text: str = ""):
    """Set limits from parameters, one of them below a condition."""
    work(text=text).set_memory_limit(memory).set_memory_request("512Mi").set_cpu_limit(cpu)
    work().set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(gpus)
    inner(amount=nested)
    inner(amount="4Gi")
    with dsl.If(guarded != "none"):
        work().set_memory_limit(guarded)


def findings(**arguments: Any) -> list[tuple[str, str]]:
    (document,) = read_pipeline_file(compile_to_yaml(sized)).pipelines
    return [(each.path, each.message) for each in check_parameter_resources(document, arguments)]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"memory": "2Gi", "cpu": "500m", "nested": "1e9", "gpus": "2"},
        {"text": "512MB"},
        {"memory": "", "cpu": ""},
        {"guarded": "none"},
    ],
)
def test_quantities_of_kubernetes_are_taken(arguments: dict[str, Any]) -> None:
    assert findings(**arguments) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"memory": "512MB"}, "resourceMemoryLimit of the task work, which the parameter memory sets, is '512MB', "),
        ({"cpu": "two"}, "resourceCpuLimit of the task work, which the parameter cpu sets, is 'two', which is no"),
        ({"nested": "-1Gi"}, "resourceMemoryLimit of the task work, which the parameter nested sets, is '-1Gi', below"),
        ({"memory": "256Mi"}, "resourceMemoryRequest of the task work, which the parameter memory sets, is '512Mi', "),
        ({"gpus": "a"}, "resourceCount of the task work-2, which the parameter gpus sets, is 'a', which is no number"),
    ],
)
def test_another_is_found_wherever_the_parameter_goes(arguments: dict[str, Any], message: str) -> None:
    (found,) = findings(**arguments)
    assert found[0] == f"root.inputDefinitions.parameters.{next(iter(arguments))}.defaultValue"
    assert found[1].startswith(message)


def test_a_default_is_reported_before_a_run() -> None:
    text = compile_to_yaml(sized).replace("defaultValue: '2'", "defaultValue: two")
    (finding,) = validate_text(text).findings
    assert (finding.code, finding.path) == ("KE104", "root.inputDefinitions.parameters.cpu.defaultValue")
    assert "'two'" in finding.message


def test_a_constant_that_a_nested_pipeline_gets_is_reported_where_it_is() -> None:
    (finding,) = validate_text(compile_to_yaml(sized).replace("constant: 4Gi", "constant: 4GB")).findings
    assert finding.path == "root.dag.tasks.inner-2.inputs.parameters.amount.runtimeValue.constant"
    assert "an input of a task sets, is '4GB'" in finding.message
