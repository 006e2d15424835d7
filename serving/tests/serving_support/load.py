"""Load for a server: HTTP/1.1 from any number of clients in one thread, and gRPC in another.

The tests use it for seconds, `benchmarks/serving/soak.py` for minutes.
"""

import heapq
import http.client
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

_ANSWER_SECONDS = 30
_PROBE_SECONDS = 0.25
_CHUNK = 1 << 16


@dataclass
class Outcome:
    """What became of every request."""

    #: Seconds until the answer was there, by its status.
    seconds: dict[int, list[float]] = field(default_factory=dict)
    #: Answers with 503 that do not say when to come back.
    without_retry_after: int = 0
    #: What came in place of an answer.
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def answers(self) -> dict[int, int]:
        """How many answers there were of each status."""
        return {status: len(times) for status, times in sorted(self.seconds.items())}

    def percentile(self, status: int, share: float) -> float:
        """Return the nearest-rank percentile of the seconds until an answer of that status; 0 where there is none."""
        times = sorted(self.seconds.get(status, [0.0]))
        return times[round(share * (len(times) - 1))]


def http_request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """Return the bytes of a request; each header is `Name: value`."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def ask(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send one request and return status and body of its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def drive(
    port: int, requests: Sequence[bytes], clients: int, going_on: Callable[[], bool], rate: float | None = None
) -> Outcome:
    """Send requests in turn from some clients, each over a connection of its own, as long as `going_on`.

    Args:
        rate: Requests a second that all clients together intend. Each sends at regular times of its own, but never
            before it has its last answer. Without a rate each sends as soon as it has its answer.
    """
    outcome = Outcome()
    pace = 0.0 if rate is None else clients / rate
    turns = cycle(requests)
    with selectors.EpollSelector() as selector:
        everyone = [_Client(port, selector, outcome) for _ in range(clients)]
        start = time.perf_counter()
        due = [(start + number * pace / clients, number) for number in range(clients)]
        while going_on():
            while due and due[0][0] <= time.perf_counter():
                planned, number = heapq.heappop(due)
                everyone[number].send(next(turns), (planned, number))
            patience = due[0][0] - time.perf_counter() if due else 0.1
            for key, _ in selector.select(min(max(0.0, patience), 0.1)):
                for planned, number in key.data.receive():
                    heapq.heappush(due, (max(planned + pace, time.perf_counter()), number))
        for client in everyone:
            client.finish()
    return outcome


def probe(port: int, path: str, going_on: Callable[[], bool]) -> Outcome:
    """Ask from time to time as long as `going_on`, each time over a new connection, as Kubernetes does."""
    outcome = Outcome()
    while going_on():
        sent = time.perf_counter()
        try:
            status, _ = ask(port, "GET", path)
        except (OSError, http.client.HTTPException) as error:
            outcome.failures[type(error).__name__] += 1
        else:
            outcome.seconds.setdefault(status, []).append(time.perf_counter() - sent)
        time.sleep(_PROBE_SECONDS)
    return outcome


@contextmanager
def in_background(load: Callable[[Callable[[], bool]], Outcome]) -> Iterator[Outcome]:
    """Run a load beside the block; its outcome is filled in when the block has ended."""
    ended = threading.Event()
    outcome = Outcome()

    def run() -> None:
        vars(outcome).update(vars(load(lambda: not ended.is_set())))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield outcome
    finally:
        ended.set()
        thread.join()


def drive_grpc(port: int, request: service_pb2.ModelInferRequest, going_on: Callable[[], bool]) -> Outcome:
    """Call one after another as long as `going_on`; an answer counts as 200, a refusal by its gRPC status."""
    outcome = Outcome(seconds={200: []})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        while going_on():
            sent = time.perf_counter()
            try:
                infer(request, timeout=_ANSWER_SECONDS)
            except grpc.RpcError as error:
                outcome.failures[str(error.code())] += 1
            else:
                outcome.seconds[200].append(time.perf_counter() - sent)
    return outcome


#: When a client meant to send, and its number.
_Turn = tuple[float, int]


class _Client:
    """One keep-alive connection with at most one request under way, opened again when the server has closed it."""

    def __init__(self, port: int, selector: selectors.BaseSelector, outcome: Outcome) -> None:
        self._port = port
        self._selector = selector
        self._outcome = outcome
        self._socket: socket.socket | None = None
        self._received = b""
        self._sent = 0.0
        self._turn: _Turn | None = None

    def send(self, request: bytes, turn: _Turn) -> None:
        self._turn, self._sent = turn, time.perf_counter()
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=_ANSWER_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(self._socket, selectors.EVENT_READ, self)
        try:
            self._socket.sendall(request)
        except OSError:
            return  # the server may have answered before it closed; reading tells

    def receive(self) -> list[_Turn]:
        """Read what is there; return the turn that it ends, if it does."""
        assert self._socket is not None
        try:
            got = self._socket.recv(_CHUNK)
        except OSError as error:
            got, why = b"", type(error).__name__
        else:
            why = "closed without an answer"
        self._received += got
        answered = self._take_answer()
        if not got:
            self._close()
            if not answered and self._turn is not None:
                self._outcome.failures[why] += 1
                answered = True
        if not answered or self._turn is None:
            return []
        turn, self._turn = self._turn, None
        return [turn]

    def finish(self) -> None:
        """Wait for the answer that is still under way, and close."""
        while self._socket is not None and self._turn is not None:
            self.receive()
        self._close()

    def _take_answer(self) -> bool:
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return False
        status = int(head[9:12])
        fields = {name.strip().lower(): value.strip() for name, _, value in _fields(head)}
        if len(body) < int(fields.get(b"content-length", b"0")):
            return False
        self._outcome.seconds.setdefault(status, []).append(time.perf_counter() - self._sent)
        self._outcome.without_retry_after += status == 503 and b"retry-after" not in fields
        self._received = b""
        if fields.get(b"connection", b"").lower() == b"close":
            self._close()
        return True

    def _close(self) -> None:
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
        self._received = b""


def _fields(head: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    return (line.partition(b":") for line in head.split(b"\r\n")[1:])
