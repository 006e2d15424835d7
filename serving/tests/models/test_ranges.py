"""The policies for a value outside of the range of training: off, count, clip and reject."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfp_edge_serving.codecs.tensors import limits
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.models.bundle import TensorSpec, load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions
from kfp_edge_serving.telemetry.value_counts import FeatureCounts
from serving_support.bundles import sign
from serving_support.echo import COUNTS, NUMBERS, echo_bundle, row
from serving_support.onnx_models import ask, load
from serving_support.server_process import running
from serving_support.typed_bundles import TYPES

POLICIES = ["off", "count", "clip", "reject"]
LOW, HIGH = NUMBERS["Torque [Nm]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return echo_bundle(tmp_path_factory.mktemp("echo"))


def seen(model: Model, **changes: Any) -> dict[str, Any]:
    """Return what the model was given for one row, by column."""
    outputs = {output["name"]: output["data"] for output in ask(model, {"rows": [row(**changes)]})["outputs"]}
    torque, speed, wear = outputs["X_out"]
    return {
        "torque": torque,
        "speed": speed,
        "wear": wear,
        "count": outputs["count_out"][0],
        "on": outputs["on_out"][0],
    }


def out_of_range(model: Model) -> dict[str, int]:
    features = [feature for feature in model.statistics.features() if isinstance(feature, FeatureCounts)]
    return {feature.column.name: feature.out_of_range for feature in features if feature.range is not None}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"torque": LOW},
        {"torque": HIGH},
        {"torque": float(np.float32(LOW))},
        {"torque": float(np.float32(HIGH))},
        {"speed": -50, "wear": 250},
        {"count": COUNTS[0]},
        {"count": COUNTS[1]},
    ],
)
def test_a_value_of_training_is_never_out_of_range(folder: Path, policy: str, changes: dict[str, Any]) -> None:
    model = load(folder, out_of_range=policy)
    wanted = {"torque": 0.5, "speed": 1, "wear": 2.5, "count": 3, "on": False} | changes
    assert seen(model, **changes) == pytest.approx(wanted, rel=1e-7)
    assert not any(out_of_range(model).values())


#: Just outside, in the datatype of the column, and what it is clipped to.
OUTSIDE = [
    ("torque", float(np.nextafter(np.float32(LOW), np.float32(-1))), LOW, "Torque [Nm]"),
    ("torque", float(np.nextafter(np.float32(HIGH), np.float32(1))), HIGH, "Torque [Nm]"),
    ("speed", -1e38, -50, "speed"),
    ("wear", 250.25, 250, "wear"),
    ("count", COUNTS[0] - 1, COUNTS[0], "count"),
    ("count", COUNTS[1] + 1, COUNTS[1], "count"),
    ("on", True, False, "on"),
]


@pytest.mark.parametrize(("name", "value", "_inside", "column"), OUTSIDE)
def test_off_neither_changes_nor_counts(folder: Path, name: str, value: Any, _inside: Any, column: str) -> None:
    model = load(folder, out_of_range="off")
    assert seen(model, **{name: value})[name] == pytest.approx(value, rel=1e-7)
    assert out_of_range(model) == {}


@pytest.mark.parametrize(("name", "value", "_inside", "column"), OUTSIDE)
def test_count_changes_nothing_and_counts_it(folder: Path, name: str, value: Any, _inside: Any, column: str) -> None:
    model = load(folder, out_of_range="count")
    assert seen(model, **{name: value})[name] == pytest.approx(value, rel=1e-7)
    assert {feature for feature, count in out_of_range(model).items() if count} == {column}


@pytest.mark.parametrize(("name", "value", "inside", "column"), OUTSIDE)
def test_clip_gives_the_model_the_nearest_value_of_training_and_counts_what_came(
    folder: Path, name: str, value: Any, inside: Any, column: str
) -> None:
    model = load(folder, out_of_range="clip")
    assert seen(model, **{name: value})[name] == pytest.approx(inside, rel=1e-7)
    assert {feature for feature, count in out_of_range(model).items() if count} == {column}


@pytest.mark.parametrize(("name", "value", "_inside", "column"), OUTSIDE)
def test_reject_refuses_with_the_row_the_column_and_the_range(
    folder: Path, name: str, value: Any, _inside: Any, column: str
) -> None:
    model = load(folder, out_of_range="reject")
    with pytest.raises(RequestError) as refused:
        ask(model, {"rows": [row(), row(**{name: value})]})
    assert refused.value.status == 400
    assert "row 1: " in str(refused.value)
    assert f"outside of what column '{column}' had in training" in str(refused.value)


def test_the_refusal_shows_the_value_exactly_enough_to_see_that_it_is_outside(folder: Path) -> None:
    model = load(folder, out_of_range="reject")
    with pytest.raises(RequestError) as refused:
        ask(model, {"rows": [row(torque=0.8000001)]})
    assert str(refused.value) == (
        "input 'X', row 0: 0.8000001 is outside of what column 'Torque [Nm]' had in training, 0.35 to 0.8."
    )


@pytest.mark.parametrize("policy", POLICIES)
def test_a_missing_value_is_not_out_of_range(folder: Path, policy: str) -> None:
    model = load(folder, out_of_range=policy)
    request = {"rows": [row(torque=None, kind=None)], "outputs": [{"name": "label"}]}
    assert ask(model, request)["missing"] == [["Torque [Nm]", "kind"]]
    assert not any(out_of_range(model).values())


@pytest.mark.parametrize("policy", POLICIES)
@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_large_integers_are_compared_and_clipped_exactly(folder: Path, policy: str, values: list[int]) -> None:
    model = load(folder, out_of_range=policy)
    low, high = COUNTS
    inside = [value for value in values if low <= value <= high]
    request = {"rows": [row(count=value) for value in values], "outputs": [{"name": "count_out"}]}
    if policy == "reject" and len(inside) < len(values):
        with pytest.raises(RequestError):
            ask(model, request)
        return
    clipped = [min(max(value, low), high) for value in values]
    assert ask(model, request)["outputs"][0]["data"] == (clipped if policy == "clip" else values)
    assert out_of_range(model).get("count", 0) == (0 if policy == "off" else len(values) - len(inside))


def change(folder: Path, name: str, edit: Callable[[Any], None]) -> None:
    content = json.loads((folder / name).read_bytes())
    edit(content)
    (folder / name).write_text(json.dumps(content))
    sign(folder)


def test_a_column_without_a_range_beside_one_that_has_is_left_alone(tmp_path: Path) -> None:
    folder = echo_bundle(tmp_path)
    change(folder, "signature.json", lambda signature: signature["inputs"][0]["columns"][1].pop("range"))
    model = load(folder, out_of_range="clip")
    assert seen(model, speed=1e38, wear=251) == pytest.approx(
        {"torque": 0.5, "speed": 1e38, "wear": 250, "count": 3, "on": False}, rel=1e-7
    )


@pytest.mark.parametrize("datatype", [name for name in TYPES if "INT" in name])
def test_without_a_range_the_datatype_alone_limits(datatype: str) -> None:
    whole = np.iinfo(TYPES[datatype][1])
    low, high = limits([-np.inf, float(whole.min)], [np.inf, float(whole.max)], TensorSpec("x", datatype, (-1, 2)))
    assert (low.dtype, high.dtype) == (TYPES[datatype][1], TYPES[datatype][1])
    assert low.tolist() == [whole.min, whole.min]
    assert high.tolist() == [whole.max, whole.max]


@pytest.mark.parametrize("largest", [1e5, 1e39])
def test_a_range_beyond_the_datatype_limits_nothing(largest: float) -> None:
    low, high = limits([-largest], [largest], TensorSpec("x", "FP16" if largest < 1e6 else "FP32", (-1, 1)))
    assert (low.tolist(), high.tolist()) == ([-np.inf], [np.inf])


def test_integers_lie_in_a_range_with_fractions(tmp_path: Path) -> None:
    folder = echo_bundle(tmp_path)
    change(folder, "signature.json", lambda signature: signature["inputs"][1]["columns"][0].update(range=[0.5, 2.5]))
    model = load(folder, out_of_range="clip")
    assert [seen(model, count=value)["count"] for value in (0, 1, 2, 3)] == [1, 1, 2, 2]
    assert out_of_range(model)["count"] == 2


def test_recorded_requests_outside_of_the_range_do_not_stop_the_server(tmp_path: Path) -> None:
    folder = echo_bundle(tmp_path)

    def beyond(samples: Any) -> None:
        samples["samples"][0]["request"]["inputs"][0]["data"] = [1e6, 1e6, 1e6]

    change(folder, "samples.json", beyond)
    with running(tmp_path, "--out-of-range", "reject") as server:
        assert server.infer("echo", {"rows": [row()]})[0] == 200
        status, answer = server.infer("echo", {"rows": [row(speed=51)]})
        assert (status, "column 'speed' had in training, -50.0 to 50.0" in answer["error"]) == (400, True)


WRONG: dict[str, tuple[Callable[[Any], None], str]] = {
    "too few columns": (
        lambda inputs: inputs[0]["columns"].pop(),
        "input 'X' has 2 columns for the shape [-1, 3].",
    ),
    "a range of text": (
        lambda inputs: inputs[2]["columns"][0].update(range=[0, 1]),
        "input 'kind' of BYTES has a range for column 'kind'.",
    ),
    "categories of numbers": (
        lambda inputs: inputs[1]["columns"][0].update(categories=["1"]),
        "input 'count' of INT64 has categories for column 'count'.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_columns_that_do_not_fit_their_input_are_refused_at_start(tmp_path: Path, case: str) -> None:
    folder = echo_bundle(tmp_path)
    edit, message = WRONG[case]
    change(folder, "signature.json", lambda signature: edit(signature["inputs"]))
    with pytest.raises(StartError) as refused:
        Model(load_bundle(folder), ModelOptions())
    assert str(refused.value) == f"the signature of model echo 1 is wrong: {message}"
