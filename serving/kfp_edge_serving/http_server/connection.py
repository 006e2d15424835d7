"""One connection of HTTP/1.1 (RFC 9110, RFC 9112): llhttp parses, this module owns the rest.

Requests of a connection are answered in their order; whatever is not exactly HTTP is answered with 400 and ends the
connection, so that no two readers can disagree where a request ends.
"""

import asyncio
import time
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.http_server.messages import HttpRequest, HttpResponse, path_of, refusal
from kfp_edge_serving.telemetry.log import log

if TYPE_CHECKING:
    from kfp_edge_serving.http_server.server import HttpServer

#: Header lines that anyone here asks for; the others are not kept.
_KEPT = frozenset(
    b"authorization content-encoding content-length content-type expect host inference-header-content-length"
    b" traceparent transfer-encoding".split()
)
#: What a header line counts beyond its letters, so that many small ones are not free (as in RFC 9113, 6.5.2).
_HEADER_COST = 32
#: Of the largest length that is worth reading as a number.
_DIGITS = 18
#: Connections beyond the limit that may still ask for something cheap: a probe must hear that the server lives.
_GUESTS = 32
#: Seconds that such a guest has, and those in which a client that was refused may read why.
_LINGER = 2.0
_STATUS = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client: reads requests, has them answered, writes the answers in the order of the requests."""

    def __init__(self, service: "HttpServer") -> None:
        self._service = service
        self._limits = service.limits
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._is_plain = True
        self._has_certificate = False
        self._is_guest = False
        # the request that is being read
        self._request: HttpRequest | None = None
        self._head_done = False
        self._head_left = 0
        self._expects = False
        self._body: bytes | bytearray = b""
        self._stuck = 0
        # requests that were read, the one that a thread works on, and why the one behind them was refused
        self._waiting: deque[HttpRequest] = deque()
        self._working: HttpRequest | None = None
        self._refused: RequestError | None = None
        self._held = 0
        self._ended = False
        self._write_paused = False
        self._read_paused = False
        self._closing = False
        self._answered = 0
        # what `check_time` compares: it changes whenever something happened
        self._state: object = None
        self._state_since = time.monotonic()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: Any) -> None:
        """Take a new client; as a guest when there are too many, and not at all when there are too many guests."""
        self._transport = transport
        ssl_object = transport.get_extra_info("ssl_object")
        self._is_plain = ssl_object is None
        self._has_certificate = ssl_object is not None and bool(ssl_object.getpeercert())
        beyond = len(self._service.connections) - self._limits.max_connections
        self._is_guest = beyond >= 0 or self._service.draining
        if beyond < _GUESTS:
            self._service.connections.add(self)
        else:
            self._closing = True
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client; an answer that is still being computed goes nowhere."""
        self._service.connections.discard(self)
        self._closing = True
        self._waiting.clear()
        self._body = b""
        self._hold()
        self._parser = None

    def data_received(self, data: bytes) -> None:
        """Read what came, and answer every request that is complete."""
        if self._closing or self._refused is not None:
            return
        is_first = self._request is None and self._working is None and not self._waiting
        if is_first and (request := self._service.heads.request(data, self._has_certificate)):
            self._waiting.append(request)
            self._work()
            return
        before = self._request
        progress = None if before is None else (self._head_left, len(self._body))
        try:
            self._feed(data)
        except httptools.HttpParserCallbackError as error:
            self._refuse(_cause(error))
        except httptools.HttpParserError as error:
            self._refuse(RequestError(f"this is not an HTTP request: {str(error).rstrip('.') or 'malformed'}."))
        if self._request is not None:
            # a line that does not end is kept by the parser, and counted here
            is_stuck = self._request is before and progress == (self._head_left, len(self._body))
            self._stuck = self._stuck + len(data) if is_stuck else 0
            if self._stuck > self._limits.max_head:
                self._refuse(self._too_long())
        elif is_first and len(self._waiting) == 1:
            self._service.heads.remember(data, self._waiting[0])
        self._work()

    def eof_received(self) -> bool:
        """Answer what was asked before the client ended its side, then close."""
        self._ended = True
        if self._request is not None and not self._closing:
            self._refuse(RequestError("the request ends before it is complete."))
            self._work()
        # with TLS there is no half of a connection to answer on
        return self._owes and not self._closing and self._is_plain

    def pause_writing(self) -> None:
        """Answer nothing more to a client that does not read."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Go on once it has read."""
        self._write_paused = False
        self._work()

    def _feed(self, data: bytes | memoryview) -> None:
        while data:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = memoryview(data)[upgrade.args[0] :]
                self._decline_upgrade()

    def _decline_upgrade(self) -> None:
        """Read on in HTTP/1.1 behind the head of a request that offers another protocol.

        Nobody has to follow an offer (RFC 9110, "Upgrade"), but for llhttp the request ends with its head. So the head
        is read once more without the offer, and what follows is its body.
        """
        self._parser = httptools.HttpRequestParser(self)
        request = self._waiting.pop()
        lines = [b"%b %b HTTP/%b" % (request.method, request.path, request.version.encode())]
        lines += [b"%b: %b" % header for header in request.headers.items()]
        lines += [b"connection: keep-alive" if request.keep_alive else b"connection: close", b"", b""]
        self._parser.feed_data(b"\r\n".join(lines))

    # --- httptools ---

    def on_message_begin(self) -> None:
        self._request = HttpRequest(self._has_certificate)
        self._head_done = False
        self._head_left = self._limits.max_head
        self._expects = False

    def on_url(self, url: bytes) -> None:
        """Take the target, which may come in pieces."""
        assert self._request is not None
        self._head_left -= len(url)
        if self._head_left < 0:
            raise self._too_long()
        self._request.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header that anyone here asks for."""
        self._head_left -= len(name) + len(value) + _HEADER_COST
        if self._head_left < 0:
            raise self._too_long()
        name = name.lower()
        # nobody here needs a trailer, and none may pass for a header
        if name in _KEPT and not self._head_done:
            assert self._request is not None
            headers = self._request.headers
            if name in headers and name != b"traceparent":
                # two readers could understand two requests
                raise RequestError(f"the request has two headers {name.decode()}.")
            headers[name] = value

    def on_headers_complete(self) -> None:
        """Check the head before any of the body is taken."""
        request, parser = self._request, self._parser
        assert request is not None
        headers = request.headers
        request.method = parser.get_method()
        request.version = version = parser.get_http_version()
        request.keep_alive = parser.should_keep_alive()
        request.path = path_of(request.path)
        self._head_done = True
        if version not in ("1.1", "1.0"):
            raise RequestError(f"this server speaks HTTP/1.1, not {version}.", 505)
        if request.method == b"CONNECT":
            raise RequestError("this server is no proxy.", 501)
        if b"host" not in headers and version == "1.1":
            raise RequestError("the request has no header host.")
        length = headers.get(b"content-length")
        if length is not None and (len(length) > _DIGITS or int(length) > self._limits.max_body):
            raise self._too_large()
        if b"transfer-encoding" in headers:
            if length is not None or version == "1.0":
                raise RequestError("the length of the request's body is not clear.")
            if headers[b"transfer-encoding"].strip().lower() != b"chunked":
                raise RequestError("the only transfer-encoding that this server takes is chunked.", 501)
        if b"expect" in headers:
            self._expects = headers[b"expect"].strip().lower() == b"100-continue" and version == "1.1"

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body, mostly the only one."""
        if not self._body:
            self._body = data
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += data
        if len(self._body) > self._limits.max_body:
            raise self._too_large()

    def on_message_complete(self) -> None:
        """Put the request in line to be answered."""
        assert self._request is not None
        if self._body:
            self._request.body = bytes(self._body)
            self._body = b""
        self._waiting.append(self._request)
        self._request = None

    # --- answering ---

    def _work(self) -> None:
        """Answer what waits, as far as it goes."""
        while self._waiting and not (self._working is not None or self._write_paused or self._closing):
            request = self._waiting.popleft()
            answer = self._as_guest(request) if self._is_guest else self._service.handler(request)
            if isinstance(answer, HttpResponse):
                self._answer(request, answer)
            else:
                self._working = request
                answer.add_done_callback(self._finish)
        if self._closing:
            self._close()
            return
        if self._request is not None or self._working is not None or self._held:
            self._hold()
        if self._refused is not None and not self._owes:
            self._write(refusal(self._refused), _CLOSE)
            self._closing = True
            self._close()
            return
        if self._expects:
            self._continue()
        if self._waiting or self._read_paused:
            self._regulate()

    def _as_guest(self, request: HttpRequest) -> "HttpResponse | asyncio.Future[HttpResponse]":
        if request.method in (b"GET", b"HEAD"):
            return self._service.handler(request)
        return refusal(RequestError("this server has no room for another connection; try again later.", 503))

    def _finish(self, done: "asyncio.Future[HttpResponse]") -> None:
        request, self._working = self._working, None
        assert request is not None
        if self._closing:
            self._hold()
        else:
            self._answer(request, done.result())
            self._work()

    def _answer(self, request: HttpRequest, response: HttpResponse) -> None:
        self._answered += 1
        if not request.keep_alive or self._is_guest or ((self._service.draining or self._ended) and self._is_last()):
            self._closing = True
            end = _CLOSE
        else:
            end = b"\r\n" if request.version == "1.1" else b"connection: keep-alive\r\n\r\n"
        # the answer to HEAD says how long it would be, and is not (RFC 9110, "HEAD")
        self._write(response, end, has_body=request.method != b"HEAD")

    def _is_last(self) -> bool:
        return not self.is_busy and self._refused is None

    def _write(self, response: HttpResponse, end: bytes, has_body: bool = True) -> None:
        head = b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b" % (
            _STATUS[response.status],
            response.content_type,
            len(response.body),
            self._service.date,
        )
        self._transport.write(b"".join((head, *response.headers, end, response.body if has_body else b"")))

    def _continue(self) -> None:
        """Let a client send the body that it announced, once all before it is answered (RFC 9110, "Expect")."""
        if self._request is not None and self._head_done and not self._body and not self._owes:
            self._expects = False
            self._transport.write(_CONTINUE)

    def _hold(self) -> None:
        """Count the bodies that wait here towards all that the server holds, and take no more than it may hold."""
        held = len(self._body) + sum(len(request.body) for request in self._waiting)
        if self._working is not None:
            held += len(self._working.body)
        self._service.held += held - self._held
        self._held = held
        if self._body and self._service.held > self._limits.max_held:
            self._refuse(RequestError("the server holds as many large requests as it can; try again later.", 503))
            self._hold()

    def _regulate(self) -> None:
        """Read no further while requests wait, so that a client cannot make us hold more than one piece of its data."""
        wanted = bool(self._waiting)
        if wanted != self._read_paused and not self._transport.is_closing():
            self._read_paused = wanted
            switch = self._transport.pause_reading if wanted else self._transport.resume_reading
            switch()

    # --- ending ---

    def _refuse(self, error: RequestError) -> None:
        self._request = None
        self._body = b""
        self._refused = error

    def _too_large(self) -> RequestError:
        return RequestError(f"the body is larger than {self._limits.max_body} bytes; send fewer rows.", 413)

    def _too_long(self) -> RequestError:
        return RequestError(f"the head of the request is larger than {self._limits.max_head} bytes.", 431)

    def _close(self) -> None:
        """Close after what is written; a client that was refused may still send, and has a moment to read why."""
        if self._refused is not None and self._is_plain and not self._ended and not self._transport.is_closing():
            self._transport.write_eof()
        else:
            self._transport.close()

    @property
    def is_busy(self) -> bool:
        """Whether a request is being received or answered."""
        return self._request is not None or self._owes

    @property
    def _owes(self) -> bool:
        return self._working is not None or bool(self._waiting)

    def close_when_idle(self) -> None:
        """Close now, or after the request that has begun."""
        if not self.is_busy:
            self._closing = True
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def check_time(self, now: float) -> None:
        """End the connection if nothing happened for longer than it may."""
        unsent = self._transport.get_write_buffer_size()
        state = (self._answered, self._request is not None, self._working, unsent, self._closing)
        if state != self._state:
            self._state, self._state_since = state, now
            return
        waits_for_us = self._working is not None and self._request is None and not unsent
        if waits_for_us or now - self._state_since <= self._patience(unsent):
            return
        if unsent or self._closing:
            self.abort()
        elif self._request is not None:
            self._refuse(RequestError("the request did not arrive in time.", 408))
            self._work()
        else:
            self.close_when_idle()

    def _patience(self, unsent: int) -> float:
        if not unsent and (self._is_guest or (self._closing and self._refused is not None)):
            return _LINGER
        is_idle = self._answered and not unsent and self._request is None and not self._closing
        return self._limits.idle_seconds if is_idle else self._limits.read_seconds


def _cause(error: Exception) -> RequestError:
    if isinstance(cause := error.__context__, RequestError):
        return cause
    log("bug", "error", error=repr(cause))
    return RequestError("this request cannot be read.")
