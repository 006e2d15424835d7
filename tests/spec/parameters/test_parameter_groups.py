from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import pytest
from kfp import dsl

from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.spec.compiling.compiler import compile_to_yaml
from kfp_edge.spec.parameters.groups import ParameterGroup, arguments, pipeline


@dsl.component(base_image="example.com/runtime:1", install_kfp_package=False)
def greet(name: str, times: int = 1) -> str:
    """Greet.

    Args:
        name: Whom to greet.
        times: How often,
            at least once.
    """
    return f"hello {name} " * times


@dataclass(frozen=True, kw_only=True)
class Greeting(ParameterGroup):
    described_by: ClassVar = (greet,)

    times: int = 2
    name: str


@dataclass(frozen=True, kw_only=True)
class Options(ParameterGroup):
    tags: Annotated[list[str], "Tags of the greeting."] = field(default_factory=list)


@pipeline(name="hello", description="Say hello.")
def hello(greeting: Greeting, options: Options):
    """Greet somebody."""
    greet(**arguments(greeting))


def compiled() -> CompiledPipeline:
    return CompiledPipeline(compile_to_yaml(hello))


def test_the_fields_of_all_groups_are_the_parameters_of_the_pipeline() -> None:
    assert set(compiled().parameters) == {"times", "name", "tags"}


def test_a_field_without_default_is_required_wherever_it_stands() -> None:
    required = [name for name, parameter in compiled().parameters.items() if not parameter.get("isOptional")]
    assert required == ["name"]


def test_a_default_is_compiled() -> None:
    defaults = {name: parameter.get("defaultValue") for name, parameter in compiled().parameters.items()}
    assert defaults == {"times": 2, "name": None, "tags": []}


def test_a_field_is_described_by_the_component_that_takes_it_or_by_its_annotation() -> None:
    assert {name: parameter["description"] for name, parameter in compiled().parameters.items()} == {
        "name": "Whom to greet.",
        "times": "How often, at least once.",
        "tags": "Tags of the greeting.",
    }


def test_a_task_gets_the_parameters_of_a_group_by_name() -> None:
    text = compile_to_yaml(hello)
    assert "componentInputParameter: name" in text
    assert "componentInputParameter: times" in text


def test_a_field_without_description_is_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Bare(ParameterGroup):
        described_by: ClassVar = (greet,)

        colour: str = "red"

    with pytest.raises(TypeError, match="the parameter colour of Bare has no description"):
        Bare.descriptions()
