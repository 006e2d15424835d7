"""What a column takes beside numbers: missing values unless it is required, true and false if it is boolean."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.model import Model
from serving_support.bundles import numeric_bundle, ruled_bundle
from serving_support.onnx_models import ask, load, raw_request

NAN = float("nan")
BINARY = {"name": "probabilities", "parameters": {"binary_data": True}}
LACKS_SPEED = "row 1 lacks the column 'speed', which cannot be missing."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Load a model of three numbers, of which `speed` is required and `wear` is boolean."""
    return load(ruled_bundle(tmp_path_factory.mktemp("rules")))


def tensor(*rows: list[Any]) -> dict[str, Any]:
    return {"inputs": [{"name": "X", "datatype": "FP32", "shape": [len(rows), 3], "data": rows}]}


def named(*rows: list[Any]) -> dict[str, Any]:
    return {"rows": [dict(zip(("torque", "speed", "wear"), row, strict=True)) for row in rows]}


def refusal(model: Model, request: dict[str, Any]) -> str:
    with pytest.raises(RequestError) as refused:
        ask(model, request)
    assert refused.value.status == 400
    return str(refused.value)


def test_a_row_without_a_required_value_is_refused(model: Model) -> None:
    assert refusal(model, named([1, 2, 3], [1, None, 3])) == LACKS_SPEED
    assert refusal(model, {"rows": [{"torque": 1}]}) == LACKS_SPEED.replace("row 1", "row 0")


def test_nan_in_a_required_column_of_a_raw_tensor_is_refused(model: Model) -> None:
    body, json_bytes = raw_request({"X": ("FP32", np.array([[1, 2, 3], [1, NAN, 3]], np.float32))})
    with pytest.raises(RequestError, match=LACKS_SPEED):
        json_codec.infer(model, body, json_bytes)


def test_nan_in_another_column_reaches_the_model(model: Model) -> None:
    json_codec.infer(model, *raw_request({"X": ("FP32", np.array([[NAN, 2, 3]], np.float32))}, outputs=[BINARY]))


@pytest.mark.parametrize("request_of", [tensor, named])
def test_a_boolean_column_takes_true_and_false_for_1_and_0(model: Model, request_of: Any) -> None:
    answer = ask(model, request_of([1, 2, True], [1, 2, False]))
    assert answer["outputs"] == ask(model, request_of([1, 2, 1], [1, 2, 0]))["outputs"]


@pytest.mark.parametrize("request_of", [tensor, named])
def test_true_in_another_column_is_refused(model: Model, request_of: Any) -> None:
    message = refusal(model, request_of([1, 2, True], [1, True, False]))
    assert message == "input 'X' takes numbers; element 4 of its data is true (row 1, column 'speed')."


def test_a_bundle_without_these_rules_takes_missing_numbers_and_no_booleans(tmp_path: Path) -> None:
    plain = load(numeric_bundle(tmp_path))
    json_codec.infer(plain, *raw_request({"X": ("FP32", np.full((1, 3), NAN, np.float32))}, outputs=[BINARY]))
    assert "takes numbers" in refusal(plain, tensor([1, 2, True]))
