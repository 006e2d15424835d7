"""HTTP requests and responses, independent of how they are transferred."""

import asyncio
from collections.abc import Callable
from urllib.parse import quote_from_bytes, unquote_to_bytes

import orjson

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.http_server.content_coding import ACCEPTED

JSON = b"application/json"
#: What a segment of a path may hold beside letters, digits and `-._~` without an escape (RFC 3986, "Path").
_UNESCAPED = b"!$&'()*+,;=:@"


class MethodNotAllowedError(RequestError):
    """A request with a method that its path does not take; `allowed` are those that it takes."""

    def __init__(self, message: str, *allowed: bytes) -> None:
        super().__init__(message, 405)
        self.allowed = allowed


class HttpRequest:
    """One request: `path` as it was sent, without the query; `headers` by lower-case name, only those in use here."""

    __slots__ = ("body", "has_certificate", "headers", "keep_alive", "method", "path", "version")

    def __init__(self, has_certificate: bool) -> None:
        self.method = b""
        self.path = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.keep_alive = True
        self.version = "1.1"
        self.has_certificate = has_certificate

    def with_body(self, body: bytes, has_certificate: bool) -> "HttpRequest":
        """Return a request with the same head and another body."""
        request = HttpRequest(has_certificate)
        request.method = self.method
        request.path = self.path
        request.headers = self.headers
        request.body = body
        return request


class HttpResponse:
    """One response; `headers` are whole lines beside content-type and content-length."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(self, status: int, body: bytes, content_type: bytes = JSON, headers: tuple[bytes, ...] = ()) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers


#: Answers a request at once, or later where a thread does the work. It never raises.
HttpHandler = Callable[[HttpRequest], "HttpResponse | asyncio.Future[HttpResponse]"]


def error_response(error: RequestError) -> HttpResponse:
    """Return the response that reports an error ("Inference Error Response JSON Object")."""
    headers: tuple[bytes, ...] = ()
    if isinstance(error, MethodNotAllowedError):
        headers = (b"allow: " + b", ".join(error.allowed) + b"\r\n",)
    elif error.status in (429, 503):
        headers = (b"retry-after: 1\r\n",)
    elif error.status == 401:
        headers = (b"www-authenticate: Bearer\r\n",)
    elif error.status == 415:
        headers = (b"accept-encoding: " + ACCEPTED + b"\r\n",)
    return HttpResponse(error.status, orjson.dumps({"error": str(error)}), JSON, headers)


def path_of(target: bytes) -> bytes:
    """Return the path of a request target in origin or absolute form (RFC 9112, "Request Target")."""
    path = target.partition(b"?")[0]
    if not path.startswith(b"/") and b"://" in path:
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return path


def canonical_path(path: bytes) -> bytes:
    """Return the one way of several to write a path: with no escapes but those that are needed.

    An escaped slash stays one, because it is a part of a name (RFC 3986, "When to Encode or Decode").
    """
    segments = (quote_from_bytes(unquote_to_bytes(segment), _UNESCAPED) for segment in path.split(b"/"))
    return "/".join(segments).encode()
