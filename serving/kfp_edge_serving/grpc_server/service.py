"""The methods of the gRPC server: which call answers what."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from kfp_edge_serving import __version__
from kfp_edge_serving.auth import Authenticator
from kfp_edge_serving.codecs import protobuf_codec, triton
from kfp_edge_serving.codecs.oip_pb2 import (
    ModelConfigRequest,
    ModelMetadataRequest,
    ModelReadyRequest,
    ModelReadyResponse,
    ModelStatisticsRequest,
    ServerLiveResponse,
    ServerMetadataResponse,
    ServerReadyResponse,
)
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.grpc_server.calls import Call
from kfp_edge_serving.grpc_server.inference import InferenceMethod
from kfp_edge_serving.grpc_server.statuses import refuse, report_bug
from kfp_edge_serving.models.repository import ModelCatalog
from kfp_edge_serving.telemetry.refusals import Refusals

SERVICE = "inference.GRPCInferenceService"

_LIVE = ServerLiveResponse(live=True).SerializeToString()
_METADATA = ServerMetadataResponse(
    name="kfp-edge-serving", version=__version__, extensions=triton.EXTENSIONS
).SerializeToString()

#: Refuses a call, by a RequestError, before its message is read.
Check = Callable[[Call], None]


class Method(Protocol):
    """One method of the server."""

    def begin(self, call: Call) -> None:
        """Take a new call."""


class CheckedMethod(ABC):
    """A method that receives the message of calls which pass a check."""

    def __init__(self, check: Check) -> None:
        self._check = check

    def begin(self, call: Call) -> None:
        """Refuse a call, or receive its message."""
        try:
            self._check(call)
        except RequestError as error:
            refuse(call, error)
        else:
            call.receive(self._receive)

    @abstractmethod
    def _receive(self, call: Call, message: bytes | None) -> None:
        """Take the message, None if there is none."""


class UnaryMethod(CheckedMethod):
    """A method that answers one message with one."""

    def __init__(self, answer: Callable[[bytes, Call], bytes | None], check: Check) -> None:
        """Answer calls that pass a check; an answer of None comes later."""
        super().__init__(check)
        self._answer = answer

    def _receive(self, call: Call, message: bytes | None) -> None:
        try:
            if message is None:
                raise RequestError("the call has no message.")
            answer = self._answer(message, call)
        except RequestError as error:
            refuse(call, error)
        except Exception:  # noqa: BLE001 - a bug must not end the thread that polls
            report_bug(call)
        else:
            if answer is not None:
                call.answer(answer)


class InferenceService:
    """The service of the Open Inference Protocol."""

    def __init__(
        self,
        catalog: Callable[[], ModelCatalog],
        is_ready: Callable[[], bool],
        authenticator: Authenticator,
        inference: InferenceMethod,
        refusals: Refusals,
        max_rows: int,
    ) -> None:
        self._refusals = refusals
        self._catalog = catalog
        self._is_ready = is_ready
        self._authenticator = authenticator
        self._inference = inference
        self._max_rows = max_rows

    def methods(self) -> dict[str, Method]:
        """Return the methods by their names."""
        return {
            "ServerLive": UnaryMethod(lambda _message, _call: _LIVE, allow_all),
            "ServerReady": UnaryMethod(self._server_ready, allow_all),
            "ServerMetadata": UnaryMethod(lambda _message, _call: _METADATA, self.check_access),
            "ModelReady": UnaryMethod(self._model_ready, self.check_access),
            "ModelMetadata": UnaryMethod(self._model_metadata, self.check_access),
            "ModelConfig": UnaryMethod(self._model_config, self.check_access),
            "ModelStatistics": UnaryMethod(self._model_statistics, self.check_access),
            "ModelInfer": UnaryMethod(self._inference.answer, self.check_access),
        }

    def check_access(self, call: Call) -> None:
        """Check that a call may be answered.

        Raises:
            RequestError: neither a token nor a certificate gives access.
        """
        authenticator = self._authenticator
        if not authenticator.is_open:
            # where only a certificate gives access, grpc has already asked every connection for one
            try:
                authenticator.check(call.find_metadata("authorization"), authenticator.needs_certificate)
            except RequestError as error:
                self._refusals.add("grpc", error)
                raise

    def _server_ready(self, _message: bytes, _call: Call) -> bytes:
        return ServerReadyResponse(ready=self._is_ready()).SerializeToString()

    def _model_ready(self, message: bytes, _call: Call) -> bytes:
        request = protobuf_codec.parse(ModelReadyRequest, message)
        self._catalog().find(request.name, request.version)
        return ModelReadyResponse(ready=self._is_ready()).SerializeToString()

    def _model_metadata(self, message: bytes, _call: Call) -> bytes:
        request = protobuf_codec.parse(ModelMetadataRequest, message)
        catalog = self._catalog()
        served = catalog.find(request.name, request.version)
        return protobuf_codec.model_metadata(served.model.bundle, catalog.versions(served.name))

    def _model_config(self, message: bytes, _call: Call) -> bytes:
        request = protobuf_codec.parse(ModelConfigRequest, message)
        bundle = self._catalog().find(request.name, request.version).model.bundle
        return protobuf_codec.model_config(bundle, self._max_rows)

    def _model_statistics(self, message: bytes, _call: Call) -> bytes:
        request = protobuf_codec.parse(ModelStatisticsRequest, message)
        return protobuf_codec.model_statistics(self._catalog().find_all(request.name, request.version))


def allow_all(_call: Call) -> None:
    """Refuse no call."""
