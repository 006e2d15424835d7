"""The serving image's own server describes every tensor as the signature does, and one that does not is found."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from kfp_edge.components.staging_test.described_tensors import check_class_names, check_metadata
from kfp_edge.components.staging_test.inference_client import ClientResponse
from kfp_edge.ml.bundle import Bundle, Column, InputTensor, OutputTensor, Signature
from kfp_edge_serving.codecs.tensors import encode
from kfp_edge_serving.http_server.router import model_metadata
from kfp_edge_serving.models.bundle import load_bundle
from tests.support.bundles import tiny_bundle

CLASSES = ("gut", "prüfen")
SIGNATURE = Signature(
    task="classification",
    inputs=(InputTensor(name="features", datatype="FP32", shape=(-1, 1), columns=(Column(name="Wärme [K]"),)),),
    outputs=(
        OutputTensor(name="label", datatype="BYTES", shape=(-1,), classes=CLASSES),
        OutputTensor(
            name="probabilities", datatype="FP32", shape=(-1, 2), classes=CLASSES, threshold=0.25, positive=CLASSES[1]
        ),
    ),
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "bundle", signature=SIGNATURE)


def answered(body: object) -> ClientResponse:
    text = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return ClientResponse(200, orjson.loads(text), text)


def test_the_server_describes_every_tensor_as_the_signature_does(bundle: Bundle) -> None:
    metadata = model_metadata(load_bundle(bundle.folder, check_name=False), ["1"])
    assert check_metadata(answered(metadata), bundle).passed


def test_a_server_that_names_the_classes_in_another_order_is_found(bundle: Bundle) -> None:
    metadata = model_metadata(load_bundle(bundle.folder, check_name=False), ["1"])
    metadata["outputs"][1]["parameters"]["classes"] = '["prüfen", "gut"]'
    check = check_metadata(answered(metadata), bundle)
    assert not check.passed
    assert check.measured.startswith("outputs is ")


def test_answers_must_name_the_columns_of_the_probabilities(bundle: Bundle) -> None:
    _, probabilities = load_bundle(bundle.folder, check_name=False).outputs
    named = encode(np.array([[0.25, 0.75]], np.float32), probabilities)
    assert check_class_names(answered({"outputs": [named]}), SIGNATURE).passed
    check = check_class_names(answered({"outputs": [{**named, "parameters": {}}]}), SIGNATURE)
    assert (check.passed, check.measured) == (False, "classes of probabilities: none")


@pytest.mark.parametrize("body", [None, [], {}, {"outputs": 1}, {"outputs": [1]}, {"outputs": [{"parameters": 1}]}])
def test_answers_that_are_none_of_the_protocol_fail_the_check(body: object) -> None:
    assert not check_class_names(answered(body), SIGNATURE).passed
