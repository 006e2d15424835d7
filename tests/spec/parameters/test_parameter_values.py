"""What people type as a parameter is taken as they meant it, or one sentence says how to write it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kfp import dsl

from kfp_edge.cli.parameters import read_parameters
from kfp_edge.errors import ParameterError
from kfp_edge.spec.compiled_pipeline import CompiledPipeline
from kfp_edge.spec.compiling import compiler

#: What YAML 1.1 reads as booleans, dates, numbers, sexagesimals and nothing.
SURPRISING = ["no", "on", "Yes", "1", "2024-01-01", "1_000", "0x10", "017", "1e3", "1.10", "12:30", "null", "~"]


@pytest.fixture(scope="module")
def pipeline() -> CompiledPipeline:
    return CompiledPipeline(compiler.compile_to_yaml(compiler.load_pipeline("edge_mlops")))


def refusal(pipeline: CompiledPipeline, values: Mapping[str, object]) -> str:
    with pytest.raises(ParameterError) as caught:
        pipeline.arguments(values)
    return str(caught.value)


@pytest.mark.parametrize("text", SURPRISING)
def test_a_text_on_the_command_line_is_taken_as_typed(pipeline: CompiledPipeline, text: str) -> None:
    assert pipeline.arguments({"target": text}) == {"target": text}
    assert pipeline.arguments({"drop": f"[{text}, b]"}) == {"drop": [text, "b"]}


@pytest.mark.parametrize("text", [text for text in SURPRISING if text not in ("null", "~")])
def test_a_text_in_a_parameter_file_is_taken_as_typed(pipeline: CompiledPipeline, tmp_path: Path, text: str) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text(f"target: {text}\ndrop:\n- {text}\n- b\ncolumns: {{{text}: {{dtype: number}}}}\n")
    assert pipeline.arguments(read_parameters(None, file)) == {
        "target": text,
        "drop": [text, "b"],
        "columns": {text: {"dtype": "number"}},
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"columns": "{on: {min: 0}, 1: {max: 2}}"}, {"on": {"min": 0}, "1": {"max": 2}}),
        ({"columns": '{"a": {"missing": false, "values": ["no", 1, 1e-3]}}'}, None),
        ({"columns": '{\n\t"a": {"min": 1}\n}'}, {"a": {"min": 1}}),
        ({"columns": '{"\\ud83d\\ude00": {"min": 0}}'}, {"😀": {"min": 0}}),
        ({"false_alarm_rate": "1e-3"}, 0.001),
        ({"false_alarm_rate": "1E-9"}, 1e-9),
        ({"false_alarm_rate": "+.5e-1"}, 0.05),
        ({"false_alarm_rate": "010"}, 10.0),
        ({"false_alarm_rate": "10000000000000000000"}, 1e19),
        ({"seed": "010"}, 10),
        ({"seed": "+7"}, 7),
        ({"seed": "1e3"}, 1000),
        ({"seed": 3.0}, 3),
        ({"rolling_windows": "[6.0, 1e1]"}, [6, 10]),
        ({"rolling_windows": np.array([6, 12])}, [6, 12]),
        ({"columns": "{a: {values: [no, 12:30, 010, 1e-9, 0o17]}}"}, {"a": {"values": ["no", "12:30", 10, 1e-9, 15]}}),
        (
            {"columns": {"a": {"missing": np.bool_(False), "min": np.float64(0.5)}}},
            {"a": {"missing": False, "min": 0.5}},
        ),
        ({"false_alarm_rate": "0.1%"}, 0.001),
        ({"false_alarm_rate": "5 %"}, 0.05),
        ({"rolling_windows": "[6, 0x24]"}, [6, 36]),
        ({"seed": np.int64(3)}, 3),
        ({"false_alarm_rate": np.float32(0.5)}, 0.5),
        ({"drop": ("a", "b")}, ["a", "b"]),
        ({"data": Path("machines.csv")}, "machines.csv"),
        ({"gates": "{roc_auc: off, recall: 'off'}"}, {"roc_auc": "off", "recall": "off"}),
        ({"gates": "{roc_auc: 0.8, recall: '>=0.9', f1: 80%}"}, {"roc_auc": 0.8, "recall": ">=0.9", "f1": "80%"}),
    ],
)
def test_a_value_is_read_by_the_core_schema_of_yaml_1_2(
    pipeline: CompiledPipeline, value: dict[str, Any], expected: object
) -> None:
    ((name, text),) = value.items()
    if expected is None:
        expected = {"a": {"missing": False, "values": ["no", 1, 0.001]}}
    assert pipeline.arguments({name: text}) == {name: expected}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"gates": "{roc_auc: null}"},
            'the parameter gates is null at roc_auc, which KFP cannot pass; write "off" to switch a gate off.',
        ),
        (
            {"columns": {"X": {"min": None}}},
            "the parameter columns is null at X.min, which KFP cannot pass; leave it out.",
        ),
        ({"columns": "{X: {values: [1, ~]}}"}, "the parameter columns is null at X.values.1, which KFP cannot pass"),
        ({"seed": "1.5"}, "seed must be a whole number, not 1.5."),
        ({"seed": "10,000"}, 'seed must be a whole number, not "10,000"; write 10000.'),
        ({"seed": "10 000"}, 'seed must be a whole number, not "10 000"; write 10000.'),
        ({"seed": "1e300"}, "contains 1.000000e+300, which KFP cannot pass exactly"),
        ({"seed": 10**5000}, "contains 1.000000e+5000, which KFP cannot pass exactly"),
        ({"seed": "1" * 5000}, "is not valid YAML: a number has too many digits (line 1, column 1)"),
        ({"seed": True}, "seed must be a whole number, not true."),
        ({"seed": "inf"}, 'seed must be a whole number, not "inf".'),
        (
            {"false_alarm_rate": "9007199254740993"},
            "contains 9007199254740993, which KFP cannot pass exactly; round it",
        ),
        ({"false_alarm_rate": 10**400}, "contains 1.000000e+400, which KFP cannot pass exactly; round it"),
        ({"false_alarm_rate": "1e400"}, "which is no finite number"),
        ({"false_alarm_rate": float("inf")}, "which is no finite number"),
        ({"false_alarm_rate": "10,000"}, "write 10000 or 10.000, whichever is meant."),
        ({"false_alarm_rate": "1_000.5"}, 'false_alarm_rate must be a number, not "1_000.5".'),
        ({"columns": "{X: {min: 9007199254740993}}"}, "which KFP cannot pass exactly"),
        ({"columns": '{"\\ud83d": {"min": 0}}'}, "is not valid YAML: it contains half of a character"),
        ({"columns": '{"a": {"min": 1},\t"a": {"min": 2}}'}, "the key 'a' is given twice (line 1, column 19)"),
        ({"seed": "1_000"}, 'seed must be a whole number, not "1_000"; write 1000.'),
        ({"seed": "12:30"}, 'seed must be a whole number, not "12:30".'),
        (
            {"seed": "9007199254740993"},
            "contains 9007199254740993, which KFP cannot pass exactly; give a whole number of at most "
            "9007199254740992.",
        ),
        ({"rolling_windows": "[9007199254740993]"}, "contains 9007199254740993, which KFP cannot pass exactly"),
        ({"columns": "{X: {min: 9007199254740993}}"}, "9007199254740992, or write it as a text in quotes."),
        ({"false_alarm_rate": "0,001"}, 'false_alarm_rate must be a number, not "0,001"; write 0.001.'),
        ({"false_alarm_rate": ".nan"}, "which is no finite number"),
        ({"gates": "{recall: .inf}"}, "which is no finite number"),
        ({"gates": "{recall:0.9}"}, 'gates has no value for "recall:0.9"; write {name: value} with a space'),
        ({"gates": "{recall: }"}, 'gates has no value for "recall"; give it a value'),
        ({"gates": "recall"}, 'gates must be a mapping, not "recall"; write one such as {"roc_auc": 0.9, '),
        ({"threshold": "0.3"}, "threshold must be a mapping, not 0.3; write one such as {missed_cost: 2000, "),
        ({"gates": "{recall: 1, recall: 2}"}, "the key 'recall' is given twice (line 1, column 13)"),
        ({"gates": "&a {b: *a}"}, "an alias refers to what encloses it"),
        ({"drop": "[" * 5000}, "nested too deeply"),
        ({"drop": "serial number"}, 'drop must be a list of texts, not "serial number"; write [serial number].'),
        ({"drop": ""}, "write [] for an empty one"),
        ({"drop": "[a: 1]"}, 'drop must be a list of texts; it contains {"a": 1}.'),
        ({"drop": [1]}, 'drop must be a list of texts; it contains 1; write it as a text in quotes: "1".'),
        ({"target": 1}, 'target must be text, not 1; write it as a text in quotes: "1".'),
        ({"gates": {1: 0.5}}, "gates has the key 1; write it as a text: '1'."),
        ({"rolling_windows": "[6, 1_000]"}, 'must be a list of whole numbers; it contains "1_000"; write 1000.'),
    ],
)
def test_a_value_that_cannot_be_taken_is_answered_with_how_to_write_it(
    pipeline: CompiledPipeline, value: dict[str, Any], message: str
) -> None:
    assert message in refusal(pipeline, value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_parameter_file_may_be_json_in_any_encoding_of_json(
    pipeline: CompiledPipeline, tmp_path: Path, encoding: str
) -> None:
    file = tmp_path / "parameters.json"
    file.write_text('{\n\t"target": "größe",\n\t"columns": {"\\ud83d\\ude00": {"min": 0}},\n\t"seed": 1e3\n}', encoding)
    expected = {"target": "größe", "columns": {"😀": {"min": 0}}, "seed": 1000}
    assert pipeline.arguments(read_parameters(None, file)) == expected


def test_a_parameter_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_bytes(b"target: gr\xf6\xdfe\n")
    with pytest.raises(ParameterError, match="is not UTF-8 text; save it as UTF-8"):
        read_parameters(None, file)


@pytest.mark.parametrize("written", ["1e-9", "0.000000001", "1E-9"])
def test_a_number_is_the_same_from_the_command_line_a_file_and_python(
    pipeline: CompiledPipeline, tmp_path: Path, written: str
) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text(f"false_alarm_rate: {written}\n")
    for values in (
        read_parameters([f"false_alarm_rate={written}"], None),
        read_parameters([f"false-alarm-rate ={written}"], None),
        read_parameters(None, file),
        {"false_alarm_rate": written},
        {"false_alarm_rate": float(written)},
    ):
        assert pipeline.arguments(values) == {"false_alarm_rate": 1e-9}


def test_a_parameter_with_a_default_is_not_needed_and_one_without_a_type_takes_no_value() -> None:
    definitions = {"rows": {"parameterType": "NUMBER_INTEGER", "defaultValue": 3}, "any": {}}
    spec = {"pipelineInfo": {"name": "a"}, "root": {"dag": {}, "inputDefinitions": {"parameters": definitions}}}
    compiled = CompiledPipeline("", spec)
    with pytest.raises(ParameterError, match="the pipeline a needs the parameter 'any'"):
        compiled.arguments({})
    with pytest.raises(ParameterError, match="the parameter any of the pipeline a has no type"):
        compiled.arguments({"any": 1})


@pytest.mark.parametrize("text", ["target:\n", "target: null\n", "target: ~\n"])
def test_an_empty_value_in_a_parameter_file_is_not_a_column_called_null(
    pipeline: CompiledPipeline, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text(text)
    assert "target is empty; leave it out, or write it in quotes" in refusal(pipeline, read_parameters(None, file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "must be a mapping of parameter names to values"),
        ("target: a\ntarget: b\n", "the key 'target' is given twice (line 2, column 1)"),
        ("target: [a\n", "is not valid YAML"),
        ("a: 1\n---\nb: 2\n", "is not valid YAML"),
    ],
)
def test_a_parameter_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text(text)
    with pytest.raises(ParameterError) as caught:
        read_parameters(None, file)
    assert str(caught.value).startswith(f"the parameter file {file} cannot be used: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        {"data": "https://anna:s3cret-word@data.example.com/a.csv"},
        {"build_options": {"context": "s3://anna:s3cret-word@bucket/x"}},
        {"drop": ["https://anna:s3cret-word@data.example.com"]},
        {"seed": "https://anna:s3cret-word@data.example.com"},
    ],
)
def test_a_secret_is_refused_as_a_parameter_and_not_repeated(pipeline: CompiledPipeline, value: dict[str, Any]) -> None:
    message = refusal(pipeline, value)
    assert "a password in a URL" in message
    assert "s3cret-word" not in message


def test_lists_of_another_author_s_component_are_read_by_its_types() -> None:
    """In exit handlers and nested pipelines, too, where KFP renames the parameters."""

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def choose(names: list[str], sizes: list[float], rows: list[dict], whatever: list) -> str:
        return str((names, sizes, rows, whatever))

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def end() -> None:
        pass

    @dsl.pipeline(name="inner")
    def inner(names: list, sizes: list, rows: list, whatever: list) -> None:
        choose(names=names, sizes=sizes, rows=rows, whatever=whatever)

    @dsl.pipeline(name="outer")
    def outer(columns: list, sizes: list = [], rows: list = [], whatever: list = []) -> None:  # noqa: B006
        with dsl.ExitHandler(end()):
            inner(names=columns, sizes=sizes, rows=rows, whatever=whatever)

    compiled = CompiledPipeline(compiler.compile_to_yaml(outer))
    values = {"columns": "[no, 1]", "sizes": "[1, 50%]", "rows": "[{a: on}]", "whatever": "[no, 1]"}
    assert compiled.arguments(values) == {
        "columns": ["no", "1"],
        "sizes": [1.0, 0.5],
        "rows": [{"a": "on"}],
        "whatever": ["no", 1],
    }
