"""HTTP as bytes: requests are sent exactly as a test writes them, responses are parsed by the rules of RFC 9112."""

import asyncio
import select
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import uvloop

from kfp_edge_serving.http_server.connection import Connection
from kfp_edge_serving.http_server.messages import HttpHandler, HttpRequest, HttpResponse
from kfp_edge_serving.http_server.server import HttpServer
from kfp_edge_serving.limits import Limits

_TIMEOUT = 30
_CHUNK = 1 << 16
_MOMENT = 0.3


@dataclass(frozen=True)
class Answer:
    """One answer; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection that sends bytes and reads answers."""

    def __init__(self, port: int, buffers: int | None = None) -> None:
        """Connect.

        Args:
            buffers: Bytes that the system keeps for this side in each direction, where that matters.
        """
        self._socket = socket.socket()
        self._socket.settimeout(_TIMEOUT)
        if buffers is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.connect(("127.0.0.1", port))
        self._received = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> "Client":
        """Send, as far as the server accepts it: it may have refused and closed already, which the responses show."""
        with suppress(ConnectionError):
            self._socket.sendall(data)
        return self

    def send_while_taken(self, data: bytes) -> int:
        """Send until nothing went for a moment, and return how many bytes went."""
        sent = 0
        while sent < len(data) and select.select([], [self._socket], [], _MOMENT)[1]:
            sent += self._socket.send(data[sent : sent + _CHUNK], socket.MSG_DONTWAIT)
        return sent

    def hears(self) -> bool:
        """Wait a moment for data or the end of the connection, and return whether there was any."""
        return bool(select.select([self._socket], [], [], _MOMENT)[0])

    def end(self) -> "Client":
        """Send nothing more."""
        with suppress(OSError):  # the server may have closed before
            self._socket.shutdown(socket.SHUT_WR)
        return self

    def answer(self, has_body: bool = True) -> Answer | None:
        """Read one answer, None when the server has closed the connection without another.

        Args:
            has_body: Whether it has one; the answer to HEAD has not.
        """
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                assert self._received == b""
                return None
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0")) if has_body else 0
        while len(self._received) < length:
            assert self._receive(), "the answer ends before its body"
        body, self._received = self._received[:length], self._received[length:]
        return Answer(int(status_line.split(" ")[1]), headers, body)

    def answers(self) -> list[Answer]:
        """Read all answers until the server closes the connection."""
        return list(iter(self.answer, None))

    def everything(self) -> bytes:
        """Read what comes until the server closes the connection."""
        while self._receive():
            pass
        return self._received

    def _receive(self) -> bool:
        try:
            got = self._socket.recv(_CHUNK)
        except ConnectionError:
            got = b""
        self._received += got
        return bool(got)


def exchange(port: int, data: bytes) -> list[Answer]:
    """Send bytes over a connection of their own, end it, and return all answers."""
    with Client(port) as client:
        return client.send(data).end().answers()


def statuses(answers: Iterable[Answer]) -> list[int]:
    return [answer.status for answer in answers]


def head(*lines: str) -> bytes:
    """Return lines and the empty one behind them."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def get(path: str, *headers: str) -> bytes:
    """Return the bytes of a GET request."""
    return head(f"GET {path} HTTP/1.1", "Host: h", *headers)


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Return the bytes of a POST request whose body has a length."""
    return head(f"POST {path} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *headers) + body


def chunked(path: str, *chunks: bytes, trailer: bytes = b"") -> bytes:
    """Return the bytes of a POST request whose body comes in chunks."""
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    pieces = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join([head, *pieces, b"0\r\n", trailer, b"\r\n"])


@contextmanager
def echoing(limits: Limits | None = None) -> Iterator[int]:
    """Run the HTTP server with a handler that repeats the request as it was parsed, and yield its port.

    The paths `/later` and `/slow` are answered by another thread, the latter after a second. The body of an answer is
    `echo_body(...)`.
    """
    started: Future[tuple[int, asyncio.Event, asyncio.AbstractEventLoop]] = Future()

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        service = HttpServer(partial(_echo, loop), limits or Limits())
        server = await loop.create_server(service.new_connection, "127.0.0.1", 0)
        sweeper = loop.create_task(service.enforce_timeouts())
        started.set_result((server.sockets[0].getsockname()[1], stop, loop))
        await stop.wait()
        sweeper.cancel()
        server.close()
        await service.drain(0)

    thread = threading.Thread(target=uvloop.run, args=(serve(),))
    thread.start()
    port, stop, loop = started.result()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


class FakeTransport:
    """Stands in for a socket where pieces or times have to be exact: it takes what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.unsent = 0
        self.end: str | None = None

    def write(self, data: bytes) -> None:
        assert self.end is None, "an answer behind the last one"
        self.written += data

    def close(self) -> None:
        self.end = self.end or "closed"

    write_eof = close

    def abort(self) -> None:
        self.end = "aborted"

    def is_closing(self) -> bool:
        return self.end is not None

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str) -> None:
        """Return nothing: this is no TLS."""


def connected(handler: HttpHandler, limits: Limits | None = None) -> tuple[Connection, FakeTransport]:
    """Return a connection whose requests `handler` answers, and what stands in for its socket."""
    service = HttpServer(handler, limits or Limits())
    service.date_header = b""
    connection, transport = service.new_connection(), FakeTransport()
    connection.connection_made(transport)
    return connection, transport


@dataclass(frozen=True)
class Outcome:
    """The result of parsing bytes: the requests, all that was written, and how the connection ended, if it did."""

    requests: list[tuple[bytes, bytes, bytes]]
    written: bytes
    end: str | None


def feed(pieces: Iterable[bytes]) -> Outcome:
    """Feed bytes to a connection in exactly these pieces."""
    requests = []

    def handle(request: HttpRequest) -> HttpResponse:
        requests.append((request.method, request.path, request.body))
        return HttpResponse(200, b"")

    connection, transport = connected(handle)
    for piece in pieces:
        connection.data_received(piece)
    return Outcome(requests, transport.written, transport.end)


def echo_body(method: bytes, path: bytes, body: bytes) -> bytes:
    """Return what `echoing` answers to a request."""
    return b"\n".join([method, path, body])


def _echo(loop: asyncio.AbstractEventLoop, request: HttpRequest) -> "HttpResponse | asyncio.Future[HttpResponse]":
    response = HttpResponse(200, echo_body(request.method, request.path, request.body))
    if request.path in (b"/later", b"/slow"):
        return loop.run_in_executor(None, lambda: time.sleep(request.path == b"/slow") or response)
    return response
