"""One connection of HTTP/1.1 (RFC 9110, RFC 9112): its requests are answered in their order."""

import asyncio
import fcntl
import struct
import termios
import time
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from http import HTTPStatus
from typing import Protocol, cast

from kfp_edge_serving.errors import TOO_MANY_BYTES, TOO_MANY_CONNECTIONS, RequestError
from kfp_edge_serving.http_server.messages import HttpHandler, HttpRequest, HttpResponse, error_response
from kfp_edge_serving.http_server.request_head_cache import RequestHeadCache
from kfp_edge_serving.http_server.request_parser import ParserState, RequestParser
from kfp_edge_serving.limits import Limits
from kfp_edge_serving.telemetry.refusals import Refusals

_STATUS_LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
#: A response, with places for the length of its body, the date header and the body.
_OK_JSON = _STATUS_LINES[200] + b"content-type: application/json\r\ncontent-length: %d\r\n%b\r\n%b"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n\r\n"
#: Seconds that a client has for its first request if the server ends meanwhile.
_FIRST_REQUEST_SECONDS = 1.0


class ConnectionState(Enum):
    """What a connection still does; it only ever moves down this list."""

    #: Requests are read, and answered in their order.
    OPEN = auto()
    #: A request was refused: no more is read, and the error follows the responses to the requests before it.
    REFUSING = auto()
    #: The last response is written; the connection ends once the client has received it.
    CLOSING = auto()


#: By global names: the lookup in the class costs time, some ten times per request.
_OPEN, _REFUSING, _CLOSING = ConnectionState
_IDLE = ParserState.IDLE


class ConnectionServer(Protocol):
    """What a connection needs of its server, see `HttpServer`."""

    handler: HttpHandler
    take_short_path: Callable[[HttpRequest, "Connection"], bool]
    limits: Limits
    connections: set["Connection"]
    head_cache: RequestHeadCache
    buffered_bytes: int
    is_ending: bool
    refusals: Refusals
    date_header: bytes


class Connection(asyncio.Protocol):
    """Reads the requests of one client, passes them to the handler and writes the responses.

    Beside its `ConnectionState` a connection has a state of parsing (`RequestParser.state`) and these flags:

    - `_is_over_limit`: beyond the largest number of connections. Only health probes (GET, HEAD) are answered, one each.
    - `_has_client_ended`: the client has closed its side; what it sent before is still answered.
    - `_is_write_paused`: the client reads too slowly, so nothing more is answered.
    - `_is_read_paused`: requests wait, so nothing more is read.
    - `_is_half_closed`: all is sent, and the client has a moment to read it and to close.
    """

    def __init__(self, server: ConnectionServer) -> None:
        self._server = server
        self._limits = server.limits
        self._transport = cast(asyncio.Transport, None)  # until the connection is made
        self._has_tls = False
        self._has_certificate = False
        self._state = _OPEN
        self._is_over_limit = False
        self._has_client_ended = False
        self._is_write_paused = False
        self._is_read_paused = False
        self._is_half_closed = False
        self._opened_at = time.monotonic()
        #: Complete requests that wait, and the one that is being answered, in a thread or together with others.
        self._waiting: deque[HttpRequest] = deque()
        self._under_way: HttpRequest | None = None
        #: The response to the request that was refused.
        self._refusal: HttpResponse | None = None
        self._parser = RequestParser(server.limits, self._waiting)
        #: Bytes of bodies here, as they are counted in `server.buffered_bytes`.
        self._buffered = 0
        self._responses = 0
        # what `check_timeout` compares: it differs whenever there was progress
        self._progress: object = None
        self._progress_at = time.monotonic()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a client: for probes only when there are too many connections, and not at all when there are more."""
        self._transport = cast(asyncio.Transport, transport)
        ssl_object = transport.get_extra_info("ssl_object")
        self._has_tls = ssl_object is not None
        self._has_certificate = ssl_object is not None and bool(ssl_object.getpeercert())
        self._parser.has_certificate = self._has_certificate
        excess = len(self._server.connections) - self._limits.max_connections
        self._is_over_limit = excess >= 0
        if excess < self._limits.max_probe_connections:
            self._server.connections.add(self)
        else:
            self._state = _CLOSING
            self._server.refusals.add("rest", _too_many_connections())
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Drop all that was received; a response that is still being computed is discarded."""
        self._server.connections.discard(self)
        self._state = _CLOSING
        self._waiting.clear()
        self._parser.close()
        self._update_buffered()

    def data_received(self, data: bytes) -> None:
        """Parse what was received, and answer every request that is complete."""
        if self._state is not _OPEN:
            return
        parser = self._parser
        is_first = parser.state is _IDLE and self._under_way is None and not self._waiting
        if is_first and (request := self._server.head_cache.find(data, self._has_certificate)):
            if self._is_over_limit or self._is_write_paused or not self._server.take_short_path(request, self):
                self.handle(request)
            return
        try:
            parser.feed(data)
        except RequestError as error:
            self._refuse(error)
        else:
            if is_first and parser.state is _IDLE and len(self._waiting) == 1:
                self._server.head_cache.add(data, self._waiting[0])
        self._process()

    def eof_received(self) -> bool:
        """Answer what was requested before the client closed its side, then close."""
        self._has_client_ended = True
        if self._parser.state is not _IDLE and self._state is not _CLOSING:
            self._refuse(RequestError("the request ends before it is complete."))
            self._process()
        # TLS has no half-closed connection to answer on
        return self._has_unanswered and self._state is not _CLOSING and not self._has_tls

    def pause_writing(self) -> None:
        """Answer nothing more to a client that does not read."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """Go on once the client has read."""
        self._is_write_paused = False
        self._process()

    # --- the short path, see `short_path.Waiter` ---

    def hold(self, request: HttpRequest) -> None:
        """Read on, but answer nothing more before this request."""
        self._under_way = request

    def answer(self, request: HttpRequest, body: bytes) -> None:
        """Write the response, status 200 and JSON."""
        self._under_way = None
        if self._state is _CLOSING:
            return
        if self._state is _OPEN and self._parser.state is _IDLE and not (self._waiting or self._is_ending):
            self._responses += 1
            self._transport.write(_OK_JSON % (len(body), self._server.date_header, body))
        else:
            self._respond(request, HttpResponse(200, body))
            self._process()

    def handle(self, request: HttpRequest) -> None:
        """Answer on the general path."""
        self._under_way = None
        if self._state is not _CLOSING:
            self._waiting.appendleft(request)
            self._process()

    # --- answering ---

    def _process(self) -> None:
        """Answer the requests that wait as far as possible, then do what the state of the connection asks for."""
        while self._waiting and not (self._under_way is not None or self._is_write_paused or self._state is _CLOSING):
            request = self._waiting.popleft()
            response = self._handle_over_limit(request) if self._is_over_limit else self._server.handler(request)
            if isinstance(response, HttpResponse):
                self._respond(request, response)
            else:
                self._under_way = request
                response.add_done_callback(self._respond_from_thread)
        if self._state is _CLOSING:
            self._close()
            return
        if self._buffered or self._under_way is not None or self._parser.state is not _IDLE:
            self._update_buffered()
        if self._refusal is not None and not self._has_unanswered:
            self._write(self._refusal, _CLOSE)
            self._state = _CLOSING
            self._close()
            return
        if self._parser.expects_continue:
            self._send_continue()
        if self._waiting or self._is_read_paused:
            self._pause_or_resume_reading()

    def _handle_over_limit(self, request: HttpRequest) -> "HttpResponse | asyncio.Future[HttpResponse]":
        if request.method in (b"GET", b"HEAD"):
            return self._server.handler(request)
        error = _too_many_connections()
        self._server.refusals.add("rest", error)
        return error_response(error)

    def _respond_from_thread(self, done: "asyncio.Future[HttpResponse]") -> None:
        request, self._under_way = self._under_way, None
        assert request is not None
        if self._state is _CLOSING:
            self._update_buffered()
        else:
            self._respond(request, done.result())
            self._process()

    def _respond(self, request: HttpRequest, response: HttpResponse) -> None:
        self._responses += 1
        if not request.keep_alive or self._is_over_limit or self._is_last_response():
            self._state = _CLOSING
            end = _CLOSE
        else:
            end = b"\r\n" if request.version == "1.1" else b"connection: keep-alive\r\n\r\n"
        # the response to HEAD has the headers of that to GET, and no body (RFC 9110, "HEAD")
        self._write(response, end, has_body=request.method != b"HEAD")

    def _is_last_response(self) -> bool:
        return self._is_ending and not self.is_busy and self._refusal is None and not self._has_unread()

    @property
    def _is_ending(self) -> bool:
        return self._server.is_ending or self._has_client_ended

    def _write(self, response: HttpResponse, end: bytes, has_body: bool = True) -> None:
        head = b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b" % (
            _STATUS_LINES[response.status],
            response.content_type,
            len(response.body),
            self._server.date_header,
        )
        self._transport.write(b"".join((head, *response.headers, end, response.body if has_body else b"")))

    def _send_continue(self) -> None:
        """Let a client send the body that it announced, once all before it is answered (RFC 9110, "Expect")."""
        if not self._parser.body and not self._has_unanswered:
            self._parser.expects_continue = False
            self._transport.write(_CONTINUE)

    def _update_buffered(self) -> None:
        """Count the bodies here towards the total of the server, and refuse a body beyond what that may be."""
        buffered = len(self._parser.body) + sum(len(request.body) for request in self._waiting)
        if self._under_way is not None:
            buffered += len(self._under_way.body)
        self._server.buffered_bytes += buffered - self._buffered
        self._buffered = buffered
        if self._parser.body and self._server.buffered_bytes > self._limits.max_buffered:
            message = "the server buffers as many large requests as it can; try again later."
            self._refuse(RequestError(message, 503, TOO_MANY_BYTES))
            self._update_buffered()

    def _pause_or_resume_reading(self) -> None:
        """Read nothing while requests wait, so that no client can make the server buffer more than one read."""
        should_pause = bool(self._waiting)
        if should_pause != self._is_read_paused and not self._transport.is_closing():
            self._is_read_paused = should_pause
            switch = self._transport.pause_reading if should_pause else self._transport.resume_reading
            switch()

    # --- ending ---

    def _refuse(self, error: RequestError) -> None:
        self._parser.discard()
        self._server.refusals.add("rest", error)
        self._refusal = error_response(error)
        self._state = _REFUSING

    def _close(self) -> None:
        """Close after what is written.

        A client that does not know yet that this is the end may still be sending: if its bytes came to a closed socket,
        the system would drop what it has not read yet. So only this side is closed until the client closes its own.
        """
        can_half_close = not (self._has_tls or self._has_client_ended or self._transport.is_closing())
        if (self._refusal is not None or self._server.is_ending) and can_half_close:
            self._is_half_closed = True
            self._transport.write_eof()
        else:
            self._transport.close()

    def _has_unread(self) -> bool:
        """Whether bytes of the client have arrived that were not read yet."""
        socket = self._transport.get_extra_info("socket")
        if socket is None or self._transport.is_closing():
            return False
        return struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.FIONREAD, bytes(4))) != (0,)

    @property
    def is_busy(self) -> bool:
        """Whether a request is being received or answered."""
        return self._parser.state is not _IDLE or self._has_unanswered

    @property
    def _has_unanswered(self) -> bool:
        return self._under_way is not None or bool(self._waiting)

    def close_when_idle(self) -> None:
        """Close, unless a request has begun or has just arrived."""
        if not self.is_busy and self._state is _OPEN and not self._has_unread():
            self._state = _CLOSING
            self._transport.close()

    @property
    def awaits_first_request(self) -> bool:
        """Whether the client has connected just now, so that its request is on its way."""
        return not self._responses and time.monotonic() - self._opened_at < _FIRST_REQUEST_SECONDS

    def abort(self) -> None:
        """Close at once, without sending what is left."""
        self._transport.abort()

    def check_timeout(self, now: float) -> None:
        """End the connection if it made no progress for longer than it may."""
        unsent = self._transport.get_write_buffer_size()
        is_receiving = self._parser.state is not _IDLE
        is_closing = self._state is _CLOSING
        progress = (self._responses, is_receiving, self._under_way, unsent, is_closing)
        if progress != self._progress:
            self._progress, self._progress_at = progress, now
            return
        waits_for_server = self._under_way is not None and not is_receiving and not unsent
        if waits_for_server or now - self._progress_at <= self._timeout(unsent):
            return
        if unsent or is_closing:
            self.abort()
        elif is_receiving:
            self._refuse(RequestError("the request did not arrive in time.", 408))
            self._process()
        else:
            self.close_when_idle()

    def _timeout(self, unsent: int) -> float:
        is_closing = self._state is _CLOSING
        is_ended = self._is_half_closed or (is_closing and self._refusal is not None)
        if not unsent and (self._is_over_limit or is_ended):
            return self._limits.linger_timeout
        is_idle = self._responses and not unsent and self._parser.state is _IDLE and not is_closing
        return self._limits.idle_timeout if is_idle else self._limits.read_timeout


def _too_many_connections() -> RequestError:
    return RequestError("the server has too many connections; try again later.", 503, TOO_MANY_CONNECTIONS)
