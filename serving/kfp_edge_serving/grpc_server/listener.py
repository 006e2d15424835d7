"""The port of the gRPC server: limits of the C core, and TLS."""

import socket

from kfp_edge_serving.auth import Authenticator, TlsFiles
from kfp_edge_serving.errors import StartError
from kfp_edge_serving.grpc_server import core
from kfp_edge_serving.grpc_server.core import CoreServer, ServerCertificates
from kfp_edge_serving.limits import Limits

#: Far above the calls that one client has at once: grpc resets calls at random when a connection comes near this.
_MAX_STREAMS = 1024


def core_options(limits: Limits) -> list[tuple[str, int]]:
    """Return the options of the C core."""
    return [
        # else a second server would share the port, and get some of the calls
        ("grpc.so_reuseport", 0),
        # of a message as it arrives, and unfolded: a small one must not unfold into a large one
        ("grpc.max_receive_message_length", limits.max_body),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", _MAX_STREAMS),
        ("grpc.max_allowed_incoming_connections", limits.grpc_max_connections),
        ("grpc.max_connection_idle_ms", int(1000 * limits.grpc_idle_timeout)),
        # a client that vanishes, as over a broken radio link, is detected within a minute; where nothing is being sent,
        # it is the last of these times that counts, which is 60 s by default
        ("grpc.keepalive_time_ms", 40_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.ping_timeout_ms", 20_000),
        # ... and a client that sends keepalive pings itself is not disconnected for it
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server_handshake_timeout_ms", 10_000),
    ]


class GrpcListener:
    """The port, with or without TLS."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._tls: TlsFiles | None = None

    def listen(self, server: CoreServer, host: str, port: int) -> int:
        """Let a server listen, and return the port, which is any free one if `port` is 0.

        Raises:
            StartError: the port is in use, or the address is not one of this host.
        """
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        tls = self._authenticator.tls
        credentials = None if tls is None else self._credentials(tls)
        bound_port = server.add_http2_port(address.encode(), credentials)
        if not bound_port:
            raise StartError(f"cannot listen on {host} port {port}: {_bind_error(host, port)}.")
        return bound_port

    def _credentials(self, tls: TlsFiles) -> object:
        self._tls = tls
        return core.tls_credentials(
            _certificates(tls), self._renewed_certificates, self._authenticator.needs_certificate
        )

    def _renewed_certificates(self) -> ServerCertificates | None:
        """Return the certificate for a new connection, or None if it is still the last one."""
        tls = self._authenticator.tls
        if tls is None or tls is self._tls:
            return None
        self._tls = tls
        return _certificates(tls)


def _certificates(tls: TlsFiles) -> ServerCertificates:
    return core.server_certificates(tls.key, tls.certificate, tls.client_ca)


def _bind_error(host: str, port: int) -> str:
    """Return why a port cannot be bound, which grpc does not report."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind((host, port))
    except OSError as error:
        return str(error.strerror)
    return "grpc could not bind it"
