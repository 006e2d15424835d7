"""The rule on optional artifacts: KFP's executor makes an object of the annotation in a pod, not on this machine."""

# ruff: noqa: UP006, UP007, UP045 - these spellings are what is tested

import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional, Union

import pytest
from kfp import dsl
from kfp.dsl import Dataset, Input, InputPath, Output
from kfp.dsl.executor import Executor

from kfp_edge.rules import lint_text
from kfp_edge.spec.compiling.compiler import compile_to_yaml
from support.pipelines import problem_lines

component = dsl.component(base_image="quay.io/plant/work@sha256:" + "3" * 64, install_kfp_package=False)


@component
def make(data: Output[Dataset]):
    pass


def optional(data: Optional[Input[Dataset]] = None):
    pass


def with_module(data: typing.Optional[Input[Dataset]] = None):
    pass


def union(data: Union[Input[Dataset], None] = None):
    pass


def bar(data: Input[Dataset] | None = None):
    pass


def class_alone(data: Optional[Dataset] = None) -> Dataset:
    return data


def bare(data: Input[Dataset] = None):
    pass


def optional_list(data: Optional[Input[typing.List[Dataset]]] = None):
    pass


def path(data: InputPath("Dataset") = None):
    pass


def optional_parameter(data: Input[Dataset], text: Optional[str] = None):
    pass


def optional_output(data: Input[Dataset], copy: Optional[Output[Dataset]] = None):
    pass


FAILING = (optional, with_module, union, bar, class_alone)
WORKING = (bare, optional_list, path, optional_parameter, optional_output)


def findings(pipeline: Callable[..., Any]) -> list[str]:
    return [line for line in problem_lines(lint_text(compile_to_yaml(pipeline))) if line.startswith("KE018")]


def lint_use(function: Callable[..., Any], passes_artifact: bool = True) -> list[str]:
    """Return what the rule finds in a pipeline in which one task uses the function."""
    use = component(function)

    @dsl.pipeline(name="passing")
    def passing():
        if not passes_artifact:
            use()
        elif function is optional_list:
            with dsl.ParallelFor([1, 2]):
                made = make()
            use(data=dsl.Collected(made.outputs["data"]))
        else:
            use(data=make().outputs["data"])

    return findings(passing)


def receive_in_a_pod(function: Callable[..., Any]) -> object:
    """Return what a function gets from KFP's executor for the message of a driver, which names no type."""
    artifact = {"name": "1", "uri": "s3://bucket/data", "metadata": {}}
    message = {"inputs": {"artifacts": {"data": {"artifacts": [artifact]}}}, "outputs": {"outputFile": "/dev/null"}}
    return Executor(message, function).get_input_artifact("data")


@pytest.mark.parametrize("function", FAILING)
def test_an_optional_artifact_that_a_task_gets_is_reported(function: Callable[..., Any]) -> None:
    (line,) = lint_use(function)
    name = function.__name__.replace("_", "-")
    assert line.startswith(f"KE018 root.dag.tasks.{name}.inputs.artifacts.data: is annotated as `")
    assert line.endswith("`, which ends the task in every pod; write `data: Input[...] = None`.")
    with pytest.raises(TypeError):
        receive_in_a_pod(function)


@pytest.mark.parametrize("function", WORKING)
def test_an_artifact_of_which_a_pod_makes_an_object_passes(function: Callable[..., Any]) -> None:
    assert lint_use(function) == []
    assert receive_in_a_pod(function) is not None


def test_an_optional_output_works_because_a_driver_names_its_type(tmp_path: Path) -> None:
    artifact = {"name": "copy", "uri": f"{tmp_path}/copy", "type": {"schemaTitle": "system.Dataset"}, "metadata": {}}
    message = {"outputs": {"artifacts": {"copy": {"artifacts": [artifact]}}, "outputFile": "/dev/null"}}
    assert type(Executor(message, optional_output).get_output_artifact("copy")) is Dataset


@pytest.mark.parametrize("function", FAILING)
def test_an_optional_artifact_that_the_task_does_not_get_passes(function: Callable[..., Any]) -> None:
    assert lint_use(function, passes_artifact=False) == []


@pytest.mark.parametrize("is_optional", [True, False])
def test_an_artifact_of_a_pipeline_counts_if_the_pipeline_always_has_it(is_optional: bool) -> None:
    use = component(optional)

    if is_optional:

        @dsl.pipeline
        def inner(data: Input[Dataset] = None):
            use(data=data)

    else:

        @dsl.pipeline
        def inner(data: Input[Dataset]):
            use(data=data)

    @dsl.pipeline(name="outer")
    def outer():
        inner(data=make().outputs["data"])

    assert len(findings(outer)) == (0 if is_optional else 1)
