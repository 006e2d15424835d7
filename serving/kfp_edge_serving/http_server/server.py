"""The HTTP server: all its connections, their timeouts and their end."""

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate

from kfp_edge_serving.http_server.connection import Connection
from kfp_edge_serving.http_server.messages import HttpHandler, HttpRequest
from kfp_edge_serving.http_server.request_head_cache import RequestHeadCache
from kfp_edge_serving.limits import Limits
from kfp_edge_serving.telemetry.refusals import Refusals

_TIMEOUT_CHECK_SECONDS = 0.5
_DRAIN_CHECK_SECONDS = 0.01


class HttpServer:
    """All connections of a server. `handler` may be replaced while it runs.

    `take_short_path` is asked first for requests with a known head; if it returns False, they go to `handler`.
    """

    def __init__(self, handler: HttpHandler, limits: Limits, refusals: Refusals | None = None) -> None:
        self.handler = handler
        self.refusals = refusals or Refusals()
        self.take_short_path: Callable[[HttpRequest, Connection], bool] = lambda request, connection: False
        self.limits = limits
        self.connections: set[Connection] = set()
        self.head_cache = RequestHeadCache()
        #: Bytes of bodies that are being received or wait for their response.
        self.buffered_bytes = 0
        #: Whether the server is about to end, so that every connection is closed after its next response.
        self.is_ending = False
        #: The header line of the current time.
        self.date_header = b""
        self._update_date()

    def new_connection(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self)

    @property
    def in_flight(self) -> int:
        """The number of requests that are being received or answered."""
        return sum(connection.is_busy for connection in self.connections)

    async def enforce_timeouts(self) -> None:
        """End the connections that take too long, until cancelled."""
        while True:
            await asyncio.sleep(_TIMEOUT_CHECK_SECONDS)
            self._update_date()
            now = time.monotonic()
            for connection in list(self.connections):
                connection.check_timeout(now)

    async def drain(self, seconds: float) -> None:
        """Answer every request that has begun, then close; abort what is left after `seconds`."""
        self.is_ending = True
        end = time.monotonic() + seconds
        while self.connections and time.monotonic() < end:
            for connection in list(self.connections):
                if not connection.awaits_first_request:
                    connection.close_when_idle()
            await asyncio.sleep(_DRAIN_CHECK_SECONDS)
        for connection in list(self.connections):
            connection.abort()

    def _update_date(self) -> None:
        self.date_header = b"date: " + formatdate(usegmt=True).encode() + b"\r\n"
