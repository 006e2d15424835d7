"""A gRPC client that writes the frames of HTTP/2 by itself, so that it can do what no library would (RFC 9113)."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

from serving_support.grpc_calls import INFER

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
INITIAL_WINDOW_SIZE = 4
_SECONDS = 30


class Frame(NamedTuple):
    """One frame."""

    kind: int
    flags: int
    stream: int
    content: bytes


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content


def headers(path: str = INFER, **fields: str) -> bytes:
    """Return the header block of a call, each field as a literal (RFC 7541)."""
    all_fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    return b"".join(
        b"\0%c%b%c%b" % (len(name), name.encode(), len(value), value.encode()) for name, value in all_fields.items()
    )


def message(content: bytes) -> bytes:
    """Return a message with the five bytes that gRPC puts before it."""
    return b"\0" + len(content).to_bytes(4, "big") + content


class Http2Client:
    """One connection."""

    def __init__(self, port: int, settings: bytes = b"") -> None:
        """Connect, with settings of six bytes each."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._streams = iter(range(1, 1 << 31, 2))
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self) -> "Http2Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; the server may have closed the connection."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def call(self, content: bytes, path: str = INFER, **fields: str) -> int:
        """Send a whole call, and return its stream."""
        stream = next(self._streams)
        head = frame(HEADERS, END_HEADERS, stream, headers(path, **fields))
        self.send(head + frame(DATA, END_STREAM, stream, message(content)))
        return stream

    def begin(self) -> int:
        """Send the headers of a call only, and return its stream."""
        stream = next(self._streams)
        self.send(frame(HEADERS, END_HEADERS, stream, headers()))
        return stream

    def frames(self) -> Iterator[Frame]:
        """Yield what the server sends until it closes the connection, and answer what it must be answered."""
        while True:
            while len(self._received) < 9 or len(self._received) < 9 + int.from_bytes(self._received[:3], "big"):
                try:
                    data = self._socket.recv(1 << 16)
                except ConnectionResetError:
                    return
                if not data:
                    return
                self._received += data
            end = 9 + int.from_bytes(self._received[:3], "big")
            head, content, self._received = self._received[:9], self._received[9:end], self._received[end:]
            received = Frame(head[3], head[4], int.from_bytes(head[5:9], "big"), content)
            if received.kind in (SETTINGS, PING) and not received.flags & ACK:
                self.send(frame(received.kind, ACK, 0, content if received.kind == PING else b""))
            yield received

    def wait_for(self, kind: int, stream: int = 0) -> Frame:
        """Return the next frame of a kind and stream.

        Raises:
            ConnectionError: the server closed the connection before.
        """
        for received in self.frames():
            if (received.kind, received.stream) == (kind, stream):
                return received
        raise ConnectionError
