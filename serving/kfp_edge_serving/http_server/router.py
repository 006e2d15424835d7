"""The REST face of the Open Inference Protocol v2: which path answers what."""

import asyncio
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from urllib.parse import unquote

import orjson

from kfp_edge_serving import __version__
from kfp_edge_serving.auth import Authenticator
from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.http_server.messages import JSON, HttpRequest, HttpResponse, refusal
from kfp_edge_serving.http_server.openapi import document
from kfp_edge_serving.inference.load_shedding import EventLoopLag
from kfp_edge_serving.models.bundle import LoadedBundle, TensorSpec
from kfp_edge_serving.models.repository import ModelCatalog, ServedModel
from kfp_edge_serving.telemetry.access_log import AccessLog, Inference
from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.metrics import CONTENT_TYPE, ModelSnapshot, ServerSnapshot, exposition
from kfp_edge_serving.telemetry.tracing import Tracer

EXTENSIONS = ("binary_tensor_data",)

_LIVE = b"/v2/health/live"
_READY = b"/v2/health/ready"
_OCTETS = b"application/octet-stream"
#: Bodies up to this many bytes are answered at once; handing a request to a thread costs some 30 us.
_INLINE_BYTES = 32 << 10


class ModelSource(Protocol):
    """Where the models come from."""

    catalog: ModelCatalog

    def refused(self) -> int:
        """Return how many bundles are not served as they are."""


@dataclass
class LoadLimits:
    """How much work may wait.

    `max_wait` is the longest time in seconds that a request may wait for its turn; `max_handed` how many may wait
    for a thread.
    """

    max_wait: float = 0.25
    max_handed: int = 64


@dataclass(frozen=True)
class ConnectionStats:
    """What those who carry requests know: connections of REST, requests in flight, gRPC calls that were refused."""

    connections: int = 0
    in_flight: int = 0
    overloaded: int = 0


class Router:
    """Answers requests; called on the event loop only."""

    def __init__(
        self,
        source: ModelSource,
        access: Authenticator,
        pressure: LoadLimits,
        executor: Executor,
        tracer: Tracer | None = None,
        access_log: bool = False,
    ) -> None:
        self.ready = False
        #: Asked when metrics are scraped.
        self.transport: Callable[[], ConnectionStats] = ConnectionStats
        self._source = source
        self._access = access
        self._pressure = pressure
        self._executor = executor
        self._teller = AccessLog(tracer, access_log)
        self._handed = 0
        self._overloaded = 0
        self._loop = asyncio.get_running_loop()
        self._turns = EventLoopLag(self._loop, pressure.max_wait)
        self._gets: dict[bytes, Callable[[], HttpResponse]] = {}
        self._infers: dict[bytes, ServedModel] = {}
        self.update(source.catalog)

    def update(self, catalog: ModelCatalog) -> None:
        """Answer from a new catalog from now on."""
        gets: dict[bytes, Callable[[], HttpResponse]] = {
            _LIVE: lambda: _json({"live": True}),
            _READY: self._readiness,
            b"/v2": _constant({"name": "kfp-edge-serving", "version": __version__, "extensions": list(EXTENSIONS)}),
            b"/v2/models": _constant({"models": catalog.names()}),
            b"/metrics": self._metrics,
            b"/openapi.json": lambda: HttpResponse(200, document()),
        }
        infers: dict[bytes, ServedModel] = {}
        for name in catalog.names():
            versions = catalog.versions(name)
            for version in ("", *versions):
                served = catalog.find(name, version)
                root = f"/v2/models/{name}" + (f"/versions/{version}" if version else "")
                gets[root.encode()] = _constant(metadata(served.model.bundle, versions))
                gets[f"{root}/ready".encode()] = partial(self._model_readiness, served)
                infers[f"{root}/infer".encode()] = served
        self._gets, self._infers = gets, infers

    def __call__(self, request: HttpRequest) -> "HttpResponse | asyncio.Future[HttpResponse]":
        """Answer a request, later if the work is handed to a thread."""
        try:
            if not self._access.is_open:
                self._check_access(request)
            served = self._infers.get(request.path)
            if served is not None and request.method == b"POST":
                return self._infer(served, request)
            return self._other(request)
        except RequestError as error:
            return refusal(error)

    def _infer(self, served: ServedModel, request: HttpRequest) -> "HttpResponse | asyncio.Future[HttpResponse]":
        begun = time.monotonic()
        if self._turns.has_come_too_late(begun):
            raise self._overload(served)
        if len(request.body) <= _INLINE_BYTES and not served.model.slow:
            return self._run(served, request, begun)
        if self._handed >= self._pressure.max_handed:
            raise self._overload(served)
        self._handed += 1
        future = self._loop.run_in_executor(self._executor, self._handed_over, served, request, begun)
        future.add_done_callback(self._taken_back)
        return future

    def _handed_over(self, served: ServedModel, request: HttpRequest, begun: float) -> HttpResponse:
        if time.monotonic() - begun > self._pressure.max_wait:
            return refusal(self._overload(served))
        return self._run(served, request, begun)

    def _taken_back(self, _: Any) -> None:
        self._handed -= 1

    def _overload(self, served: ServedModel) -> RequestError:
        self._overloaded += 1
        served.metrics.answered("rest", 503, 0.0)
        return RequestError("the server has more requests than it can answer in time; try again later.", 503)

    def _run(self, served: ServedModel, request: HttpRequest, begun: float) -> HttpResponse:
        """Infer; in any thread."""
        sentence = None
        try:
            answer = json_codec.infer(served.model, request.body, _json_bytes(request))
            if answer.json_bytes is None:
                response = HttpResponse(200, answer.body)
            else:
                length = b"inference-header-content-length: %d\r\n" % answer.json_bytes
                response = HttpResponse(200, answer.body, _OCTETS, (length,))
        except RequestError as error:
            sentence = str(error)
            response = refusal(error)
        except Exception:  # noqa: BLE001 - a bug of ours must not end the server, and must be seen
            sentence = "the server failed; its log says how."
            log("bug", "error", model=served.name, version=served.version, traceback=traceback.format_exc())
            response = refusal(RequestError(sentence, 500))
        seconds = time.monotonic() - begun
        served.metrics.answered("rest", response.status, seconds)
        if sentence is not None or self._teller.tells_all:
            self._tell(served, request, response.status, seconds, sentence)
        return response

    def _tell(self, served: ServedModel, request: HttpRequest, status: int, seconds: float, error: str | None) -> None:
        traceparent = request.headers.get(b"traceparent")
        attribute = "http.response.status_code", status
        inference = Inference("rest", status, seconds, error, traceparent, attribute)
        self._teller.tell(served, inference, _identity(request))

    def _other(self, request: HttpRequest) -> "HttpResponse | asyncio.Future[HttpResponse]":
        path = request.path
        if b"%" in path:
            path = unquote(path.decode("latin-1")).encode()
        get = self._gets.get(path)
        if get is not None:
            if request.method in (b"GET", b"HEAD"):
                return get()
            return _not_allowed(request, b"GET", b"HEAD")
        if path in self._infers:
            if request.method == b"POST":  # only now that the path was unquoted
                return self._infer(self._infers[path], request)
            return _not_allowed(request, b"POST")
        raise RequestError(self._unknown(path.decode("utf-8", "replace")), 404)

    def _unknown(self, path: str) -> str:
        parts = path.split("/")
        if parts[:3] == ["", "v2", "models"] and len(parts) > 3:
            version = parts[5] if parts[4:5] == ["versions"] and len(parts) > 5 else ""
            try:
                self._source.catalog.find(parts[3], version)
            except RequestError as error:
                return str(error)
            return f"there is no {path} for model '{parts[3]}'; see /openapi.json."
        return f"there is nothing at {path}; the Open Inference Protocol starts at /v2."

    def _check_access(self, request: HttpRequest) -> None:
        if request.path in (_LIVE, _READY):
            return
        if not self._access.allows(request.headers.get(b"authorization"), request.has_certificate):
            raise RequestError("this server asks for a bearer token or a client certificate; neither was valid.", 401)

    def _readiness(self) -> HttpResponse:
        return _json({"ready": self.ready}, 200 if self.ready else 503)

    def _model_readiness(self, served: ServedModel) -> HttpResponse:
        return _json({"name": served.name, "ready": self.ready}, 200 if self.ready else 503)

    def _metrics(self) -> HttpResponse:
        rows = [
            ModelSnapshot(
                one.model.bundle, one.metrics.requests(), one.model.observed.features(), one.model.observed.classes()
            )
            for one in self._source.catalog.served
        ]
        transport = self.transport()
        overloaded = self._overloaded + transport.overloaded
        gauges = ServerSnapshot(
            self.ready, transport.in_flight, transport.connections, self._source.refused(), overloaded
        )
        return HttpResponse(200, exposition(rows, gauges), CONTENT_TYPE)


def metadata(bundle: LoadedBundle, versions: Sequence[str]) -> dict[str, Any]:
    """Return the body of a model's metadata ("Model Metadata Response JSON Object")."""
    return {
        "name": bundle.name,
        "versions": list(versions),
        "platform": "onnx_onnxv1",
        "inputs": [_described(tensor) for tensor in bundle.inputs],
        "outputs": [_described(tensor) for tensor in bundle.outputs],
    }


def _described(tensor: TensorSpec) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _json(value: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(status, orjson.dumps(value))


def _constant(value: dict[str, Any]) -> Callable[[], HttpResponse]:
    response = _json(value)
    return lambda: response


def _not_allowed(request: HttpRequest, *allowed: bytes) -> HttpResponse:
    sentence = f"{request.path.decode('latin-1')} takes {allowed[0].decode()}, not {request.method.decode('latin-1')}."
    return HttpResponse(405, orjson.dumps({"error": sentence}), JSON, (b"allow: " + b", ".join(allowed) + b"\r\n",))


def _json_bytes(request: HttpRequest) -> int | None:
    """Return the length of the JSON part of a body that raw tensors follow ("Binary Tensor Data Extension")."""
    headers = request.headers
    if b"content-encoding" in headers and headers[b"content-encoding"].strip().lower() != b"identity":
        raise RequestError("this server takes no compressed bodies; send them without content-encoding.", 415)
    length = headers.get(b"inference-header-content-length")
    if length is None:
        return None
    if not length.isdigit() or len(length) > 10 or int(length) > len(request.body):
        raise RequestError("inference-header-content-length must be a number of bytes, at most the length of the body.")
    return int(length)


def _identity(request: HttpRequest) -> str | None:
    """Return the id of a request that may not even be one."""
    try:
        parsed = orjson.loads(request.body[: _json_bytes(request)])
    except (orjson.JSONDecodeError, RequestError):
        return None
    identity = parsed.get("id") if isinstance(parsed, dict) else None
    return identity if isinstance(identity, str) else None
