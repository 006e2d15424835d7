"""Whoever asks learns which probability is whose: in the metadata, with every tensor, and by row."""

import json
from typing import Any

import numpy as np
import orjson
import pytest

from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.http_server.router import model_metadata
from kfp_edge_serving.models.model import Model
from serving_support.bundles import PUMP_ROW, text_label_bundle
from serving_support.onnx_models import ask, load, raw_request

CLASSES = ["null", "worn, Lager 2"]
ROW = {"torque": 1, "speed": 2, "wear": 3}


@pytest.fixture(scope="module")
def bearing(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(text_label_bundle(tmp_path_factory.mktemp("bearing")))


def outputs_of(answer: Any) -> dict[str, Any]:
    return {output["name"]: output for output in answer["outputs"]}


def test_metadata_name_columns_classes_and_the_threshold_with_its_class(bearing: Model) -> None:
    metadata = model_metadata(bearing.bundle, ["1"])
    (features,) = metadata["inputs"]
    label, probabilities = metadata["outputs"]
    assert json.loads(features["parameters"]["columns"]) == ["torque", "speed", "wear"]
    assert json.loads(label["parameters"]["classes"]) == CLASSES
    assert json.loads(probabilities["parameters"].pop("classes")) == CLASSES
    assert probabilities["parameters"] == {"threshold": 0.5, "positive": CLASSES[1], "batch_dimension": 0}


def test_the_probabilities_of_an_answer_name_their_columns_and_text_stays_text(bearing: Model) -> None:
    outputs = outputs_of(orjson.loads(json_codec.infer(bearing, PUMP_ROW).body))
    assert json.loads(outputs["probabilities"]["parameters"]["classes"]) == CLASSES
    assert "parameters" not in outputs["label"]
    assert outputs["label"]["data"] == [CLASSES[1]]


def test_raw_probabilities_name_their_columns_beside_their_size(bearing: Model) -> None:
    body, length = raw_request(
        {"X": ("FP32", np.float32([[1, 2, 3]]))},
        outputs=[{"name": "probabilities", "parameters": {"binary_data": True}}],
    )
    answer = json_codec.infer(bearing, body, length)
    parameters = outputs_of(orjson.loads(answer.body[: answer.json_bytes]))["probabilities"]["parameters"]
    assert parameters.pop("binary_data_size") == 8
    assert json.loads(parameters["classes"]) == CLASSES


def test_rows_are_answered_with_a_probability_for_each_class_by_name(bearing: Model) -> None:
    answer = ask(bearing, {"rows": [ROW, ROW | {"wear": -0.5}]})
    first, second = answer["predictions"]
    assert (first["label"], second["label"]) == (CLASSES[1], CLASSES[0])
    assert list(first["probabilities"]) == CLASSES
    flat = [value for row in (first, second) for value in row["probabilities"].values()]
    assert flat == outputs_of(answer)["probabilities"]["data"]


def test_rows_are_answered_with_the_outputs_that_were_asked_for(bearing: Model) -> None:
    answer = ask(bearing, {"rows": [ROW], "outputs": [{"name": "label"}]})
    assert answer["predictions"] == [{"label": CLASSES[1]}]
