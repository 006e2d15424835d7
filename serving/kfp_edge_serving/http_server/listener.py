"""The listening socket of REST: accepts connections, with or without TLS."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable

from kfp_edge_serving.errors import StartError
from kfp_edge_serving.telemetry.log import log

_BACKLOG = 2048
#: More connections than that wait for the next iteration of the event loop, so that a flood leaves time for open ones.
_ACCEPTED_AT_ONCE = 256
_RETRY_SECONDS = 0.2
_HANDSHAKE_TIMEOUT = 10.0


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
            host: The address.
            port: The port.
            new_connection: Makes the protocol of a new connection.
            tls_context: Returns what new connections use for TLS, None for plain HTTP.

        Raises:
            StartError: the port is in use, or the address is not one of this host.
        """
        self._new_connection = new_connection
        self._tls_context = tls_context
        self._socket = _listen(host, port)
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self.port: int = self._socket.getsockname()[1]
        self._start_accepting()

    def close(self) -> None:
        """Accept nothing more; open connections stay open."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _start_accepting(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                client, _ = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # no file descriptor is left; other connections have to close first
                log("not accepted", "warning", error=str(error.strerror))
                self._loop.remove_reader(self._socket)
                self._loop.call_later(_RETRY_SECONDS, self._start_accepting)
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


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # for an address in use, the message of Python's error has more than the reason
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StartError(f"cannot listen on {host} port {port}: {reason}.") from error
