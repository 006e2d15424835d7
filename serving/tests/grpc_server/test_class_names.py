"""Whoever calls learns which probability is whose, from the metadata and with every answer."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelMetadataRequest

from kfp_edge_serving import __file__ as package
from serving_support.bundles import text_label_bundle
from serving_support.grpc_calls import channel_to, grpc_port, stub_to
from serving_support.server_process import PATIENT, Server, running

CLASSES = ["null", "worn, Lager 2"]


@pytest.fixture(scope="module")
def bearing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("bearing")
    text_label_bundle(models)
    with running(models, "--grpc-port", "0", *PATIENT) as server:
        yield server


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> DescriptorPool:
    """Return the messages of our proto file: the client's own lack the parameters of metadata."""
    described = tmp_path_factory.mktemp("proto") / "oip"
    command = ["-m", "grpc_tools.protoc", "-I", ".", f"--descriptor_set_out={described}"]
    command += ["kfp_edge_serving/codecs/oip.proto"]
    subprocess.run([sys.executable, *command], cwd=Path(package).parents[1], check=True)
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(described.read_bytes()).file:
        pool.Add(file)
    return pool


def infer(server: Server, *, typed: bool) -> Any:
    """Return the answer to one row, with typed or with raw contents."""
    request = ModelInferRequest(model_name="bearing")
    tensor = request.inputs.add(name="X", datatype="FP32", shape=[1, 3])
    if typed:
        tensor.contents.fp32_contents.extend([1, 2, 3])
    else:
        request.raw_input_contents.append(np.float32([1, 2, 3]).tobytes())
    with stub_to(grpc_port(server)) as stub:
        return stub.ModelInfer(request)


def test_metadata_are_those_of_rest(bearing: Server, messages: DescriptorPool) -> None:
    kind = GetMessageClass(messages.FindMessageTypeByName("inference.ModelMetadataResponse"))
    with channel_to(grpc_port(bearing)) as channel:
        call: grpc.UnaryUnaryMultiCallable = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelMetadata", response_deserializer=kind.FromString
        )
        described = MessageToDict(call(ModelMetadataRequest(name="bearing").SerializeToString()))
    for tensor in [*described["inputs"], *described["outputs"]]:
        tensor["shape"] = [int(size) for size in tensor["shape"]]
        tensor["parameters"] = {name: next(iter(value.values())) for name, value in tensor["parameters"].items()}
    assert described == bearing.get("/v2/models/bearing")[1]


@pytest.mark.parametrize("typed", [True, False])
def test_probabilities_name_their_columns(bearing: Server, typed: bool) -> None:
    answer = infer(bearing, typed=typed)
    parameters = {output.name: dict(output.parameters) for output in answer.outputs}
    assert parameters["label"] == {}
    assert json.loads(parameters["probabilities"]["classes"].string_param) == CLASSES
    assert [list(output.shape) for output in answer.outputs] == [[1], [1, 2]]


def test_an_answer_holds_nothing_of_the_one_before(bearing: Server) -> None:
    assert infer(bearing, typed=True) == infer(bearing, typed=True)
