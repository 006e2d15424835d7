"""The standard health service, `grpc.health.v1`: what kubelets and clients ask before they send calls."""

import threading
from collections.abc import Callable

from kfp_edge_serving.codecs.health_pb2 import HealthCheckRequest, HealthCheckResponse
from kfp_edge_serving.codecs.protobuf_codec import parse
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.grpc_server.calls import Call
from kfp_edge_serving.grpc_server.service import CheckedMethod, Method, UnaryMethod, allow_all
from kfp_edge_serving.grpc_server.statuses import refuse

SERVICE = "grpc.health.v1.Health"

#: Clients that watch at once.
_MAX_WATCHERS = 256
_SERVING = HealthCheckResponse.SERVING
_NOT_SERVING = HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN


class HealthService:
    """Says whether the server is ready; it needs no access, as kubelets have none."""

    def __init__(self, is_ready: Callable[[], bool], services: tuple[str, ...]) -> None:
        """Answer for these services, and for the empty name, which is the server."""
        self._is_ready = is_ready
        self._names = frozenset(("", *services))
        self._lock = threading.Lock()
        self._watchers: set[_Watcher] = set()
        self._is_closed = False

    def methods(self) -> dict[str, Method]:
        """Return the methods by their names."""
        return {"Check": UnaryMethod(self._check, allow_all), "Watch": _WatchMethod(self._watch)}

    def update(self) -> None:
        """Let those that watch know what has changed."""
        with self._lock:
            for watcher in self._watchers:
                watcher.send(self._status(watcher.service))

    def close(self) -> None:
        """End all that watch, and watch no more."""
        self.update()
        with self._lock:
            watchers, self._watchers, self._is_closed = self._watchers, set(), True
        for watcher in watchers:
            refuse(watcher.call, _end_error())

    def _check(self, message: bytes, _call: Call) -> bytes:
        service = parse(HealthCheckRequest, message).service
        status = self._status(service)
        if status == _SERVICE_UNKNOWN:
            raise RequestError(f"there is no service '{service}' here.", 404)
        return HealthCheckResponse(status=status).SerializeToString()

    def _status(self, service: str) -> HealthCheckResponse.ServingStatus:
        if service not in self._names:
            return _SERVICE_UNKNOWN
        return _SERVING if self._is_ready() else _NOT_SERVING

    def _watch(self, call: Call, message: bytes) -> None:
        service = parse(HealthCheckRequest, message).service
        with self._lock:
            if self._is_closed:
                raise _end_error()
            if len(self._watchers) >= _MAX_WATCHERS:
                raise RequestError("the server has more clients that watch its health than it takes.", 429)
            watcher = _Watcher(call, service, self._lock)
            self._watchers.add(watcher)
            call.keep_open(lambda: self._remove(watcher))
            watcher.send(self._status(service))

    def _remove(self, watcher: "_Watcher") -> None:
        with self._lock:
            is_watching = watcher in self._watchers
            self._watchers.discard(watcher)
        if is_watching:
            watcher.call.end()


class _WatchMethod(CheckedMethod):
    """A method that takes one message and answers with several."""

    def __init__(self, watch: Callable[[Call, bytes], None]) -> None:
        super().__init__(allow_all)
        self._watch = watch

    def _receive(self, call: Call, message: bytes | None) -> None:
        try:
            if message is None:
                raise RequestError("the call has no message.")
            self._watch(call, message)
        except RequestError as error:
            refuse(call, error)


class _Watcher:
    """One client that watches a service, and the last status that it was sent; `lock` guards it."""

    def __init__(self, call: Call, service: str, lock: threading.Lock) -> None:
        self.call = call
        self.service = service
        self._lock = lock
        self._sent: HealthCheckResponse.ServingStatus | None = None
        self._wanted: HealthCheckResponse.ServingStatus | None = None
        self._is_sending = False

    def send(self, status: HealthCheckResponse.ServingStatus) -> None:
        """Send a status unless it was the last one; one message after the other."""
        self._wanted = status
        if status != self._sent and not self._is_sending:
            self._sent, self._is_sending = status, True
            self.call.send(HealthCheckResponse(status=status).SerializeToString(), self._go_on)

    def _go_on(self) -> None:
        with self._lock:
            self._is_sending = False
            if self._wanted is not None and not self.call.is_over:
                self.send(self._wanted)


def _end_error() -> RequestError:
    return RequestError("the server is shutting down.", 503)
