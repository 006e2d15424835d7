"""Accepts the connections of REST, with or without TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable

from kfp_edge_serving.http_server.sockets import listen, refuse_new_connections
from kfp_edge_serving.telemetry.log import log

#: More connections than that wait for the next iteration of the event loop, so that a flood leaves time for open ones.
_ACCEPTED_AT_ONCE = 256
_RETRY_SECONDS = 0.2
_HANDSHAKE_TIMEOUT = 10.0
#: Time for connections that have begun when the server ends: handshakes of TCP, then of TLS.
_LAST_CONNECTIONS_SECONDS = 0.05
_LAST_HANDSHAKES_SECONDS = 2.0


class Listener:
    """Accepts all connections that wait, many at once.

    uvloop's own server accepts one connection per iteration of the event loop: with many busy clients, new ones and
    the kubelet's probes among them would wait for seconds.
    """

    def __init__(
        self,
        host: str,
        port: int,
        new_connection: Callable[[], asyncio.Protocol],
        tls_context: Callable[[], ssl.SSLContext | None],
    ) -> None:
        """Listen, on any free port if `port` is 0.

        Args:
            host: The address, or the name of a host: all of its addresses.
            port: The port.
            new_connection: Makes the protocol of a new connection.
            tls_context: Returns what new connections use for TLS, None for plain HTTP.

        Raises:
            StartError: the port is in use, or the address is not one of this host.
        """
        self._new_connection = new_connection
        self._tls_context = tls_context
        self._sockets = listen(host, port)
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self.port: int = self._sockets[0].getsockname()[1]
        for listening in self._sockets:
            self._start_accepting(listening)

    async def close(self) -> None:
        """Accept the connections that have begun, and nothing more; open connections stay open."""
        for listening in self._sockets:
            refuse_new_connections(listening)
        await asyncio.sleep(_LAST_CONNECTIONS_SECONDS)
        for listening in self._sockets:
            self._accept(listening)
            self._loop.remove_reader(listening)
            listening.close()
        if self._handshakes:
            await asyncio.wait(self._handshakes, timeout=_LAST_HANDSHAKES_SECONDS)

    def _start_accepting(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                client, _ = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # no file descriptor is left; other connections have to close first
                log("not accepted", "warning", error=str(error.strerror))
                self._loop.remove_reader(listening)
                self._loop.call_later(_RETRY_SECONDS, self._start_accepting, listening)
                return
            client.setblocking(False)
            # the certificate may have been renewed since the last connection
            handshake = self._loop.create_task(self._connect(client, self._tls_context()))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._handshakes.discard)

    async def _connect(self, client: socket.socket, context: ssl.SSLContext | None) -> None:
        timeout = None if context is None else _HANDSHAKE_TIMEOUT
        try:
            await self._loop.connect_accepted_socket(
                self._new_connection, client, ssl=context, ssl_handshake_timeout=timeout
            )
        except OSError as error:  # includes errors of TLS
            client.close()
            log("not connected", "warning", error=str(error))
