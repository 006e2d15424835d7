"""The REST API of the Open Inference Protocol v2: which path answers what."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol
from urllib.parse import quote, unquote

import orjson

from kfp_edge_serving import __version__
from kfp_edge_serving.auth import Authenticator
from kfp_edge_serving.codecs import json_codec, triton
from kfp_edge_serving.codecs.named_rows import list_row_columns
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.features.definition import FeatureDefinition
from kfp_edge_serving.http_server.content_coding import decompress_body
from kfp_edge_serving.http_server.messages import (
    HttpRequest,
    HttpResponse,
    MethodNotAllowedError,
    canonical_path,
    error_response,
)
from kfp_edge_serving.http_server.openapi import document
from kfp_edge_serving.http_server.short_path import ShortPath, Waiter
from kfp_edge_serving.inference.handler import InferenceHandler, InferenceProtocol
from kfp_edge_serving.inference.load_shedding import EventLoopLag, ThreadQueue
from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.limits import Limits
from kfp_edge_serving.models.bundle import LoadedBundle, TensorSpec
from kfp_edge_serving.models.model import Model
from kfp_edge_serving.models.repository import ModelCatalog, ServedModel
from kfp_edge_serving.telemetry.known_labels import REST
from kfp_edge_serving.telemetry.metrics import CONTENT_TYPE, ModelSnapshot, ServerSnapshot, exposition
from kfp_edge_serving.telemetry.refusals import Refusals
from kfp_edge_serving.telemetry.tracing import Tracer

EXTENSIONS = ("binary_tensor_data", *triton.EXTENSIONS)
_SERVER_METADATA: JsonObject = {
    "name": "kfp-edge-serving",
    "version": __version__,
    "extensions": list(EXTENSIONS),
}

_LIVE = b"/v2/health/live"
_READY = b"/v2/health/ready"
#: Headers of a request whose body is more, or other, than JSON.
_ENCODING_HEADERS = frozenset({b"content-encoding", b"inference-header-content-length"})
_OCTET_STREAM = b"application/octet-stream"
#: Bodies up to this many bytes are answered on the event loop; handing a request to a thread costs some 30 us.
_MAX_INLINE_BODY = 32 << 10


class ModelSource(Protocol):
    """Where the models come from, see `ModelRepository`."""

    catalog: ModelCatalog

    def refused(self) -> int:
        """Return the number of bundles in the folder that are not served as they are."""


@dataclass(frozen=True)
class ConnectionStats:
    """Open REST connections, requests and calls in flight, and the protocols that are answered."""

    connections: int = 0
    in_flight: int = 0
    protocols: Sequence[str] = (REST,)


class Router:
    """Answers requests; called on the event loop only."""

    def __init__(
        self,
        source: ModelSource,
        authenticator: Authenticator,
        limits: Limits,
        executor: Executor,
        tracer: Tracer | None = None,
        access_log: bool = False,
        refusals: Refusals | None = None,
    ) -> None:
        self.is_ready = False
        self._refusals = refusals or Refusals()
        #: Called when metrics are scraped.
        self.connection_stats: Callable[[], ConnectionStats] = ConnectionStats
        self._source = source
        self._max_rows = limits.max_rows
        self._authenticator = authenticator
        protocol = replace(_PROTOCOL, infer=partial(_decode_and_infer, max_body=limits.max_body))
        self._inference = InferenceHandler(protocol, self._refusals, tracer, access_log)
        loop = asyncio.get_running_loop()
        self._event_loop_lag = EventLoopLag(loop, limits.max_wait)
        self._threads = ThreadQueue(loop, executor, limits.max_queued, limits.max_wait)
        self._get_routes: dict[bytes, Callable[[], HttpResponse]] = {}
        self._infer_routes: dict[bytes, ServedModel] = {}
        self._short_paths: dict[bytes, ShortPath] = {}
        self.update(source.catalog)

    def update(self, catalog: ModelCatalog) -> None:
        """Answer from a new catalog from now on."""
        get_routes: dict[bytes, Callable[[], HttpResponse]] = {
            _LIVE: lambda: _json({"live": True}),
            _READY: self._server_readiness,
            b"/v2": _constant(_SERVER_METADATA),
            # the protocol's text has the path above, its OpenAPI document has this one
            b"/v2/": _constant(_SERVER_METADATA),
            b"/v2/models": _constant({"models": catalog.names()}),
            b"/metrics": self._metrics,
            b"/openapi.json": lambda: HttpResponse(200, document()),
        }
        infer_routes: dict[bytes, ServedModel] = {}
        get_routes[b"/v2/models/stats"] = lambda: _json(triton.model_statistics(catalog.served))
        for name in catalog.names():
            versions = catalog.versions(name)
            for version in ("", *versions):
                served = catalog.find(name, version)
                root = _model_path(name, version)
                get_routes[root] = _constant(model_metadata(served.model.bundle, versions))
                get_routes[root + b"/config"] = _constant(triton.model_config(served.model.bundle, self._max_rows))
                get_routes[root + b"/stats"] = partial(self._model_statistics, catalog, name, version)
                get_routes[root + b"/ready"] = partial(self._model_readiness, served)
                infer_routes[root + b"/infer"] = served
        self._get_routes, self._infer_routes = get_routes, infer_routes
        self._short_paths = {
            path: ShortPath(served, self._inference)
            for path, served in infer_routes.items()
            if served.model.max_rows_at_once
        }

    def take_short_path(self, request: HttpRequest, waiter: Waiter) -> bool:
        """Answer a POST request on the short path; return False if it has to take the general one, by `__call__`."""
        short_path = self._short_paths.get(request.path)
        if short_path is None or not _ENCODING_HEADERS.isdisjoint(request.headers):
            return False
        if not (self._authenticator.is_open or self._is_allowed(request)):
            return False
        began = time.monotonic()
        return not self._event_loop_lag.is_too_long(began) and short_path.take(request, waiter, began)

    def _is_allowed(self, request: HttpRequest) -> bool:
        return self._authenticator.allows(request.headers.get(b"authorization"), request.has_certificate)

    def __call__(self, request: HttpRequest) -> "HttpResponse | asyncio.Future[HttpResponse]":
        """Answer a request, later if a thread does the work."""
        try:
            if not self._authenticator.is_open and request.path not in (_LIVE, _READY):
                self._authenticator.check(request.headers.get(b"authorization"), request.has_certificate)
            served = self._infer_routes.get(request.path)
            if served is None or request.method != b"POST":
                answer = self._route(request)
                if isinstance(answer, HttpResponse):
                    return answer
                served = answer
        except RequestError as error:
            self._refusals.add("rest", error)
            return error_response(error)
        try:
            return self._infer(served, request)
        except RequestError as error:  # counted and logged with the model
            return error_response(error)

    def _infer(self, served: ServedModel, request: HttpRequest) -> "HttpResponse | asyncio.Future[HttpResponse]":
        """Infer on the event loop, or in a thread what takes long."""
        began = time.monotonic()
        if self._event_loop_lag.is_too_long(began):
            raise self._inference.refuse_overload(served)
        # a compressed body may be a hundred times as large as it seems
        is_small = len(request.body) <= _MAX_INLINE_BODY and b"content-encoding" not in request.headers
        if is_small and not served.model.is_slow:
            return self._inference.handle(served, request, began)
        if self._threads.is_full():
            raise self._inference.refuse_overload(served)
        return self._threads.submit(partial(self._infer_in_thread, served, request, began))

    def _infer_in_thread(self, served: ServedModel, request: HttpRequest, began: float) -> HttpResponse:
        try:
            if self._threads.has_expired(began):
                raise self._inference.refuse_overload(served)
            return self._inference.handle(served, request, began)
        except RequestError as error:
            return error_response(error)

    def _route(self, request: HttpRequest) -> HttpResponse | ServedModel:
        """Answer everything but an inference; for one, whose path may be written in another way, return the model."""
        path = request.path if request.path in self._get_routes else canonical_path(request.path)
        get = self._get_routes.get(path)
        if get is not None:
            if request.method in (b"GET", b"HEAD"):
                return get()
            raise _method_not_allowed(request, b"GET", b"HEAD")
        served = self._infer_routes.get(path)
        if served is None:
            raise RequestError(self._describe_unknown(path), 404)
        if request.method != b"POST":
            raise _method_not_allowed(request, b"POST")
        return served

    def _describe_unknown(self, path: bytes) -> str:
        text = unquote(path.decode())
        if (without_slash := path.rstrip(b"/")) in self._get_routes.keys() | self._infer_routes.keys():
            return (
                f"there is nothing at {text}; the path is {unquote(without_slash.decode())}, without a slash behind it."
            )
        parts = [unquote(part) for part in path.decode().split("/")]
        if parts[:3] != ["", "v2", "models"] or len(parts) == 3:
            return f"there is nothing at {text}; the Open Inference Protocol starts at /v2."
        has_version = parts[4:5] == ["versions"]
        if not parts[3] or (has_version and not "".join(parts[5:6])):
            missing = "version" if parts[3] else "model name"
            return f"the path {text} has no {missing}; /v2/models lists the models."
        try:
            self._source.catalog.find(parts[3], parts[5] if has_version else "")
        except RequestError as error:
            return str(error)
        return f"there is no {text} for model '{parts[3]}'; see /openapi.json."

    def _model_statistics(self, catalog: ModelCatalog, name: str, version: str) -> HttpResponse:
        return _json(triton.model_statistics(catalog.find_all(name, version)))

    def _server_readiness(self) -> HttpResponse:
        return _json({"ready": self.is_ready}, 200 if self.is_ready else 503)

    def _model_readiness(self, served: ServedModel) -> HttpResponse:
        body: JsonObject = {"name": served.name, "ready": self.is_ready}
        if (windows := served.model.windows) is not None:
            groups = windows.count_groups()
            body["groups"] = {"full": groups.full, "warming_up": groups.warming_up}
        return _json(body, 200 if self.is_ready else 503)

    def _metrics(self) -> HttpResponse:
        stats = self.connection_stats()
        models = [
            ModelSnapshot(
                served.model.bundle,
                served.metrics.totals(),
                served.model.statistics.features(),
                served.model.statistics.classes(),
                served.model.windows,
                stats.protocols,
                served.model.statistics.outputs(),
                served.model.statistics.reference,
            )
            for served in self._source.catalog.served
        ]
        server = ServerSnapshot(
            is_ready=self.is_ready,
            in_flight=stats.in_flight,
            connections=stats.connections,
            refused_bundles=self._source.refused(),
            overloaded=self._refusals.count_overloads(),
            refused=self._refusals.counts(),
        )
        return HttpResponse(200, exposition(models, server), CONTENT_TYPE)


def _model_path(name: str, version: str) -> bytes:
    """Return the path of a model, or of one of its versions if there is a `version`, as `canonical_path` writes it."""
    path = f"/v2/models/{quote(name, safe='')}" + (f"/versions/{quote(version, safe='')}" if version else "")
    return canonical_path(path.encode())


def model_metadata(bundle: LoadedBundle, versions: Sequence[str]) -> JsonObject:
    """Return the body of a model's metadata ("Model Metadata Response JSON Object").

    For a model with computed features, `rows` describes what a client sends in `{"rows": [...]}`.
    """
    metadata: JsonObject = {
        "name": bundle.name,
        "versions": list(versions),
        "platform": "onnx_onnxv1",
        "inputs": [_tensor_metadata(tensor) for tensor in bundle.inputs],
        "outputs": [_tensor_metadata(tensor) for tensor in bundle.outputs],
    }
    return metadata if bundle.features is None else metadata | {"rows": _rows_metadata(bundle, bundle.features)}


def _rows_metadata(bundle: LoadedBundle, definition: FeatureDefinition) -> JsonObject:
    rows: JsonObject = {
        "time_column": definition.time_column,
        "time_kind": "number" if definition.is_numeric_time else "timestamp",
        "has_unique_times": definition.has_unique_times,
        "rows_needed": definition.rows_needed,
        "columns": [
            {"name": column.name, "required": column.required}
            | ({} if column.categories is None else {"categories": sorted(column.categories)})
            for column in list_row_columns(bundle.inputs, definition)
        ],
    }
    return rows if definition.group_column is None else rows | {"group_column": definition.group_column}


def _tensor_metadata(tensor: TensorSpec) -> JsonObject:
    metadata: JsonObject = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    return metadata | {"parameters": tensor.parameters}


def _json(value: JsonObject, status: int = 200) -> HttpResponse:
    return HttpResponse(status, orjson.dumps(value))


def _constant(value: JsonObject) -> Callable[[], HttpResponse]:
    response = _json(value)
    return lambda: response


def _method_not_allowed(request: HttpRequest, *allowed: bytes) -> MethodNotAllowedError:
    message = f"{request.path.decode('latin-1')} takes {allowed[0].decode()}, not {request.method.decode('latin-1')}."
    return MethodNotAllowedError(message, *allowed)


def _decode_and_infer(model: Model, request: HttpRequest, max_body: int = Limits.max_body) -> HttpResponse:
    if b"content-encoding" in request.headers:
        request.body = decompress_body(request.body, request.headers[b"content-encoding"], max_body)
        # the other headers are those of the decompressed body; the cache of heads shares the dictionary
        request.headers = {name: value for name, value in request.headers.items() if name != b"content-encoding"}
    encoded = json_codec.infer(model, request.body, _json_bytes(request))
    if encoded.json_bytes is None:
        return HttpResponse(encoded.status, encoded.body)
    length = b"inference-header-content-length: %d\r\n" % encoded.json_bytes
    return HttpResponse(encoded.status, encoded.body, _OCTET_STREAM, (length,))


def _json_bytes(request: HttpRequest) -> int | None:
    """Return the length of the JSON part of a body that raw tensors follow ("Binary Tensor Data Extension")."""
    length = request.headers.get(b"inference-header-content-length")
    if length is None:
        return None
    if not length.isdigit() or len(length) > 10 or int(length) > len(request.body):
        raise RequestError("inference-header-content-length must be a number of bytes, at most the length of the body.")
    return int(length)


def _request_id(request: HttpRequest) -> str | None:
    """Return the id of a request, which may not even be JSON."""
    try:
        parsed = orjson.loads(request.body[: _json_bytes(request)])
    except (orjson.JSONDecodeError, RequestError):
        return None
    request_id = parsed.get("id") if isinstance(parsed, dict) else None
    return request_id if isinstance(request_id, str) else None


_PROTOCOL = InferenceProtocol(
    name="rest",
    infer=_decode_and_infer,
    request_id=_request_id,
    traceparent=lambda request: request.headers.get(b"traceparent"),
    tracestate=lambda request: request.headers.get(b"tracestate"),
    response_status=lambda response: response.status,
    span_status=lambda status: ("http.response.status_code", status),
)
