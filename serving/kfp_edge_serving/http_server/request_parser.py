"""Parsing of HTTP/1.1 requests (RFC 9110, RFC 9112): llhttp splits the bytes, this module checks what llhttp accepts.

Whatever is not exactly HTTP is an error, so that no two readers can disagree where a request ends.
"""

from collections import deque
from enum import Enum, auto

import httptools

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.http_server.messages import HttpRequest, path_of
from kfp_edge_serving.limits import Limits
from kfp_edge_serving.telemetry.log import log

#: Headers that this server uses; the others are dropped.
USED_HEADERS = frozenset(
    b"authorization content-encoding content-length content-type expect host inference-header-content-length"
    b" traceparent tracestate transfer-encoding".split()
)
#: Headers that may come in several lines, which mean the same as one with a comma between them (RFC 9110, "Field
#: Order"). A traceparent has no comma, so that two of them are none.
TRACE_HEADERS = frozenset({b"traceparent", b"tracestate"})
#: What a header line counts beside its characters, so that many small ones are not free (as in RFC 9113, 6.5.2).
_HEADER_OVERHEAD = 32
#: A content-length of more digits is too large, whatever its value.
_MAX_LENGTH_DIGITS = 18


class ParserState(Enum):
    """Which part of a request is expected next."""

    #: The first byte of a request.
    IDLE = auto()
    #: More of the target or of the header lines.
    HEAD = auto()
    #: More of the body, or trailers.
    BODY = auto()


#: By global names: the lookup in the class costs time, several times per request.
_IDLE, _HEAD, _BODY = ParserState


class RequestParser:
    """Appends each complete request of a connection to `requests`."""

    def __init__(self, limits: Limits, requests: deque[HttpRequest]) -> None:
        self.state = _IDLE
        #: Whether the client of the connection has a certificate; every request carries it.
        self.has_certificate = False
        #: Whether the client waits for `100 Continue` before it sends the body (RFC 9110, "Expect").
        self.expects_continue = False
        #: What has been received of a body.
        self.body: bytes | bytearray = b""
        self._limits = limits
        self._requests = requests
        self._llhttp: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._request = HttpRequest(has_certificate=False)
        self._head_left = 0
        #: Bytes that llhttp has taken since it last reported anything.
        self._unreported = 0

    def feed(self, data: bytes) -> None:
        """Parse what was received.

        Raises:
            RequestError: it is not HTTP, exceeds a limit, or asks for what this server does not support.
        """
        before = self._request, self._head_left, len(self.body)
        try:
            self._feed(data)
        except httptools.HttpParserCallbackError as error:
            raise _cause(error) from error
        except httptools.HttpParserError as error:
            reason = str(error).rstrip(".") or "malformed"
            raise RequestError(f"this is not an HTTP request: {reason}.") from error
        if self.state is not _IDLE:
            # llhttp buffers a line that does not end, so its length is limited here
            is_unreported = before == (self._request, self._head_left, len(self.body))
            self._unreported = self._unreported + len(data) if is_unreported else 0
            if self._unreported > self._limits.max_head:
                raise self._head_too_large()

    def discard(self) -> None:
        """Drop the request that is being received."""
        self.state = _IDLE
        self.expects_continue = False
        self.body = b""

    def close(self) -> None:
        """Drop everything; llhttp and this object refer to each other."""
        self.discard()
        self._llhttp = None

    def _feed(self, data: bytes | memoryview) -> None:
        while data:
            try:
                assert self._llhttp is not None
                self._llhttp.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = memoryview(data)[upgrade.args[0] :]
                self._decline_upgrade()

    def _decline_upgrade(self) -> None:
        """Go on in HTTP/1.1 behind the head of a request that offers another protocol.

        No server has to accept an offer (RFC 9110, "Upgrade"), but for llhttp the request ends with its head. So the
        head is parsed once more without the offer, and what follows is its body.
        """
        self._llhttp = httptools.HttpRequestParser(self)
        request = self._requests.pop()
        lines = [b"%b %b HTTP/%b" % (request.method, request.path, request.version.encode())]
        lines += [b"%b: %b" % header for header in request.headers.items()]
        lines += [b"connection: keep-alive" if request.keep_alive else b"connection: close", b"", b""]
        self._llhttp.feed_data(b"\r\n".join(lines))

    # --- callbacks of httptools ---

    def on_message_begin(self) -> None:
        self._request = HttpRequest(self.has_certificate)
        self._head_left = self._limits.max_head
        self.state = _HEAD

    def on_url(self, url: bytes) -> None:
        """Append to the target, which may come in pieces."""
        self._head_left -= len(url)
        if self._head_left < 0:
            raise self._head_too_large()
        self._request.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header that this server uses."""
        self._head_left -= len(name) + len(value) + _HEADER_OVERHEAD
        if self._head_left < 0:
            raise self._head_too_large()
        name = name.lower()
        # trailers are not used, and none may pass for a header
        if name in USED_HEADERS and self.state is _HEAD:
            headers = self._request.headers
            if name in headers:
                if name not in TRACE_HEADERS:
                    # two readers could understand two requests
                    raise RequestError(f"the request has two headers {name.decode()}.")
                value = headers[name] + b"," + value
            headers[name] = value

    def on_headers_complete(self) -> None:
        """Check the head before any of the body is taken."""
        request, llhttp = self._request, self._llhttp
        assert llhttp is not None
        headers = request.headers
        request.method = llhttp.get_method()
        request.version = version = llhttp.get_http_version()
        request.keep_alive = llhttp.should_keep_alive()
        request.path = path_of(request.path)
        self.state = _BODY
        if version not in ("1.1", "1.0"):
            raise RequestError(f"this server supports HTTP/1.1, not {version}.", 505)
        if request.method == b"CONNECT":
            raise RequestError("this server is not a proxy.", 501)
        if b"host" not in headers and version == "1.1":
            raise RequestError("the request has no header host.")
        length = headers.get(b"content-length")
        if length is not None and (len(length) > _MAX_LENGTH_DIGITS or int(length) > self._limits.max_body):
            raise self._body_too_large()
        if b"transfer-encoding" in headers:
            if length is not None or version == "1.0":
                raise RequestError("the length of the request body is ambiguous.")
            if headers[b"transfer-encoding"].strip().lower() != b"chunked":
                raise RequestError("this server supports no transfer-encoding but chunked.", 501)
        if b"expect" in headers:
            self.expects_continue = headers[b"expect"].strip().lower() == b"100-continue" and version == "1.1"

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body, mostly the only one."""
        if not self.body:
            self.body = data
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += data
        if len(self.body) > self._limits.max_body:
            raise self._body_too_large()

    def on_message_complete(self) -> None:
        """Append the request to those that wait for their response."""
        self.expects_continue = False
        if self.body:
            self._request.body = bytes(self.body)
            self.body = b""
        self._requests.append(self._request)
        self.state = _IDLE

    def _body_too_large(self) -> RequestError:
        return RequestError(f"the body is larger than {self._limits.max_body} bytes; send fewer rows.", 413)

    def _head_too_large(self) -> RequestError:
        return RequestError(f"the head of the request is larger than {self._limits.max_head} bytes.", 431)


def _cause(error: httptools.HttpParserCallbackError) -> RequestError:
    if isinstance(cause := error.__context__, RequestError):
        return cause
    log("internal error", "error", error=repr(cause))
    return RequestError("this request cannot be parsed.")
