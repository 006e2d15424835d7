"""Server reflection: what grpcurl, Postman and others learn of a server whose proto files they do not have."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from kfp_edge_serving.codecs.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from serving_support.grpc_calls import INFER, channel_to, grpc_port, refused
from serving_support.server_process import Server

SERVICES = [
    "inference.GRPCInferenceService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
]


@pytest.fixture(params=["v1", "v1alpha"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with channel_to(grpc_port(server)) as channel:
        yield channel


def ask(channel: grpc.Channel, version: str, *requests: ServerReflectionRequest) -> list[ServerReflectionResponse]:
    """Return the answers to the requests of one call."""
    call: grpc.StreamStreamMultiCallable = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        ServerReflectionRequest.SerializeToString,
        ServerReflectionResponse.FromString,
    )
    return list(call(iter(requests)))


def test_all_services_are_listed_and_described(channel: grpc.Channel, version: str) -> None:
    [listed] = ask(channel, version, ServerReflectionRequest(list_services="*", host="here"))
    names = [service.name for service in listed.list_services_response.service]
    assert names == SERVICES
    assert (listed.valid_host, listed.original_request.list_services) == ("here", "*")
    answers = ask(channel, version, *(ServerReflectionRequest(file_containing_symbol=name) for name in names))
    files = [
        FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0]) for answer in answers
    ]
    pool = DescriptorPool()
    for file in files:
        pool.Add(file)
    for name in names:
        assert pool.FindServiceByName(name).methods


def test_a_client_that_knows_no_message_calls_the_model_by_reflection(channel: grpc.Channel, version: str) -> None:
    [answer] = ask(channel, version, ServerReflectionRequest(file_containing_symbol="inference.GRPCInferenceService"))
    pool = DescriptorPool()
    pool.AddSerializedFile(answer.file_descriptor_response.file_descriptor_proto[0])
    method = pool.FindMethodByName("inference.GRPCInferenceService.ModelInfer")
    request = GetMessageClass(method.input_type)(model_name="pump")
    request.inputs.add(name="X", datatype="FP32", shape=[1, 3])
    request.raw_input_contents.append(np.ones(3, np.float32).tobytes())
    response = GetMessageClass(method.output_type).FromString(channel.unary_unary(INFER)(request.SerializeToString()))
    assert [output.name for output in response.outputs] == ["label", "probabilities"]


@pytest.mark.parametrize(
    "symbol",
    [
        "inference.ModelInferRequest",
        "inference.ModelInferRequest.InferInputTensor",
        "inference.GRPCInferenceService.ModelInfer",
        "inference.DataType",
        "grpc.health.v1.HealthCheckResponse.ServingStatus",
    ],
)
def test_a_file_is_the_same_by_name_and_by_what_it_defines(channel: grpc.Channel, version: str, symbol: str) -> None:
    [by_symbol] = ask(channel, version, ServerReflectionRequest(file_containing_symbol=symbol))
    files = by_symbol.file_descriptor_response.file_descriptor_proto
    name = FileDescriptorProto.FromString(files[0]).name
    [by_name] = ask(channel, version, ServerReflectionRequest(file_by_filename=name))
    assert by_name.file_descriptor_response.file_descriptor_proto == files


def test_what_there_is_not_is_said_and_the_call_goes_on(channel: grpc.Channel, version: str) -> None:
    requests = [
        ServerReflectionRequest(file_containing_symbol="inference.Nothing"),
        ServerReflectionRequest(file_by_filename="nothing.proto"),
        ServerReflectionRequest(all_extension_numbers_of_type="inference.ModelInferRequest"),
        ServerReflectionRequest(),
    ]
    symbol, name, extensions, nothing = ask(channel, version, *requests)
    not_found, invalid = (code.value[0] for code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT))
    assert [answer.error_response.error_code for answer in (symbol, name, nothing)] == [not_found, not_found, invalid]
    assert extensions.all_extension_numbers_response.base_type_name == "inference.ModelInferRequest"


def test_it_needs_the_token(token_server: Server, version: str) -> None:
    with channel_to(grpc_port(token_server)) as channel:
        code, _ = refused(lambda: ask(channel, version, ServerReflectionRequest(list_services="*")))
    assert code == "UNAUTHENTICATED"
