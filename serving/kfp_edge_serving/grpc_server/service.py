"""The gRPC face of the Open Inference Protocol: which call answers what."""

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

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
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.models.repository import ModelCatalog, ServedModel
from kfp_edge_serving.telemetry.access_log import AccessLog, Inference
from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.tracing import Tracer

#: Answers the bytes of a message with those of another; the last argument is grpc's `ServicerContext`.
Method = Callable[[bytes, Any], bytes]
#: The same for grpc, which gives the messages of a call as they arrive.
RpcHandler = Callable[[Iterator[bytes], Any], bytes]

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}
_LIVE = ServerLiveResponse(live=True).SerializeToString()
_METADATA = ServerMetadataResponse(name="kfp-edge-serving", version=__version__).SerializeToString()
_FAILED = "the server failed; its log says how."
#: Characters of an error that are sent; clients take some 8 kB of all that follows an answer.
_LONGEST = 1000


class InferenceService:
    """Answers calls; from several threads at once."""

    def __init__(
        self,
        catalog: Callable[[], ModelCatalog],
        is_ready: Callable[[], bool],
        access: Authenticator,
        max_wait: float,
        read_seconds: float,
        tracer: Tracer | None = None,
        access_log: bool = False,
    ) -> None:
        #: Calls refused because they would have waited too long.
        self.overloaded = 0
        self._ending = False
        self._catalog = catalog
        self._ready = is_ready
        self._access = access
        self._max_wait = max_wait
        self._teller = AccessLog(tracer, access_log)
        self._slots = threading.BoundedSemaphore(usable_cpus())
        self._arrivals = _Arrivals(read_seconds)

    def handlers(self) -> dict[str, RpcHandler]:
        """Return what answers each call of the protocol."""
        return {
            "ServerLive": self._handler(lambda _message, _context: _LIVE, _anyone),
            "ServerReady": self._handler(self._server_ready, _anyone),
            "ServerMetadata": self._handler(lambda _message, _context: _METADATA, self._check_access),
            "ModelReady": self._handler(self._model_ready, self._check_access),
            "ModelMetadata": self._handler(self._model_metadata, self._check_access),
            "ModelInfer": self._handler(self._infer, self._check_ready),
        }

    def drain(self) -> None:
        """Refuse new inferences from now on."""
        self._ending = True

    def close(self) -> None:
        """Watch over calls no longer."""
        self._arrivals.close()

    def _is_ready(self) -> bool:
        return self._ready() and not self._ending

    def _handler(self, method: Method, check: Callable[[Any], None]) -> RpcHandler:
        """Return a method as grpc calls it, which tells errors as gRPC does.

        Args:
            method: What answers.
            check: Refuses a call before its message is read.
        """

        def handler(messages: Iterator[bytes], context: Any) -> bytes:
            try:
                check(context)
                return method(self._arrivals.first(messages, context), context)
            except RequestError as error:
                status, sentence = error.status, str(error)
            except grpc.RpcError:  # the call is over: the client went away, or was too slow
                raise
            except Exception:  # noqa: BLE001 - a bug of ours must not show its traceback to clients, and must be seen
                status, sentence = 500, _FAILED
                log("bug", "error", protocol="grpc", traceback=traceback.format_exc())
            context.abort(_CODES[status], sentence[:_LONGEST])
            raise AssertionError("abort always raises")

        return handler

    def _check_access(self, context: Any) -> None:
        access = self._access
        if not (access.is_open or access.allows(_header(context, "authorization"), access.needs_certificate)):
            raise RequestError("this server asks for a bearer token or a client certificate; neither was valid.", 401)

    def _check_ready(self, context: Any) -> None:
        self._check_access(context)
        if not self._is_ready():
            raise RequestError("the server is not ready; try again later.", 503)

    def _server_ready(self, _message: bytes, _context: Any) -> bytes:
        return ServerReadyResponse(ready=self._is_ready()).SerializeToString()

    def _model_ready(self, message: bytes, _context: Any) -> bytes:
        request = protobuf_codec.parsed(ModelReadyRequest, message)
        self._catalog().find(request.name, request.version)
        return ModelReadyResponse(ready=self._is_ready()).SerializeToString()

    def _model_metadata(self, message: bytes, _context: Any) -> bytes:
        request = protobuf_codec.parsed(ModelMetadataRequest, message)
        catalog = self._catalog()
        served = catalog.find(request.name, request.version)
        return protobuf_codec.metadata(served.model.bundle, catalog.versions(served.name))

    def _infer(self, message: bytes, context: Any) -> bytes:
        begun = time.monotonic()
        request = protobuf_codec.parsed(ModelInferRequest, message)
        served = self._catalog().find(request.model_name, request.model_version)
        status, sentence = 500, _FAILED
        try:
            answer = self._answer(served.model, request)
            status, sentence = 200, ""
            return answer
        except RequestError as error:
            status, sentence = error.status, str(error)
            raise
        finally:
            seconds = time.monotonic() - begun
            served.metrics.answered("grpc", status, seconds)
            if sentence or self._teller.tells_all:
                self._tell(served, request.id, context, status, seconds, sentence)

    def _answer(self, model: Model, request: ModelInferRequest) -> bytes:
        if not model.slow:
            return protobuf_codec.infer(model, request)
        if not self._slots.acquire(timeout=self._max_wait):
            self.overloaded += 1
            raise RequestError("the server has more requests than it can answer in time; try again later.", 503)
        try:
            return protobuf_codec.infer(model, request)
        finally:
            self._slots.release()

    def _tell(
        self, served: ServedModel, identity: str, context: Any, status: int, seconds: float, sentence: str
    ) -> None:
        attribute = "rpc.response.status_code", "OK" if status == 200 else _CODES[status].name
        error = sentence[:_LONGEST] or None
        inference = Inference("grpc", status, seconds, error, _header(context, "traceparent"), attribute)
        self._teller.tell(served, inference, identity or None)


class _Arrivals:
    """Waits for the message of each call, and cancels calls whose message does not come.

    A call takes a thread as soon as it is announced, so a client that then says nothing would keep that thread.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[Any, float] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="grpc-arrivals", daemon=True).start()

    def first(self, messages: Iterator[bytes], context: Any) -> bytes:
        """Return the first message of a call.

        Raises:
            RequestError: there is none.
            grpc.RpcError: the call is over.
        """
        self._waiting[context] = time.monotonic()
        try:
            return next(messages)
        except StopIteration as error:
            raise RequestError("the call holds no message.") from error
        finally:
            del self._waiting[context]

    def close(self) -> None:
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._seconds / 4):
            latest = time.monotonic() - self._seconds
            for context, since in list(self._waiting.items()):
                if since < latest:
                    context.cancel()


def _anyone(_context: Any) -> None:
    """Refuse nobody."""


def _header(context: Any, name: str) -> bytes | None:
    """Return the value that a call's metadata give a name; the first, as REST does."""
    for key, value in context.invocation_metadata():
        if key == name:
            return value.encode() if isinstance(value, str) else bytes(value)
    return None
