"""The gRPC service of the Open Inference Protocol: which call answers what."""

import time
import traceback
from collections.abc import Callable, Iterator
from threading import BoundedSemaphore
from typing import NamedTuple

import grpc

from kfp_edge_serving import __version__
from kfp_edge_serving.auth import Authenticator
from kfp_edge_serving.codecs import protobuf_codec
from kfp_edge_serving.codecs.oip_pb2 import (
    ModelInferRequest,
    ModelMetadataRequest,
    ModelReadyRequest,
    ModelReadyResponse,
    ServerLiveResponse,
    ServerMetadataResponse,
    ServerReadyResponse,
)
from kfp_edge_serving.cpu_limit import usable_cpus
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.grpc_server.message_timeout import MessageTimeout
from kfp_edge_serving.inference.handler import INTERNAL_ERROR, InferenceHandler, InferenceProtocol
from kfp_edge_serving.limits import Limits
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.models.repository import ModelCatalog
from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.tracing import Tracer

#: Answers the bytes of a message with those of another.
Method = Callable[[bytes, grpc.ServicerContext], bytes]
#: The same for grpc, which passes the messages of a call as they arrive.
RpcHandler = Callable[[Iterator[bytes], grpc.ServicerContext], bytes]

_STATUS_CODES = {
    200: grpc.StatusCode.OK,
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
_LIVE = ServerLiveResponse(live=True).SerializeToString()
_METADATA = ServerMetadataResponse(name="kfp-edge-serving", version=__version__).SerializeToString()
#: Characters of an error that are sent; clients accept some 8 kB of trailing metadata.
_MAX_ERROR = 1000


class InferenceCall(NamedTuple):
    """One call of ModelInfer."""

    request: ModelInferRequest
    context: grpc.ServicerContext


class InferenceService:
    """Answers calls; from several threads at once."""

    def __init__(
        self,
        catalog: Callable[[], ModelCatalog],
        is_ready: Callable[[], bool],
        authenticator: Authenticator,
        limits: Limits,
        tracer: Tracer | None = None,
        access_log: bool = False,
    ) -> None:
        self._catalog = catalog
        self._is_server_ready = is_ready
        self._is_draining = False
        self._authenticator = authenticator
        self._max_wait = limits.max_wait
        self._inference = InferenceHandler(_PROTOCOL, tracer, access_log)
        #: Inferences of slow models at once.
        self._slow_slots = BoundedSemaphore(usable_cpus())
        self._message_timeout = MessageTimeout(limits.read_timeout)

    @property
    def overloaded(self) -> int:
        """Calls refused because they would have waited too long."""
        return self._inference.overloaded

    def handlers(self) -> dict[str, RpcHandler]:
        """Return the handler of each call of the protocol."""
        return {
            "ServerLive": self._handler(lambda _message, _context: _LIVE, _allow_all),
            "ServerReady": self._handler(self._server_ready, _allow_all),
            "ServerMetadata": self._handler(lambda _message, _context: _METADATA, self._check_access),
            "ModelReady": self._handler(self._model_ready, self._check_access),
            "ModelMetadata": self._handler(self._model_metadata, self._check_access),
            "ModelInfer": self._handler(self._infer, self._check_access_and_readiness),
        }

    def drain(self) -> None:
        """Refuse new inferences from now on."""
        self._is_draining = True

    def close(self) -> None:
        """Stop the thread that cancels slow calls."""
        self._message_timeout.close()

    def _is_ready(self) -> bool:
        return self._is_server_ready() and not self._is_draining

    def _handler(self, method: Method, check: Callable[[grpc.ServicerContext], None]) -> RpcHandler:
        """Return a method as grpc calls it, with errors as gRPC status codes.

        Args:
            method: Answers the call.
            check: Refuses a call before its message is read.
        """

        def handler(messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            try:
                check(context)
                return method(self._message_timeout.receive(messages, context), context)
            except RequestError as error:
                status, message = error.status, str(error)
            except grpc.RpcError:  # the call is over: the client has gone, or was too slow
                raise
            except Exception:  # noqa: BLE001 - clients must not see the traceback of a bug, operators must
                status, message = 500, INTERNAL_ERROR
                log("internal error", "error", protocol="grpc", traceback=traceback.format_exc())
            context.abort(_STATUS_CODES[status], message[:_MAX_ERROR])
            raise AssertionError("abort always raises")

        return handler

    def _check_access(self, context: grpc.ServicerContext) -> None:
        authenticator = self._authenticator
        if not authenticator.is_open:
            # where only a certificate gives access, grpc has already asked every connection for one
            authenticator.check(_metadata_value(context, "authorization"), authenticator.needs_certificate)

    def _check_access_and_readiness(self, context: grpc.ServicerContext) -> None:
        self._check_access(context)
        if not self._is_ready():
            raise RequestError("the server is not ready; try again later.", 503)

    def _server_ready(self, _message: bytes, _context: grpc.ServicerContext) -> bytes:
        return ServerReadyResponse(ready=self._is_ready()).SerializeToString()

    def _model_ready(self, message: bytes, _context: grpc.ServicerContext) -> bytes:
        request = protobuf_codec.parse(ModelReadyRequest, message)
        self._catalog().find(request.name, request.version)
        return ModelReadyResponse(ready=self._is_ready()).SerializeToString()

    def _model_metadata(self, message: bytes, _context: grpc.ServicerContext) -> bytes:
        request = protobuf_codec.parse(ModelMetadataRequest, message)
        catalog = self._catalog()
        served = catalog.find(request.name, request.version)
        return protobuf_codec.model_metadata(served.model.bundle, catalog.versions(served.name))

    def _infer(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        began = time.monotonic()
        request = protobuf_codec.parse(ModelInferRequest, message)
        served = self._catalog().find(request.model_name, request.model_version)
        call = InferenceCall(request, context)
        if not served.model.is_slow:
            return self._inference.handle(served, call, began)
        if not self._slow_slots.acquire(timeout=self._max_wait):
            raise self._inference.refuse_overload(served)
        try:
            return self._inference.handle(served, call, began)
        finally:
            self._slow_slots.release()


def _allow_all(_context: grpc.ServicerContext) -> None:
    """Refuse no call."""


def _infer_call(model: Model, call: InferenceCall) -> bytes:
    return protobuf_codec.infer(model, call.request)


def _metadata_value(context: grpc.ServicerContext, name: str) -> bytes | None:
    """Return the first value of a name in the metadata of a call."""
    for key, value in context.invocation_metadata():
        if key == name:
            return value.encode() if isinstance(value, str) else bytes(value)
    return None


_PROTOCOL = InferenceProtocol(
    name="grpc",
    infer=_infer_call,
    request_id=lambda call: call.request.id or None,
    traceparent=lambda call: _metadata_value(call.context, "traceparent"),
    tracestate=lambda call: _metadata_value(call.context, "tracestate"),
    response_status=lambda _: 200,
    span_status=lambda status: ("rpc.response.status_code", _STATUS_CODES[status].name),
)
