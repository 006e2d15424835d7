"""What is refused over gRPC, with which status and message."""

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2 import ModelInferRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving_support.grpc_calls import INFER, castable, channel_to, grpc_port, pump, refused
from serving_support.server_process import Server, memory

Change = Callable[[ModelInferRequest], object]


def with_input(**changes: Any) -> Change:
    """Return what changes the one input of a request."""

    def change(request: ModelInferRequest) -> None:
        for name, value in changes.items():
            if name == "shape":
                del request.inputs[0].shape[:]
                request.inputs[0].shape.extend(value)
            else:
                setattr(request.inputs[0], name, value)

    return change


def with_raw(*tensors: bytes) -> Change:
    def change(request: ModelInferRequest) -> None:
        del request.raw_input_contents[:]
        request.raw_input_contents.extend(tensors)

    return change


def typed_instead(field: str, values: list[Any]) -> Change:
    def change(request: ModelInferRequest) -> None:
        del request.raw_input_contents[:]
        getattr(request.inputs[0].contents, field).extend(values)

    return change


INVALID: list[tuple[Change, str]] = [
    (
        lambda request: request.ClearField("inputs"),
        "raw_input_contents holds 1 tensors for 0 inputs; give one for every",
    ),
    (with_raw(), "input 'X' of shape [1, 3] needs 3 values in its data, got 0."),
    (with_raw(bytes(12), bytes(12)), "raw_input_contents holds 2 tensors for 1 inputs"),
    (with_raw(bytes(11)), "input 'X' of shape [1, 3] needs 12 bytes of FP32, got 11."),
    (with_raw(b"\0\0\x80\x7f" * 3), "input 'X' holds an infinite value"),
    (with_input(name="Y"), "the model has no input 'Y'; it takes 'X'."),
    (with_input(datatype="FP64"), "input 'X' takes datatype FP32, got 'FP64'."),
    (with_input(datatype=""), "input 'X' takes datatype FP32, got ''."),
    (with_input(shape=[3, 1]), "input 'X' takes shape [-1, 3] (-1 is any size), got [3, 1]."),
    (with_input(shape=[]), "input 'X' takes shape [-1, 3]"),
    (with_input(shape=[0, 3]), "input 'X' of shape [0, 3] needs 0 bytes of FP32, got 12."),
    (with_input(shape=[-1, 3]), "input 'X' needs a shape, a list of sizes"),
    (with_input(shape=[2**62, 3]), "needs 55340232221128654848 bytes of FP32, got 12."),
    (lambda request: request.outputs.add(name="Z"), "the model has no output 'Z'; it gives 'label', 'probabilities'."),
    (
        lambda request: request.inputs[0].contents.fp32_contents.append(1),
        "input 'X' has contents beside raw_input_contents; give one of them.",
    ),
    (typed_instead("fp64_contents", [1, 2, 3]), "input 'X' of FP32 takes fp32_contents, got fp64_contents."),
    (typed_instead("fp32_contents", [1, 2]), "input 'X' of shape [1, 3] needs 3 values in its data, got 2."),
    (typed_instead("fp32_contents", [1, 2, float("inf")]), "which is too large for FP32"),
]


@pytest.mark.parametrize(("change", "message"), INVALID)
def test_a_request_that_the_model_does_not_take_is_an_invalid_argument(
    stub: GRPCInferenceServiceStub, change: Change, message: str
) -> None:
    request = pump()
    change(request)
    code, details = refused(lambda: stub.ModelInfer(request))
    assert code == "INVALID_ARGUMENT"
    assert message in details


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"int8": [128]}, "INT8 cannot hold"),
        ({"uint16": [65536]}, "UINT16 cannot hold"),
        ({"bytes": [b"\xff"]}, "is not UTF-8"),
    ],
)
def test_a_value_that_its_datatype_cannot_hold_is_an_invalid_argument(
    stub: GRPCInferenceServiceStub, changed: dict[str, list[Any]], message: str
) -> None:
    code, details = refused(lambda: stub.ModelInfer(castable(**changed)))
    assert code == "INVALID_ARGUMENT"
    assert f"input '{next(iter(changed))}'" in details
    assert message in details


def test_fp16_cannot_be_typed(stub: GRPCInferenceServiceStub) -> None:
    request = ModelInferRequest(model_name="typed")
    request.inputs.add(name="fp16", datatype="FP16", shape=[1, 1]).contents.fp32_contents.append(1)
    message = "input 'fp16' is FP16, which only raw_input_contents can hold."
    assert refused(lambda: stub.ModelInfer(request)) == ("INVALID_ARGUMENT", message)


def test_empty_contents_count_as_absent(stub: GRPCInferenceServiceStub) -> None:
    request = pump()
    request.inputs[0].contents.SetInParent()
    assert len(stub.ModelInfer(request).raw_output_contents) == 2


@pytest.mark.parametrize("call", ["ModelReady", "ModelMetadata", "ModelInfer"])
@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("lathe", "", "there is no model 'lathe' here; there is castable, mill, pump, ruled, typed."),
        ("pump", "11", "there is no version '11' of model 'pump'; there is 9, 10."),
    ],
)
def test_an_unknown_model_or_version_is_not_found(
    stub: GRPCInferenceServiceStub, call: str, name: str, version: str, message: str
) -> None:
    request = (
        ModelInferRequest(model_name=name, model_version=version)
        if call == "ModelInfer"
        else getattr(service_pb2, f"{call}Request")(name=name, version=version)
    )
    assert refused(lambda: getattr(stub, call)(request)) == ("NOT_FOUND", message)


def test_too_large_a_batch_is_resource_exhausted(stub: GRPCInferenceServiceStub) -> None:
    code, details = refused(lambda: stub.ModelInfer(pump(10_001)))
    assert code == "RESOURCE_EXHAUSTED"
    assert details.startswith("10001 rows are more than this server takes at once")


def test_too_large_a_message_is_resource_exhausted(server: Server) -> None:
    with channel_to(grpc_port(server)) as channel:
        assert refused(lambda: channel.unary_unary(INFER)(bytes(5 << 20)))[0] == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_message_is_answered(server: Server, compression: grpc.Compression) -> None:
    with channel_to(grpc_port(server)) as channel:
        call = channel.unary_unary(INFER, ModelInferRequest.SerializeToString)
        assert call(pump(100), compression=compression)


def test_a_message_that_unfolds_beyond_the_limit_is_refused_before_it_takes_the_memory(server: Server) -> None:
    with channel_to(grpc_port(server)) as channel:
        call = channel.unary_unary(INFER)
        call(pump().SerializeToString())
        before = memory(server.process, peak=True)
        refusal = refused(lambda: call(bytes(200 << 20), compression=grpc.Compression.Gzip))
    assert refusal == ("RESOURCE_EXHAUSTED", "Decompressed message larger than max")
    assert memory(server.process, peak=True) - before < 50 << 20


def test_bytes_that_are_no_message_are_an_invalid_argument(server: Server) -> None:
    with channel_to(grpc_port(server)) as channel:
        call = channel.unary_unary(INFER)
        assert refused(lambda: call(b"\xff")) == ("INVALID_ARGUMENT", "the message is not a ModelInferRequest.")


def test_a_call_without_a_message_is_an_invalid_argument(server: Server) -> None:
    with channel_to(grpc_port(server)) as channel:
        call = channel.stream_unary(INFER)
        assert refused(lambda: call(iter(()))) == ("INVALID_ARGUMENT", "the call has no message.")


def test_a_very_long_error_is_truncated(stub: GRPCInferenceServiceStub) -> None:
    code, details = refused(lambda: stub.ModelInfer(ModelInferRequest(model_name="x" * 50_000)))
    assert (code, len(details)) == ("NOT_FOUND", 1000)


def test_an_unknown_call_is_unimplemented(stub: GRPCInferenceServiceStub) -> None:
    assert refused(lambda: stub.RepositoryIndex(service_pb2.RepositoryIndexRequest()))[0] == "UNIMPLEMENTED"


NAN = float("nan")


@pytest.mark.parametrize(
    "values",
    [with_raw(np.array([1, NAN, 3], np.float32).tobytes()), typed_instead("fp32_contents", [1.0, NAN, 3.0])],
    ids=["raw", "typed"],
)
def test_nan_in_a_required_column_is_refused(stub: GRPCInferenceServiceStub, values: Change) -> None:
    request = pump()
    request.model_name = "ruled"
    values(request)
    message = "row 0 lacks the column 'speed', which cannot be missing."
    assert refused(lambda: stub.ModelInfer(request)) == ("INVALID_ARGUMENT", message)
