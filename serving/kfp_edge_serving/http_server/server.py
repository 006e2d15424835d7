"""HTTP/1.1 for many small requests: what it takes, and the life of all its connections."""

import asyncio
import time
from dataclasses import dataclass
from email.utils import formatdate

from kfp_edge_serving.http_server.connection import Connection
from kfp_edge_serving.http_server.messages import HttpHandler
from kfp_edge_serving.http_server.request_head_cache import RequestHeadCache

_SWEEP = 0.5


@dataclass(frozen=True)
class HttpLimits:
    """What a client may ask of this server. Sizes in bytes, times in seconds.

    `max_head` is for the target and all header lines. `read_seconds` is for a whole request from its first byte, and
    for a client that reads nothing of its answer; `idle_seconds` for a connection between requests.
    """

    max_body: int = 4 << 20
    max_head: int = 16 << 10
    max_connections: int = 1024
    read_seconds: float = 30.0
    idle_seconds: float = 75.0

    @property
    def max_held(self) -> int:
        """The largest sum of all bodies that are being received or wait for their answer."""
        return 16 * self.max_body


class HttpServer:
    """All connections of a server. `handler` may be exchanged while it runs."""

    def __init__(self, handler: HttpHandler, limits: HttpLimits) -> None:
        self.handler = handler
        self.limits = limits
        self.connections: set[Connection] = set()
        self.heads = RequestHeadCache()
        #: Bytes of bodies that are being received or wait for their answer.
        self.held = 0
        self.draining = False
        #: The header line of the current time.
        self.date = b""
        self._tick()

    def connection(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self)

    @property
    def in_flight(self) -> int:
        """The requests that are being received or answered."""
        return sum(connection.is_busy for connection in self.connections)

    async def sweep(self) -> None:
        """Cut the connections that take too long, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP)
            self._tick()
            now = time.monotonic()
            for connection in list(self.connections):
                connection.check_time(now)

    async def drain(self, seconds: float) -> None:
        """Let every request that has begun be answered, then close; cut what is left after `seconds`."""
        self.draining = True
        end = time.monotonic() + seconds
        for connection in list(self.connections):
            connection.close_when_idle()
        while self.connections and time.monotonic() < end:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()

    def _tick(self) -> None:
        self.date = b"date: " + formatdate(usegmt=True).encode() + b"\r\n"
