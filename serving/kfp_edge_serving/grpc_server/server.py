"""The gRPC server on a port of its own: limits, threads, TLS and draining. What calls answer is in `service`."""

import os
import socket
import time
from collections.abc import Callable

# grpc reads this when it is imported; what it writes to stderr is not JSON as our log is, and of no help to operators
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc

from kfp_edge_serving.auth import Authenticator, TlsFiles
from kfp_edge_serving.errors import StartError
from kfp_edge_serving.grpc_server.service import InferenceService, RpcHandler
from kfp_edge_serving.grpc_server.thread_pool import ThreadPool
from kfp_edge_serving.limits import Limits
from kfp_edge_serving.models.repository import ModelCatalog
from kfp_edge_serving.telemetry.tracing import Tracer

_SERVICE = "inference.GRPCInferenceService"
_MIN_THREADS = 3
_MAX_STREAMS = 1024


class GrpcServer:
    """Serves whatever models the catalog has at the moment, in threads of its own."""

    def __init__(
        self,
        catalog: Callable[[], ModelCatalog],
        is_ready: Callable[[], bool],
        authenticator: Authenticator,
        limits: Limits,
        tracer: Tracer | None = None,
        access_log: bool = False,
    ) -> None:
        self._service = InferenceService(catalog, is_ready, authenticator, limits, tracer, access_log)
        self._authenticator = authenticator
        self._limits = limits
        self._threads: ThreadPool | None = None
        self._methods: _MethodTable | None = None
        self._server: grpc.Server | None = None
        self._tls: TlsFiles | None = None

    @property
    def in_flight(self) -> int:
        """The number of calls that are being received or answered."""
        return 0 if self._threads is None else self._threads.active

    @property
    def overloaded(self) -> int:
        """The number of calls refused because there were too many, or because they would have waited too long."""
        return self._service.overloaded + (0 if self._methods is None else self._methods.overloaded)

    def start(self, host: str, port: int) -> int:
        """Listen, and return the port, which is any free one if `port` is 0.

        Raises:
            StartError: the port is in use, or the address is not one of this host.
        """
        max_calls = self._limits.grpc_max_calls
        threads = ThreadPool(_MIN_THREADS, max_calls)
        methods = _MethodTable(self._service.handlers(), threads, max_calls)
        server = grpc.server(
            threads, handlers=[methods], options=_options(self._limits), maximum_concurrent_rpcs=max_calls
        )
        bound_port = self._listen(server, host, port)
        server.start()
        self._server, self._threads, self._methods = server, threads, methods
        return bound_port

    def stop(self, grace_seconds: float) -> None:
        """Refuse new inferences; return once those in flight are answered, or cancelled after `grace_seconds`."""
        if self._server is None or self._threads is None:
            return
        end = time.monotonic() + grace_seconds
        self._service.drain()
        self._threads.wait_idle(grace_seconds)
        # only now: grpc cancels calls that arrive while it stops, which clients could not tell from a failure
        self._server.stop(max(0.0, end - time.monotonic())).wait()
        self._threads.shutdown()
        self._service.close()

    def _listen(self, server: grpc.Server, host: str, port: int) -> int:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if self._authenticator.tls is None:
                return int(server.add_insecure_port(address))
            return int(server.add_secure_port(address, self._credentials(self._authenticator.tls)))
        except RuntimeError as error:
            raise StartError(f"cannot listen on {host} port {port}: {_bind_error(host, port)}.") from error

    def _credentials(self, tls: TlsFiles) -> grpc.ServerCredentials:
        self._tls = tls
        return grpc.dynamic_ssl_server_credentials(
            _certificate_configuration(tls),
            self._renewed_certificate,
            require_client_authentication=self._authenticator.needs_certificate,
        )

    def _renewed_certificate(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the certificate for a new connection, or None if it is still the last one."""
        tls = self._authenticator.tls
        if tls is None or tls is self._tls:
            return None
        self._tls = tls
        return _certificate_configuration(tls)


class _MethodTable:
    """Finds the handler of a call, as grpc's `GenericRpcHandler` does."""

    def __init__(self, handlers: dict[str, RpcHandler], threads: ThreadPool, max_calls: int) -> None:
        # registered as if they took a stream of messages, so that they are called before the only message has arrived
        self._handlers = {
            f"/{_SERVICE}/{name}": grpc.stream_unary_rpc_method_handler(handler) for name, handler in handlers.items()
        }
        self._threads = threads
        self._max_calls = max_calls
        self.overloaded = 0

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return the handler of a new call, None if there is none; grpc calls this from one thread only."""
        # grpc has just decided to refuse the call with RESOURCE_EXHAUSTED, and reports that nowhere else
        if self._threads.active >= self._max_calls:
            self.overloaded += 1
        return self._handlers.get(details.method)


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        # else a second server would share the port, and get some of the calls
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.max_body),
        ("grpc.max_send_message_length", -1),
        # far above grpc_max_calls: grpc resets calls at random when a connection comes near this
        ("grpc.max_concurrent_streams", _MAX_STREAMS),
        ("grpc.max_allowed_incoming_connections", limits.grpc_max_connections),
        # uncompressed only: a small message must not unfold into a large one
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.max_connection_idle_ms", int(1000 * limits.grpc_idle_timeout)),
        # a client that vanishes, as over a broken radio link, is detected within a minute
        ("grpc.keepalive_time_ms", 40_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # ... and a client that sends keepalive pings itself is not disconnected for it
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server_handshake_timeout_ms", 10_000),
    ]


def _certificate_configuration(tls: TlsFiles) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(tls.key, tls.certificate)], tls.client_ca)


def _bind_error(host: str, port: int) -> str:
    """Return why a port cannot be bound, which grpc does not report."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind((host, port))
    except OSError as error:
        return str(error.strerror)
    return "grpc could not bind it"
