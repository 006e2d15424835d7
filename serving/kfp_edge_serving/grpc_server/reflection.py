"""The standard reflection service, by which grpcurl, Postman and others learn what calls and messages there are."""

from functools import cached_property

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from kfp_edge_serving.codecs import health_pb2, oip_pb2, reflection_pb2
from kfp_edge_serving.codecs.protobuf_codec import parse
from kfp_edge_serving.codecs.reflection_pb2 import (
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.grpc_server.calls import Call
from kfp_edge_serving.grpc_server.core import StatusCode
from kfp_edge_serving.grpc_server.service import CheckedMethod, Method
from kfp_edge_serving.grpc_server.statuses import refuse

SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
_V1, _V1ALPHA = "grpc.reflection.v1", "grpc.reflection.v1alpha"


class ReflectionMethod(CheckedMethod):
    """The only method of the service: answers each message of a call with one, until the client ends the call."""

    def methods(self) -> dict[str, Method]:
        """Return the method by its name."""
        return {"ServerReflectionInfo": self}

    def _receive(self, call: Call, message: bytes | None) -> None:
        if message is None:
            call.end()
            return
        try:
            answer = self._answer(parse(ServerReflectionRequest, message))
        except RequestError as error:
            refuse(call, error)
        else:
            call.send(answer.SerializeToString(), lambda: call.receive(self._receive))

    @cached_property
    def _files(self) -> "_Files":
        """Made for the first client that asks."""
        return _Files()

    def _answer(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        answer = ServerReflectionResponse(valid_host=request.host, original_request=request)
        kind = request.WhichOneof("message_request")
        if kind == "list_services":
            services = [ServiceResponse(name=name) for name in self._files.services]
            answer.list_services_response.CopyFrom(ListServiceResponse(service=services))
        elif kind == "all_extension_numbers_of_type" and request.all_extension_numbers_of_type in self._files.symbols:
            name = request.all_extension_numbers_of_type
            answer.all_extension_numbers_response.CopyFrom(ExtensionNumberResponse(base_type_name=name))
        elif (file := self._find_file(request)) is not None:
            answer.file_descriptor_response.CopyFrom(FileDescriptorResponse(file_descriptor_proto=[file]))
        else:
            code = StatusCode.NOT_FOUND if kind is not None else StatusCode.INVALID_ARGUMENT
            message = "this server has nothing of that name" if kind is not None else "the message asks for nothing"
            answer.error_response.CopyFrom(ErrorResponse(error_code=code.value[0], error_message=f"{message}."))
        return answer

    def _find_file(self, request: ServerReflectionRequest) -> bytes | None:
        if request.HasField("file_by_filename"):
            return self._files.names.get(request.file_by_filename)
        if request.HasField("file_containing_symbol"):
            return self._files.symbols.get(request.file_containing_symbol)
        return None


class _Files:
    """The proto files of all services, by their names and by the names of what they define; none imports another."""

    def __init__(self) -> None:
        self.services: list[str] = []
        self.names: dict[str, bytes] = {}
        self.symbols: dict[str, bytes] = {}
        for descriptor in (oip_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
            self._add(_copy(descriptor))
        self._add(_as_v1alpha(_copy(reflection_pb2.DESCRIPTOR)))

    def _add(self, file: FileDescriptorProto) -> None:
        content = file.SerializeToString()
        self.names[file.name] = content
        symbols = [message.name for message in file.message_type] + [kind.name for kind in file.enum_type]
        for message in file.message_type:
            symbols += [f"{message.name}.{inner.name}" for inner in message.nested_type]
            symbols += [f"{message.name}.{kind.name}" for kind in message.enum_type]
        for service in file.service:
            self.services.append(f"{file.package}.{service.name}")
            symbols += [service.name, *(f"{service.name}.{method.name}" for method in service.method)]
        self.symbols |= {f"{file.package}.{symbol}": content for symbol in symbols}


def _copy(descriptor: FileDescriptor) -> FileDescriptorProto:
    file = FileDescriptorProto()
    descriptor.CopyToProto(file)
    return file


def _as_v1alpha(file: FileDescriptorProto) -> FileDescriptorProto:
    """Return the file of `grpc.reflection.v1` in the package that older clients ask for."""
    file.name = file.name.replace("reflection.proto", "reflection_v1alpha.proto")
    file.package = _V1ALPHA
    for message in file.message_type:
        for field in filter(lambda field: field.type_name, message.field):
            field.type_name = field.type_name.replace(f".{_V1}.", f".{_V1ALPHA}.")
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(f".{_V1}.", f".{_V1ALPHA}.")
            method.output_type = method.output_type.replace(f".{_V1}.", f".{_V1ALPHA}.")
    return file
