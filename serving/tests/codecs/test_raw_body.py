"""A body of one raw tensor, without JSON: its shape follows from its length."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import tritonclient.http as triton

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.codecs.raw_body import parse_raw_body
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.bundle import ColumnSpec, TensorSpec
from serving_support.bundles import mixed_bundle, numeric_bundle, ruled_bundle
from serving_support.onnx_models import load, raw_request
from serving_support.raw_http import exchange, post
from serving_support.server_process import Server
from serving_support.typed_bundles import TYPES

ROWS = np.array([[1, 2, 3], [0, -1, -0.5]], np.float32)


class OneInput:
    """Stands in for a model of one input."""

    def __init__(self, spec: TensorSpec) -> None:
        self.inputs = {spec.name: spec}


def parse(spec: TensorSpec, body: bytes) -> Any:
    model: Any = OneInput(spec)
    return parse_raw_body(model, body)[spec.name]


def refusal(spec: TensorSpec, body: bytes) -> str:
    with pytest.raises(RequestError) as refused:
        parse(spec, body)
    assert refused.value.status == 400
    return str(refused.value)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_a_body_without_json_is_answered_as_the_same_tensor_with_json_and_raw(tmp_path: Path, rows: int) -> None:
    model = load(numeric_bundle(tmp_path))
    body, json_bytes = raw_request({"X": ("FP32", ROWS[:rows])}, parameters={"binary_data_output": True})
    answer = json_codec.infer(model, ROWS[:rows].tobytes(), 0)
    assert answer == json_codec.infer(model, body, json_bytes)
    label, _ = orjson.loads(answer.body[: answer.json_bytes])["outputs"]
    assert label == {
        "name": "label",
        "datatype": "INT64",
        "shape": [rows],
        "parameters": {"binary_data_size": 8 * rows},
    }


def test_a_server_answers_it(server: Server) -> None:
    request = post("/v2/models/pump/infer", ROWS.tobytes(), "Inference-Header-Content-Length: 0")
    (answer,) = exchange(server.port, request)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
    length = int(answer.headers["inference-header-content-length"])
    result = triton.InferenceServerClient.parse_response_body(answer.body, header_length=length)
    assert result.as_numpy("label").tolist() == [1, 0]
    assert result.as_numpy("probabilities").shape == (2, 2)


@pytest.mark.parametrize(
    ("shape", "batch_dimension", "size", "expected"),
    [
        ((-1,), None, 5, (5,)),
        ((-1,), 0, 5, (5,)),
        ((-1, 3), 0, 6, (2, 3)),
        ((2, 3), None, 6, (2, 3)),
        ((4, -1, 2), None, 24, (4, 3, 2)),
        ((-1, -1), 0, 5, (1, 5)),
        ((-1, 2, -1), 2, 6, (3, 2, 1)),
        ((), None, 1, ()),
    ],
)
def test_at_most_one_dimension_follows_from_the_length(
    shape: tuple[int, ...], batch_dimension: int | None, size: int, expected: tuple[int, ...]
) -> None:
    values = np.arange(size, dtype=np.float32)
    array = parse(TensorSpec("x", "FP32", shape, batch_dimension=batch_dimension), values.tobytes())
    assert (array.shape, array.ravel().tolist()) == (expected, values.tolist())


@pytest.mark.parametrize("datatype", [name for name in TYPES if name != "BYTES"])
def test_every_datatype_of_numbers_is_taken(datatype: str) -> None:
    values = np.array([[1, 0]], TYPES[datatype][1])
    array = parse(TensorSpec("x", datatype, (-1, 2), batch_dimension=0), values.tobytes())
    assert (array.dtype, array.tolist()) == (values.dtype, values.tolist())


@pytest.mark.parametrize("shape", [(-1,), (1,), (-1, 1), (1, 1)])
def test_text_is_one_element_without_a_length_before_it(shape: tuple[int, ...]) -> None:
    array = parse(TensorSpec("x", "BYTES", shape), "Lager läuft heiß".encode())
    assert (array.size, array.ravel().tolist()) == (1, ["Lager läuft heiß"])


NUMBERS = TensorSpec("x", "FP32", (-1, 3), batch_dimension=0)


@pytest.mark.parametrize(
    ("spec", "body", "message"),
    [
        (NUMBERS, b"\0" * 13, "the body of 13 bytes is no multiple of the 12 bytes of 'x'."),
        (TensorSpec("x", "FP32", (2, 3)), b"\0" * 12, "input 'x' of shape [2, 3] needs 24 bytes of FP32, got 12."),
        (
            TensorSpec("x", "FP32", (-1, -1)),
            b"\0" * 12,
            "input 'x' takes shape [-1, -1] (-1 is any size), which does not follow from a body without JSON.",
        ),
        (TensorSpec("x", "BYTES", (1, 2)), b"a", "input 'x' of shape [1, 2] needs 2 values in its data, got 1."),
        (TensorSpec("x", "BYTES", (-1,)), b"\xff", "the body, which is the text of input 'x', is not UTF-8."),
        (NUMBERS, np.array([1, math.inf, 2], np.float32).tobytes(), "input 'x' holds an infinite value."),
    ],
)
def test_what_is_not_such_a_tensor_is_refused(spec: TensorSpec, body: bytes, message: str) -> None:
    assert refusal(spec, body) == message


def test_a_model_of_several_inputs_needs_json(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="the only input of a model, and this one takes 'torque', 'Type', "):
        json_codec.infer(load(mixed_bundle(tmp_path)), b"\0" * 4, 0)


def test_the_rules_of_columns_apply(tmp_path: Path) -> None:
    body = np.array([1, 2, 3, 1, math.nan, 3], np.float32).tobytes()
    with pytest.raises(RequestError, match="row 1 lacks the column 'speed', which cannot be missing"):
        json_codec.infer(load(ruled_bundle(tmp_path)), body, 0)


def test_a_category_that_training_did_not_have_is_refused() -> None:
    spec = TensorSpec("x", "BYTES", (-1, 1), (ColumnSpec("kind", categories=frozenset("HL")),))
    assert refusal(spec, b"M").startswith("input 'x', row 0: 'M' is not a category of column 'kind'")
