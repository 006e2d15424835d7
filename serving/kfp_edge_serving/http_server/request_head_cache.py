"""A cache of parsed request heads: a client sends few different ones, and the same bytes mean the same.

Many clients put a trace context or an id of their own into each request. So two heads of the same length are compared:
where only values differ that do not change how a request is read, the rest of the head is what is looked up.
"""

from typing import NamedTuple

from kfp_edge_serving.http_server.messages import HttpRequest
from kfp_edge_serving.http_server.request_parser import TRACE_HEADERS, USED_HEADERS

_HEAD_END = b"\r\n\r\n"
_MAX_HEADS = 256
_MAX_HEAD_BYTES = 1024
#: Heads of one length whose values differ at other places; the last ones are kept.
_MAX_LAYOUTS = 4
#: Headers whose values decide how a request is read; llhttp reads some that are not used here.
_READ_HEADERS = (USED_HEADERS - TRACE_HEADERS) | {b"connection", b"proxy-connection", b"upgrade"}
#: Characters of a value that cannot end it (RFC 9110, "Field Values").
_VALUE_CHARACTERS = bytes(range(0x20, 0x7F))


class _Head(NamedTuple):
    """A request, still without a body, and the length of that body."""

    request: HttpRequest
    body_length: int


class _Layout:
    """Where values vary in heads of one length, and what the rest of each such head means."""

    def __init__(self, values: dict[bytes, slice]) -> None:
        """Look up heads without the values of some headers, each given by its name in lower case and its place."""
        self.values = values
        self._slices = list(values.values())
        self._traces = [(name, part) for name, part in values.items() if name in TRACE_HEADERS]
        starts = [0, *(part.stop for part in self._slices)]
        ends = [*(part.start for part in self._slices), None]
        self._rest = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
        self._entries: dict[bytes, _Head] = {}

    def add(self, head: bytes, meaning: _Head) -> None:
        """Keep what a head means, whatever its values."""
        self._entries[b"".join(map(head.__getitem__, self._rest))] = meaning

    def find(self, head: bytes) -> tuple[_Head, dict[bytes, bytes]] | None:
        """Return what a head means, and its headers, None if it is not known."""
        known = self._entries.get(b"".join(map(head.__getitem__, self._rest)))
        if known is None or b"".join(map(head.__getitem__, self._slices)).translate(None, _VALUE_CHARACTERS):
            return None
        if not self._traces:
            return known, known.request.headers
        headers = known.request.headers.copy()
        for name, part in self._traces:
            headers[name] = head[part].strip()
        return known, headers


class RequestHeadCache:
    """Maps the bytes of a head to what it means."""

    def __init__(self) -> None:
        self._size = 0
        self._entries: dict[bytes, _Head] = {}
        #: By length: the last head that was parsed, and the layouts.
        self._last: dict[int, bytes] = {}
        self._layouts: dict[int, list[_Layout]] = {}

    def __len__(self) -> int:
        return self._size

    def find(self, data: bytes, has_certificate: bool) -> HttpRequest | None:
        """Return the request that `data` is, if its head is known and the rest of `data` is exactly its body."""
        head, end, body = data.partition(_HEAD_END)
        if not end:
            return None
        known = self._entries.get(head)
        if known is not None:
            return known.request.with_body(body, has_certificate) if len(body) == known.body_length else None
        for layout in self._layouts.get(len(head), ()):
            if (match := layout.find(head)) is not None and len(body) == match[0].body_length:
                request = match[0].request.with_body(body, has_certificate)
                request.headers = match[1]
                return request
        return None

    def add(self, data: bytes, request: HttpRequest) -> None:
        """Keep the head of the only request in `data`, unless anything but content-length delimits its body."""
        head, _, body = data.partition(_HEAD_END)
        is_whole = len(body) == len(request.body) and b"transfer-encoding" not in request.headers
        is_usual = request.keep_alive and request.version == "1.1" and request.method == b"POST"
        if not is_whole or not is_usual or len(head) > _MAX_HEAD_BYTES:
            return
        if self._size >= _MAX_HEADS:
            self._clear()
        self._size += 1
        known = _Head(request.with_body(b"", has_certificate=False), len(body))
        before, self._last[len(head)] = self._last.get(len(head), head), head
        if values := _find_varying_values(before, head):
            self._find_layout(len(head), values).add(head, known)
        elif not TRACE_HEADERS & request.headers.keys():
            self._entries[head] = known

    def _find_layout(self, length: int, values: dict[bytes, slice]) -> _Layout:
        """Return the layout with values at these places, a new one if there is none."""
        layouts = self._layouts.setdefault(length, [])
        for layout in layouts:
            if layout.values == values:
                return layout
        layouts.insert(0, _Layout(values))
        del layouts[_MAX_LAYOUTS:]
        return layouts[0]

    def _clear(self) -> None:
        self._size = 0
        for entries in (self._entries, self._last, self._layouts):
            entries.clear()


def _find_varying_values(one: bytes, other: bytes) -> dict[bytes, slice]:
    """Return the places of values in which two heads of one length differ, without those that decide how they are read.

    There is none if the heads differ in more than values, each as long as in the other, or if a line is folded.
    """
    values: dict[bytes, slice] = {}
    names: list[bytes] = []
    start = 0
    for left, right in zip(one.split(b"\r\n"), other.split(b"\r\n"), strict=False):
        name, _, _ = right.partition(b":")
        names.append(name.lower())
        if left.partition(b":")[0] != name or len(left) != len(right) or right.startswith((b" ", b"\t")):
            return {}
        # the first line is that of the request
        if left != right and start and names[-1] not in _READ_HEADERS:
            values[names[-1]] = slice(start + len(name) + 1, start + len(right))
        start += len(right) + len(b"\r\n")
    # several lines of one name are joined with commas
    return {} if any(names.count(name) > 1 for name in values) else values
