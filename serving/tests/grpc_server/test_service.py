"""The Open Inference Protocol over gRPC, called by tritonclient and by its stubs."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.grpc.service_pb2 import ModelInferRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving_support.grpc_calls import CASTABLE, castable, contents
from serving_support.paths import PACKAGE
from serving_support.server_process import Server
from serving_support.typed_bundles import TYPES, blank, input_name, output_name

Change = Callable[[ModelInferRequest], object]


@pytest.fixture
def client(server: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
        yield client


def given_input(name: str, array: Any, datatype: str) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


def mill(rows: int = 2) -> list[triton.InferInput]:
    """Return inputs for `mixed_bundle`, the first row an alarm."""
    return [
        given_input("torque", np.array([[2.5], [1.0]], np.float32)[:rows], "FP32"),
        given_input("Type", np.array([["H"], ["L"]], np.object_)[:rows], "BYTES"),
        given_input("count", np.array([[2], [2]], np.int64)[:rows], "INT64"),
        given_input("on", np.array([[True], [False]])[:rows], "BOOL"),
    ]


# The protocol's definition


@pytest.mark.parametrize("proto", ["oip", "health", "reflection"])
def test_the_generated_messages_are_those_of_the_proto_file(tmp_path: Path, proto: str) -> None:
    command = ["-m", "grpc_tools.protoc", "-I", ".", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run([sys.executable, *command, f"kfp_edge_serving/codecs/{proto}.proto"], cwd=PACKAGE.parent, check=True)
    for name in (f"{proto}_pb2.py", f"{proto}_pb2.pyi"):
        assert (PACKAGE / "codecs" / name).read_text() == (tmp_path / "kfp_edge_serving" / "codecs" / name).read_text()


def test_every_message_and_call_is_that_of_the_standard(tmp_path: Path) -> None:
    described = tmp_path / "oip"
    command = ["-m", "grpc_tools.protoc", "-I", ".", f"--descriptor_set_out={described}"]
    command += ["kfp_edge_serving/codecs/oip.proto"]
    subprocess.run([sys.executable, *command], cwd=PACKAGE.parent, check=True)
    ours = FileDescriptorSet.FromString(described.read_bytes()).file[0]
    theirs, theirs_of_triton = FileDescriptorProto(), FileDescriptorProto()
    service_pb2.DESCRIPTOR.CopyToProto(theirs)
    model_config_pb2.DESCRIPTOR.CopyToProto(theirs_of_triton)
    metadata = next(message for message in ours.message_type if message.name == "ModelMetadataResponse")
    added = metadata.nested_type[0]  # TensorMetadata: our only addition, which is another map of parameters
    assert added.field.pop().name == "parameters"
    added.nested_type.pop()
    known = {message.name: described_fields(message) for message in theirs.message_type}
    mine = {message.name: described_fields(message) for message in ours.message_type}
    # of Triton's own messages, we have a few fields only
    known |= {message.name: described_fields(message) for message in theirs_of_triton.message_type}
    for name in (
        "ModelConfig",
        "ModelVersionPolicy",
        "ModelInput",
        "ModelOutput",
        "ModelStatistics",
        "InferStatistics",
    ):
        assert mine.pop(name)[0] <= known[name][0]
    assert mine.items() <= known.items()
    calls = {(call.name, call.input_type, call.output_type) for call in ours.service[0].method}
    assert (ours.package, ours.service[0].name) == (theirs.package, theirs.service[0].name)
    assert calls <= {(call.name, call.input_type, call.output_type) for call in theirs.service[0].method}
    assert {name for name, _, _ in calls} == {
        "ServerLive",
        "ServerReady",
        "ModelReady",
        "ServerMetadata",
        "ModelMetadata",
        "ModelInfer",
        "ModelConfig",
        "ModelStatistics",
    }


def described_fields(message: DescriptorProto) -> Any:
    """Return what of a message is on the wire."""
    nested = {inner.name: described_fields(inner) for inner in message.nested_type}
    return {(field.name, field.number, field.type, field.label, field.type_name) for field in message.field}, nested


# Every call, from an independent client


def test_the_server_and_its_models_are_live_and_ready(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("pump")
    assert client.is_model_ready("pump", "9")


def test_server_metadata_names_the_server(client: triton.InferenceServerClient) -> None:
    assert client.get_server_metadata().name == "kfp-edge-serving"


def test_model_metadata_is_the_signature(client: triton.InferenceServerClient) -> None:
    assert client.get_model_metadata("pump", as_json=True) == {
        "name": "pump",
        "versions": ["9", "10"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "X", "datatype": "FP32", "shape": ["-1", "3"]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": ["-1"]},
            {"name": "probabilities", "datatype": "FP32", "shape": ["-1", "2"]},
        ],
    }


def test_inference_answers_as_the_model_does(client: triton.InferenceServerClient) -> None:
    result = client.infer("mill", mill(), request_id="7")
    assert result.as_numpy("label").tolist() == [1, 0]
    assert result.as_numpy("score").tolist() == [6.5, 3.0]
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == ("mill", "1", "7")


@pytest.mark.parametrize(("asked", "answers"), [("", "10"), ("9", "9"), ("10", "10")])
def test_without_a_version_the_latest_answers(client: triton.InferenceServerClient, asked: str, answers: str) -> None:
    x = given_input("X", np.ones((1, 3), np.float32), "FP32")
    assert client.infer("pump", [x], model_version=asked).get_response().model_version == answers


def test_only_the_outputs_that_are_asked_for_come_back_in_that_order(client: triton.InferenceServerClient) -> None:
    asked = [triton.InferRequestedOutput(name) for name in ("score", "label")]
    assert [output.name for output in client.infer("mill", mill(), outputs=asked).get_response().outputs] == [
        "score",
        "label",
    ]
    assert client.infer("mill", mill(), outputs=asked[1:]).as_numpy("score") is None


def test_parameters_are_accepted_and_ignored(client: triton.InferenceServerClient) -> None:
    result = client.infer("mill", mill(), priority=1, timeout=5, parameters={"asset": "17", "line": 3, "trial": True})
    assert result.as_numpy("label").tolist() == [1, 0]


def test_asynchronous_calls_are_answered_too(client: triton.InferenceServerClient) -> None:
    answers: list[Any] = []
    done = threading.Event()

    def take(result: Any, error: Any) -> None:
        answers.extend([result, error])
        done.set()

    client.async_infer("mill", mill(), take)
    assert done.wait(30)
    assert answers[1] is None
    assert answers[0].as_numpy("label").tolist() == [1, 0]


# Datatypes

EXTREMES = {
    "BOOL": [True, False],
    "FP16": [-65504.0, 6e-8],
    "FP32": [-3.4028234663852886e38, 1e-45],
    "FP64": [-1.7976931348623157e308, 5e-324],
    "BYTES": ["", "Grün \N{SNOWMAN}\0"],
}


def extremes(datatype: str) -> Any:
    """Return the smallest and the largest value, shape [1, 2]."""
    dtype = TYPES[datatype][1]
    if datatype in EXTREMES:
        return np.array([EXTREMES[datatype]], dtype)
    info = np.iinfo(dtype)
    return np.array([[info.min, info.max]], dtype)


@pytest.mark.parametrize("datatype", TYPES)
def test_raw_contents_of_every_datatype_come_back_as_they_went(
    client: triton.InferenceServerClient, datatype: str
) -> None:
    array = extremes(datatype)
    arrays = {name: array if name == datatype else blank(name) for name in TYPES}
    result = client.infer("typed", [given_input(input_name(name), arrays[name], name) for name in TYPES])
    answer = result.as_numpy(output_name(datatype))
    if datatype == "BYTES":
        answer = np.array([[value.decode() for value in row] for row in answer], np.object_)
    assert answer.tolist() == array.tolist()
    assert answer.dtype == array.dtype


@pytest.mark.parametrize("datatype", CASTABLE)
def test_typed_contents_of_every_datatype_come_back_as_they_went(stub: GRPCInferenceServiceStub, datatype: str) -> None:
    values = extremes(datatype).ravel().tolist()
    if datatype == "BYTES":
        values = [value.encode() for value in values]
    request = castable(**{input_name(datatype): values})
    request.outputs.add(name=output_name(datatype))
    answer = stub.ModelInfer(request)
    assert contents(answer) == {output_name(datatype): values}
    assert (list(answer.outputs[0].shape), answer.outputs[0].datatype) == ([1, 2], datatype)
    assert not answer.raw_output_contents


def test_an_output_of_fp16_makes_all_outputs_raw(stub: GRPCInferenceServiceStub) -> None:
    request = castable(fp32=[0.5, -2.0], int8=[7])
    request.outputs.extend([request.InferRequestedOutputTensor(name=name) for name in ("half", "int8_out")])
    answer = stub.ModelInfer(request)
    assert [np.frombuffer(answer.raw_output_contents[0], "<f2").tolist(), answer.raw_output_contents[1]] == [
        [0.5, -2.0],
        b"\7",
    ]
    assert [output.HasField("contents") for output in answer.outputs] == [False, False]


def test_a_missing_number_is_nan(stub: GRPCInferenceServiceStub) -> None:
    answer = stub.ModelInfer(castable(fp32=[float("nan")], fp64=[float("nan")]))
    raw = dict(zip((output.name for output in answer.outputs), answer.raw_output_contents, strict=True))
    assert np.isnan(np.frombuffer(raw["fp32_out"], "<f4"))
    assert np.isnan(np.frombuffer(raw["fp64_out"], "<f8"))
