"""Heads of requests that were parsed before: a client mostly sends few, and the same bytes mean the same."""

from kfp_edge_serving.http_server.messages import HttpRequest

_END = b"\r\n\r\n"
#: Heads that are remembered, and the longest of them in bytes.
_MOST = 256
_LONGEST = 1024
_UNKNOWN: tuple[HttpRequest | None, int] = (None, 0)


class RequestHeadCache:
    """By the bytes of a head: its request, yet without a body, and the length that this will have."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[HttpRequest, int]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def request(self, data: bytes, has_certificate: bool) -> HttpRequest | None:
        """Return the whole request that `data` is, if its head is known and its body all that follows."""
        end = data.find(_END) + len(_END)
        request, length = self._known.get(data[:end], _UNKNOWN)
        if request is None or len(data) - end != length:
            return None
        return request.again(data[end:], has_certificate)

    def remember(self, data: bytes, request: HttpRequest) -> None:
        """Remember the head of the only request in `data`, unless its end is told by anything but a length."""
        end = data.find(_END) + len(_END)
        is_whole = len(data) - end == len(request.body) and b"transfer-encoding" not in request.headers
        is_usual = request.keep_alive and request.version == "1.1" and b"traceparent" not in request.headers
        if is_whole and is_usual and end <= _LONGEST and request.method == b"POST":
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[data[:end]] = request.again(b"", False), len(request.body)
