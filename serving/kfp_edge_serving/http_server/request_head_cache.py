"""A cache of the parsed head of each request: a client sends few different ones, and the same bytes mean the same."""

from kfp_edge_serving.http_server.messages import HttpRequest

_HEAD_END = b"\r\n\r\n"
_MAX_HEADS = 256
_MAX_HEAD_BYTES = 1024
#: They differ in every request.
_TRACE_HEADERS = frozenset({b"traceparent", b"tracestate"})
_MISS: tuple[HttpRequest | None, int] = (None, 0)


class RequestHeadCache:
    """Maps the bytes of a head to its request, still without a body, and the length of that body."""

    def __init__(self) -> None:
        self._entries: dict[bytes, tuple[HttpRequest, int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, data: bytes, has_certificate: bool) -> HttpRequest | None:
        """Return the request that `data` is, if its head is cached and the rest of `data` is exactly its body."""
        end = data.find(_HEAD_END) + len(_HEAD_END)
        request, length = self._entries.get(data[:end], _MISS)
        if request is None or len(data) - end != length:
            return None
        return request.with_body(data[end:], has_certificate)

    def add(self, data: bytes, request: HttpRequest) -> None:
        """Cache the head of the only request in `data`, unless anything but content-length delimits its body."""
        end = data.find(_HEAD_END) + len(_HEAD_END)
        is_whole = len(data) - end == len(request.body) and b"transfer-encoding" not in request.headers
        is_usual = request.keep_alive and request.version == "1.1" and not _TRACE_HEADERS & request.headers.keys()
        if is_whole and is_usual and end <= _MAX_HEAD_BYTES and request.method == b"POST":
            if len(self._entries) >= _MAX_HEADS:
                self._entries.clear()
            self._entries[data[:end]] = request.with_body(b"", has_certificate=False), len(request.body)
