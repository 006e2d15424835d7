"""gRPC on a port of its own: limits, threads, TLS and drain. What calls answer is in `grpc_service`."""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# grpc reads this when it is imported; what it writes to stderr is no line of our log, and no help to operators
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc

from kfp_edge_serving.auth import Authenticator, TlsFiles
from kfp_edge_serving.errors import StartError
from kfp_edge_serving.grpc_server.service import InferenceService, RpcHandler
from kfp_edge_serving.grpc_server.thread_pool import ThreadPool
from kfp_edge_serving.models.repository import ModelCatalog
from kfp_edge_serving.telemetry.tracing import Tracer

_SERVICE = "inference.GRPCInferenceService"
_THREADS = 3
_STREAMS = 1024


@dataclass(frozen=True)
class GrpcLimits:
    """What clients may ask for.

    `max_body` is the largest message in bytes; `max_calls` and `max_connections` are how many there may be at once.
    In seconds, `max_wait` is how long a call of a slow model may wait for its turn, `read_seconds` how long a message
    may take to arrive, and `idle_seconds` how long a connection may have no call.
    """

    max_body: int = 4 << 20
    max_calls: int = 64
    max_connections: int = 256
    max_wait: float = 0.25
    read_seconds: float = 30
    idle_seconds: float = 300


class GrpcServer:
    """Answers from the catalog of the moment, in threads of its own."""

    def __init__(
        self,
        catalog: Callable[[], ModelCatalog],
        is_ready: Callable[[], bool],
        access: Authenticator,
        limits: GrpcLimits,
        tracer: Tracer | None = None,
        access_log: bool = False,
    ) -> None:
        self._service = InferenceService(
            catalog, is_ready, access, limits.max_wait, limits.read_seconds, tracer, access_log
        )
        self._access = access
        self._limits = limits
        self._workers: ThreadPool | None = None
        self._methods: _Methods | None = None
        self._server: Any = None
        self._tls: TlsFiles | None = None

    @property
    def in_flight(self) -> int:
        """How many calls are being received or answered."""
        return 0 if self._workers is None else self._workers.active

    @property
    def overloaded(self) -> int:
        """How many calls were refused because there were too many."""
        return self._service.overloaded + (0 if self._methods is None else self._methods.overloaded)

    def start(self, host: str, port: int) -> int:
        """Listen, and return the port: any that is free when `port` is 0.

        Raises:
            StartError: the port is taken, or the host is not this one.
        """
        workers = ThreadPool(_THREADS, self._limits.max_calls)
        methods = _Methods(self._service.handlers(), workers, self._limits.max_calls)
        server = grpc.server(
            workers,
            handlers=[methods],
            options=_options(self._limits),
            maximum_concurrent_rpcs=self._limits.max_calls,
        )
        bound = self._listen(server, host, port)
        server.start()
        self._server, self._workers, self._methods = server, workers, methods
        return bound

    def stop(self, grace_seconds: float) -> None:
        """Refuse new inferences; return once those under way are answered, or cancelled when the time is over."""
        if self._server is None or self._workers is None:
            return
        end = time.monotonic() + grace_seconds
        # only then, because grpc cancels calls that come while it stops: clients could not tell that from a failure
        self._service.drain()
        self._workers.wait_idle(grace_seconds)
        self._server.stop(max(0.0, end - time.monotonic())).wait()
        self._workers.shutdown()
        self._service.close()

    def _listen(self, server: Any, host: str, port: int) -> int:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if self._access.tls is None:
                return int(server.add_insecure_port(address))
            return int(server.add_secure_port(address, self._credentials(self._access.tls)))
        except RuntimeError as error:
            raise StartError(f"cannot listen on {host} port {port}: {_reason(host, port)}.") from error

    def _credentials(self, tls: TlsFiles) -> Any:
        self._tls = tls
        return grpc.dynamic_ssl_server_credentials(
            _certificates(tls), self._replaced, require_client_authentication=self._access.needs_certificate
        )

    def _replaced(self) -> Any:
        """Return the certificates for new connections, or None where they are those of the one before."""
        tls = self._access.tls
        if tls is None or tls is self._tls:
            return None
        self._tls = tls
        return _certificates(tls)


class _Methods:
    """Finds what answers a call, as grpc's `GenericRpcHandler` does."""

    def __init__(self, handlers: dict[str, RpcHandler], workers: ThreadPool, max_calls: int) -> None:
        # as if they took a stream of messages: so they are called before the only message has arrived
        self._handlers = {
            f"/{_SERVICE}/{name}": grpc.stream_unary_rpc_method_handler(handler) for name, handler in handlers.items()
        }
        self._workers = workers
        self._max_calls = max_calls
        self.overloaded = 0

    def service(self, details: Any) -> Any:
        """Return the handler of a call that has come, None where there is none; grpc asks in one thread only."""
        # grpc has decided just before to refuse the call with RESOURCE_EXHAUSTED, and tells it to nobody else
        if self._workers.active >= self._max_calls:
            self.overloaded += 1
        return self._handlers.get(details.method)


def _options(limits: GrpcLimits) -> list[tuple[str, int]]:
    return [
        # else a second server would share the port, and get some of the calls
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.max_body),
        ("grpc.max_send_message_length", -1),
        # far above max_calls: grpc resets calls at random when a connection comes near it
        ("grpc.max_concurrent_streams", _STREAMS),
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        # only uncompressed: a small message must not unfold into a large one
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.max_connection_idle_ms", int(1000 * limits.idle_seconds)),
        # a client that is gone without a word, as over a broken radio link, is forgotten within a minute
        ("grpc.keepalive_time_ms", 40_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # ... and one that asks whether we are still there is not sent away for it
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server_handshake_timeout_ms", 10_000),
    ]


def _certificates(tls: TlsFiles) -> Any:
    return grpc.ssl_server_certificate_configuration([(tls.key, tls.certificate)], tls.client_ca)


def _reason(host: str, port: int) -> str:
    """Return why a port cannot be had, which grpc does not tell."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind((host, port))
    except OSError as error:
        return str(error.strerror)
    return "grpc could not bind it"
