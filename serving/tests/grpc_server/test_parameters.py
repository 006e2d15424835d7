"""What a request asks for by its parameters, and the server does not support, is refused by name."""

from typing import Any

import pytest
import tritonclient.grpc as triton
from tritonclient.grpc.service_pb2 import ModelInferRequest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from serving_support.grpc_calls import grpc_port, pump, refused
from serving_support.server_process import Server

WHERE = {
    "the request": lambda request: request,
    "input 'X'": lambda request: request.inputs[0],
    "output 'label'": lambda request: request.outputs.add(name="label"),
}


def with_parameter(where: str, **parameters: Any) -> ModelInferRequest:
    request = pump()
    for name, value in parameters.items():
        parameter = WHERE[where](request).parameters[name]
        if isinstance(value, int):
            parameter.int64_param = value
        else:
            parameter.string_param = value
    return request


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", ["classification", "shared_memory_region", "shared_memory_offset"])
def test_an_extension_that_is_not_supported_is_refused_by_name(
    stub: GRPCInferenceServiceStub, where: str, name: str
) -> None:
    request = with_parameter(where, **{name: 1})
    message = f"{where} asks for '{name}', an extension that this server does not support."
    assert refused(lambda: stub.ModelInfer(request)) == ("INVALID_ARGUMENT", message)


def test_base64_is_refused(stub: GRPCInferenceServiceStub) -> None:
    request = with_parameter("input 'X'", content_type="base64")
    assert "which this server does not decode" in refused(lambda: stub.ModelInfer(request))[1]


def test_other_parameters_are_ignored(stub: GRPCInferenceServiceStub) -> None:
    assert stub.ModelInfer(with_parameter("output 'label'", anything="else")).model_name == "pump"


@pytest.mark.parametrize("way", ["class_count", "shared memory"])
def test_tritonclient_is_told_rather_than_left_with_stale_memory(server: Server, way: str) -> None:
    if way == "class_count":
        output = triton.InferRequestedOutput("probabilities", class_count=2)
    else:
        output = triton.InferRequestedOutput("probabilities")
        output.set_shared_memory("region", 64)
    tensor = triton.InferInput("X", [1, 3], "FP32")
    tensor._raw_content = bytes(12)
    with (
        triton.InferenceServerClient(f"127.0.0.1:{grpc_port(server)}") as client,
        pytest.raises(triton.InferenceServerException, match="output 'probabilities' asks for"),
    ):
        client.infer("pump", [tensor], outputs=[output])
