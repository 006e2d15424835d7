"""Constants, defaults and loop items have the type that the driver asks for, tried on a cluster (KFP 2.16.1)."""

import json
from typing import Any

import pytest
import yaml
from kfp import dsl

from kfp_edge.spec import validate_text
from kfp_edge.spec.compiling.compiler import compile_to_yaml


@dsl.component(base_image="a:1", install_kfp_package=False)
def text(value: str = "x") -> None:
    print(value)


@dsl.component(base_image="a:1", install_kfp_package=False)
def whole(value: int = 1) -> None:
    print(value)


@dsl.component(base_image="a:1", install_kfp_package=False)
def fraction(value: float = 1.0) -> None:
    print(value)


@dsl.component(base_image="a:1", install_kfp_package=False)
def choice(value: bool = True) -> None:
    print(value)


@dsl.component(base_image="a:1", install_kfp_package=False)
def several(value: list[int] = [1]) -> None:  # noqa: B006 KFP has no other way
    print(value)


@dsl.component(base_image="a:1", install_kfp_package=False)
def table(value: dict[str, int] = {"a": 1}) -> None:  # noqa: B006
    print(value)


#: A component of each type, a value of it, and values that it does not take.
TYPES = {
    "text": (text, "a", ()),
    "whole": (whole, 3, ("3", True, [3], {"a": 3})),
    "fraction": (fraction, 1.5, ("1.5", False, [1.5], {})),
    "choice": (choice, True, ("true", 1, [], {})),
    "several": (several, [1], ("[1]", 1, True, {"a": 1})),
    "table": (table, {"a": 1}, ("{}", 1, True, [1])),
}
MISMATCHES = [(name, value) for name, (_, _, values) in TYPES.items() for value in values]


def findings_of(spec: dict[str, Any]) -> list[str]:
    report = validate_text(json.dumps(spec))
    return [f"{finding.code} {finding.path}: {finding.message}" for finding in report.findings]


def with_constant(name: str) -> dict[str, Any]:
    component, value, _ = TYPES[name]

    @dsl.pipeline(name="constants")
    def constants() -> None:
        component(value=value)

    return yaml.safe_load(compile_to_yaml(constants))


@pytest.mark.parametrize("name", TYPES)
def test_a_constant_of_the_type_is_valid(name: str) -> None:
    assert findings_of(with_constant(name)) == []


@pytest.mark.parametrize(("name", "value"), MISMATCHES)
def test_a_constant_of_another_type_is_reported(name: str, value: object) -> None:
    spec = with_constant(name)
    runtime_value = spec["root"]["dag"]["tasks"][name]["inputs"]["parameters"]["value"]["runtimeValue"]
    runtime_value["constant"] = value
    (found,) = findings_of(spec)
    path = f"root.dag.tasks.{name}.inputs.parameters.value.runtimeValue.constant"
    assert found.startswith(f"KE105 {path}: is ")
    assert "and the run fails when it reaches the task; write " in found


@pytest.mark.parametrize("value", [5, 1.5, True, [1, {"a": 2}], {}, None, "{{$.pipeline_job_name}}"])
def test_a_text_takes_every_value(value: object) -> None:
    spec = with_constant("text")
    spec["root"]["dag"]["tasks"]["text"]["inputs"]["parameters"]["value"]["runtimeValue"]["constant"] = value
    assert findings_of(spec) == []


def test_a_fraction_for_a_whole_number_is_valid_as_for_the_driver() -> None:
    spec = with_constant("whole")
    spec["root"]["dag"]["tasks"]["whole"]["inputs"]["parameters"]["value"]["runtimeValue"]["constant"] = 1.5
    assert findings_of(spec) == []


@pytest.mark.parametrize("source", [{}, {"runtimeValue": {}}])
def test_an_input_without_a_value_is_reported(source: dict[str, Any]) -> None:
    spec = with_constant("text")
    spec["root"]["dag"]["tasks"]["text"]["inputs"]["parameters"]["value"] = source
    (found,) = findings_of(spec)
    assert found.startswith("KE105 root.dag.tasks.text.inputs.parameters.value: has no value")


def test_an_empty_value_for_another_type_than_a_text_is_reported() -> None:
    spec = with_constant("whole")
    spec["root"]["dag"]["tasks"]["whole"]["inputs"]["parameters"]["value"]["runtimeValue"]["constant"] = None
    (found,) = findings_of(spec)
    assert "is empty, and the run fails" in found


@dsl.pipeline(name="inner")
def inner(count: int = 3) -> None:
    whole(value=count)


@dsl.pipeline(name="defaults")
def defaults(count: int = 3, spare: int = 1) -> None:
    inner(count=count)


@dsl.pipeline(name="nested-default")
def nested_default() -> None:
    inner()


def test_a_default_of_another_type_is_reported_where_a_nested_task_takes_it() -> None:
    spec = yaml.safe_load(compile_to_yaml(defaults))
    assert findings_of(spec) == []
    spec["root"]["inputDefinitions"]["parameters"]["count"]["defaultValue"] = "abc"
    (found,) = findings_of(spec)
    path = "root.inputDefinitions.parameters.count.defaultValue"
    assert found.startswith(f"KE105 {path}: is the text 'abc', and a task takes count as a number")


def test_a_default_that_no_task_takes_is_valid() -> None:
    spec = yaml.safe_load(compile_to_yaml(defaults))
    spec["root"]["inputDefinitions"]["parameters"]["spare"]["defaultValue"] = "abc"
    spec["components"]["comp-inner"]["inputDefinitions"]["parameters"]["count"]["defaultValue"] = "abc"
    spec["components"]["comp-whole"]["inputDefinitions"]["parameters"]["value"]["defaultValue"] = "abc"
    assert findings_of(spec) == []


def test_a_default_of_a_nested_pipeline_is_reported_where_it_is_used() -> None:
    spec = yaml.safe_load(compile_to_yaml(nested_default))
    spec["components"]["comp-inner"]["inputDefinitions"]["parameters"]["count"]["defaultValue"] = "abc"
    (found,) = findings_of(spec)
    assert found.startswith("KE105 root.dag.tasks.inner.componentRef: the default of count in comp-inner is the text")


def test_a_secret_in_the_place_of_another_type_is_not_shown() -> None:
    spec = yaml.safe_load(compile_to_yaml(defaults))
    secret = "ghp_" + "a" * 36
    spec["root"]["inputDefinitions"]["parameters"]["count"]["defaultValue"] = secret
    (found,) = findings_of(spec)
    assert secret not in found


@dsl.pipeline(name="loop")
def loop() -> None:
    with dsl.ParallelFor([1, 2]) as item:
        whole(value=item)


def findings_of_items(raw: str) -> list[str]:
    spec = yaml.safe_load(compile_to_yaml(loop))
    spec["root"]["dag"]["tasks"]["for-loop-2"]["parameterIterator"]["items"]["raw"] = raw
    return findings_of(spec)


@pytest.mark.parametrize("raw", ["[1, 2]", "[1.5]", "[]", '"[1]"', '"5"'])
def test_items_that_the_driver_takes_are_valid(raw: str) -> None:
    assert findings_of_items(raw) == []


@pytest.mark.parametrize("raw", ["not json", '{"a": 1}', "5", "null", "[1", "", '"not json"'])
def test_items_that_are_no_list_are_reported(raw: str) -> None:
    (found,) = findings_of_items(raw)
    assert found.startswith("KE105 root.dag.tasks.for-loop-2.parameterIterator.items.raw: is no list in JSON")
    assert "write one, such as '[1, 2]'" in found


@pytest.mark.parametrize("raw", ['[1, "a"]', "[1, true]", "[1, null]", "[1, [2]]", '[1, {"a": 1}]'])
def test_an_item_of_another_type_is_reported(raw: str) -> None:
    (found,) = findings_of_items(raw)
    assert "as item 2, and the run fails" in found
    assert found.endswith("write a number.")


def test_an_item_of_a_list_without_a_type_is_a_text_and_reported_where_a_number_is_taken() -> None:
    @dsl.pipeline(name="untyped")
    def untyped(items: list = [1, 2]) -> None:  # type: ignore[type-arg]  # noqa: B006
        with dsl.ParallelFor(items) as item:
            whole(value=item)
            text(value=item)

    (found,) = findings_of(yaml.safe_load(compile_to_yaml(untyped)))
    path = "components.comp-for-loop-1.dag.tasks.whole.inputs.parameters.value.componentInputParameter"
    assert found.startswith(f"KE105 {path}: is pipelinechannel--items-loop-item, a text, and comp-whole takes a number")
    assert "list[int]" in found


def test_items_of_a_typed_list_and_members_of_mappings_are_valid() -> None:
    @dsl.pipeline(name="typed")
    def typed(
        items: list[int] = [1, 2],  # noqa: B006
        rows: list[dict] = [{"a": 1}],  # type: ignore[type-arg]  # noqa: B006
        number: float = 1.0,
    ) -> None:
        with dsl.ParallelFor(items) as item:
            whole(value=item)
        with dsl.ParallelFor(rows) as row:
            whole(value=row.a)
        fraction(value=number)

    assert findings_of(yaml.safe_load(compile_to_yaml(typed))) == []


@dsl.component(base_image="a:1", install_kfp_package=False)
def pick(row: dict[str, list[int]]) -> list[int]:
    return row["a"]


def test_a_loop_over_a_member_of_an_item_is_reported_and_one_over_an_output_is_valid() -> None:
    rows = [{"a": [1, 2]}, {"a": [3]}]

    @dsl.pipeline(name="member")
    def member() -> None:
        with dsl.ParallelFor(rows) as row, dsl.ParallelFor(row.a) as item:
            text(value=item)

    @dsl.pipeline(name="output")
    def output() -> None:
        with dsl.ParallelFor(rows) as row, dsl.ParallelFor(pick(row=row).output) as item:
            whole(value=item)

    (found,) = findings_of(yaml.safe_load(compile_to_yaml(member)))
    path = "components.comp-for-loop-2.dag.tasks.for-loop-3.parameterIterator.items.inputParameter"
    assert found.startswith(f"KE104 {path}: is a loop over a member of another loop's item")
    assert findings_of(yaml.safe_load(compile_to_yaml(output))) == []
