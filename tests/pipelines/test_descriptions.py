"""What the dashboard shows of a pipeline's parameters: each is described, and in the same words everywhere."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from kfp_edge.spec.compiling import compiler
from support.paths import ROOT

NAMES = compiler.pipeline_names()
#: KFP names the inputs of exit handlers and loops so, and gives them no description.
OF_BLOCKS = "pipelinechannel--"

Definitions = dict[str, dict[str, Any]]


def interfaces(name: str) -> Iterator[tuple[str, Definitions, Definitions]]:
    """Yield the pipeline and each of its components: its name, its inputs and its outputs."""
    spec = next(yaml.safe_load_all((ROOT / "compiled" / f"{name}.yaml").read_text()))
    for label, component in {"root": spec["root"], **spec["components"]}.items():
        yield label, definitions(component, "inputDefinitions"), definitions(component, "outputDefinitions")


def definitions(component: dict[str, Any], key: str) -> Definitions:
    """Return parameters and artifacts alike."""
    both = component.get(key, {})
    return {**both.get("parameters", {}), **both.get("artifacts", {})}


def passed_parameters(name: str) -> Iterator[tuple[str, str, str]]:
    """Yield each pipeline parameter that a task takes: its name, the task's component, the component's input."""
    spec = next(yaml.safe_load_all((ROOT / "compiled" / f"{name}.yaml").read_text()))
    for component in (spec["root"], *spec["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            for key, value in task.get("inputs", {}).get("parameters", {}).items():
                source = value.get("componentInputParameter", "").removeprefix(OF_BLOCKS)
                if source and not key.startswith(OF_BLOCKS):
                    yield source, task["componentRef"]["name"], key


@pytest.mark.parametrize("name", NAMES)
def test_every_input_and_output_has_a_description(name: str) -> None:
    missing = [
        f"{label}.{key}"
        for label, inputs, outputs in interfaces(name)
        for key, value in [*inputs.items(), *outputs.items()]
        if not key.startswith(OF_BLOCKS) and not value.get("description")
    ]
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_a_component_describes_a_pipeline_parameter_in_the_same_words(name: str) -> None:
    descriptions = {label: inputs for label, inputs, _ in interfaces(name)}
    for source, component, key in passed_parameters(name):
        if source in descriptions["root"]:
            described = descriptions[component][key]["description"]
            assert descriptions["root"][source]["description"] == " ".join(described.split()), (component, key)


def test_pipelines_describe_their_common_parameters_in_the_same_words() -> None:
    words: dict[str, set[str]] = {}
    for name in NAMES:
        for key, value in next(inputs for label, inputs, _ in interfaces(name) if label == "root").items():
            words.setdefault(key, set()).add(value["description"])
    assert {key: texts for key, texts in words.items() if len(texts) > 1} == {}


def test_every_pipeline_parameter_reaches_a_task() -> None:
    for name in NAMES:
        spec, platform = (ROOT / "compiled" / f"{name}.yaml").read_text().split("\n---\n")
        for key in yaml.safe_load(spec)["root"]["inputDefinitions"]["parameters"]:
            used = [f"componentInputParameter: {prefix}{key}\n" for prefix in ("", OF_BLOCKS)]
            used += [f"inputParameter: {OF_BLOCKS}{key}\n", f"pipelinechannel--{key}'"]
            assert any(text in spec + platform for text in used), (name, key)
