"""NaN both ways: null in JSON, as KServe and MLServer have it, and its own bits in raw tensors."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
import pytest
from onnx import helper, numpy_helper

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions
from kfp_edge_serving.models.self_test import replay
from serving_support.bundles import numeric_bundle, ruled_bundle, sign
from serving_support.echo import echo_bundle, row
from serving_support.onnx_models import ask, load, raw_request
from serving_support.typed_bundles import TYPES, typed_bundle, typed_request

FLOATS = ("FP16", "FP32", "FP64")


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Load a model that answers its inputs; category `kind` was missing in training, too."""
    return load(echo_bundle(tmp_path_factory.mktemp("echo")))


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Load a model that answers its inputs, one of each datatype, without names of columns."""
    return load(typed_bundle(tmp_path_factory.mktemp("typed")))


def echo_tensors(**data: list[Any]) -> dict[str, Any]:
    """Return a request for two rows of `echo` with other data for some inputs."""
    inputs = {
        "X": ("FP32", [0.5, 1, 2, 0.5, 1, 2]),
        "count": ("INT64", [1, 2]),
        "kind": ("BYTES", ["H", "L"]),
        "on": ("BOOL", [True, False]),
    }
    return {
        "inputs": [
            {"name": name, "datatype": datatype, "shape": [2, len(values) // 2], "data": data.get(name, values)}
            for name, (datatype, values) in inputs.items()
        ]
    }


def with_data(datatype: str, data: Any) -> dict[str, Any]:
    """Return a request for `typed` with the data of one input."""
    request = typed_request({})
    next(tensor for tensor in request["inputs"] if tensor["datatype"] == datatype)["data"] = data
    return request


def outputs(answer: Any) -> dict[str, Any]:
    return {output["name"]: output["data"] for output in answer["outputs"]}


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(RequestError) as refused:
        call()
    assert refused.value.status == 400
    return str(refused.value)


# --- in a request ---


@pytest.mark.parametrize("datatype", FLOATS)
@pytest.mark.parametrize("data", [[None], [[None]]])
def test_null_in_a_tensor_of_floats_reaches_the_model_as_nan(typed: Model, datatype: str, data: Any) -> None:
    name = f"{datatype.lower()}_out"
    request = with_data(datatype, data) | {"outputs": [{"name": name, "parameters": {"binary_data": True}}]}
    answer = json_codec.infer(typed, orjson.dumps(request))
    assert np.isnan(np.frombuffer(answer.body[answer.json_bytes :], TYPES[datatype][1])).tolist() == [True]


def test_null_means_the_same_as_nan_in_a_raw_tensor_and_as_null_in_rows(echo: Model) -> None:
    tensors = ask(echo, echo_tensors(X=[None, 1, 2, 0.5, 1, None]))
    rows = [row(torque=None, wear=2, count=1, on=True), row(wear=None, count=2, kind="L")]
    assert tensors["outputs"] == ask(echo, {"rows": rows})["outputs"]
    assert outputs(tensors)["X_out"] == [None, 1, 2, 0.5, 1, None]


def test_null_is_counted_as_a_missing_value(tmp_path: Path) -> None:
    model = load(echo_bundle(tmp_path))
    ask(model, echo_tensors(X=[None, 1, 2, 0.5, 1, 2]))
    assert {feature.column.name: feature.missing for feature in model.statistics.features()}["Torque [Nm]"] == 1


def test_null_in_a_tensor_of_text_is_a_missing_category_where_training_had_some(echo: Model) -> None:
    assert outputs(ask(echo, echo_tensors(kind=["H", None])))["kind_out"] == ["H", ""]


@pytest.mark.parametrize("datatype", [name for name in TYPES if name not in FLOATS])
def test_null_is_refused_where_nothing_means_missing(typed: Model, datatype: str) -> None:
    message = refusal(lambda: ask(typed, with_data(datatype, [None])))
    assert message.startswith(f"input '{datatype.lower()}' takes ")
    assert message.endswith(", which cannot be missing; element 0 of its data is null.")


def test_null_in_a_required_column_is_refused_as_in_rows_and_in_raw_tensors(tmp_path: Path) -> None:
    model = load(ruled_bundle(tmp_path))
    data = [1, 2, 3, 1, None, 3]
    tensor = {"name": "X", "datatype": "FP32", "shape": [2, 3], "data": data}
    message = "row 1 lacks the column 'speed', which cannot be missing."
    assert refusal(lambda: ask(model, {"inputs": [tensor]})) == message
    body, json_bytes = raw_request({"X": ("FP32", np.array(data, np.float32).reshape(2, 3))})
    assert refusal(lambda: json_codec.infer(model, body, json_bytes)) == message


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_a_literal_that_json_does_not_have_is_refused_with_what_to_send(typed: Model, literal: str) -> None:
    body = json.dumps(with_data("FP32", [float(literal)])).encode()
    assert refusal(lambda: json_codec.infer(typed, body)).endswith("; null means missing.")


# --- in an answer ---


@pytest.mark.parametrize("datatype", FLOATS)
def test_nan_in_an_output_is_null_in_json(typed: Model, datatype: str) -> None:
    assert outputs(ask(typed, with_data(datatype, [None])))[f"{datatype.lower()}_out"] == [None]


def reciprocal_bundle(folder: Path) -> Path:
    """Write `numeric_bundle` with probabilities divided by the first column: infinite for 0, NaN for NaN."""
    model_folder = numeric_bundle(folder)
    model = onnx.load(model_folder / "model.onnx")
    model.graph.node[1].output[0] = "quotient"
    model.graph.node[2].input[0] = "quotient"
    model.graph.node.append(helper.make_node("Gather", ["X", "first"], ["torque"], axis=1))
    model.graph.node.append(helper.make_node("Div", ["quotient", "torque"], ["probabilities"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "first"))
    (model_folder / "model.onnx").write_bytes(model.SerializeToString())
    samples = json.loads((model_folder / "samples.json").read_text())
    probabilities = samples["samples"][0]["response"]["outputs"][1]
    probabilities["data"][2:] = [None, None]
    (model_folder / "samples.json").write_text(json.dumps(samples))
    sign(model_folder)
    return model_folder


def test_infinity_in_an_output_is_null_in_json_by_tensor_and_by_name(tmp_path: Path) -> None:
    model = load(reciprocal_bundle(tmp_path))
    answer = ask(model, {"rows": [{"torque": 0, "speed": 1, "wear": 0}]})
    assert outputs(answer) == {"label": [1], "probabilities": [None, None]}
    assert answer["predictions"] == [{"label": 1, "probabilities": {"0": None, "1": None}}]


def test_infinity_in_an_output_keeps_its_bits_in_a_raw_tensor_beside_json(tmp_path: Path) -> None:
    model = load(reciprocal_bundle(tmp_path))
    wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "label"}]
    tensor = {"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [0, 1, 0]}
    answer = json_codec.infer(model, orjson.dumps({"inputs": [tensor], "outputs": wanted}))
    assert np.frombuffer(answer.body[answer.json_bytes :], np.float32).tolist() == [math.inf, math.inf]


def test_a_recorded_answer_may_hold_null(tmp_path: Path) -> None:
    replay(Model(load_bundle(reciprocal_bundle(tmp_path)), ModelOptions()))
