"""A load generator: HTTP/1.1 from any number of clients in one thread, and gRPC in another.

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
from functools import partial
from itertools import cycle

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

_RESPONSE_TIMEOUT = 30
_PROBE_INTERVAL = 0.25
_CHUNK = 1 << 16
_MAX_ATTEMPTS = 20


@dataclass
class Outcome:
    """The outcome of every request."""

    #: Seconds until the answer was there, by its status.
    seconds: dict[int, list[float]] = field(default_factory=dict)
    #: Responses with 503 that have no Retry-After.
    without_retry_after: int = 0
    #: Requests without a response, by reason.
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
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_RESPONSE_TIMEOUT)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def drive(
    port: int | Callable[[], int],
    requests: Sequence[bytes],
    clients: int,
    going_on: Callable[[], bool],
    rate: float | None = None,
) -> Outcome:
    """Send requests in rotation from several clients, each over a connection of its own, as long as `going_on`.

    Args:
        port: The port of the server; where it changes, called for every new connection.
        requests: What is sent.
        clients: The number of clients.
        going_on: Whether to send more.
        rate: Requests per second of all clients together. Each client sends at regular times of its own, but never
            before it has its last response. Without a rate, each sends as soon as it has its response.
    """
    outcome = Outcome()
    interval = 0.0 if rate is None else clients / rate
    rotation = cycle(requests)
    with selectors.EpollSelector() as selector:
        find_port = port if callable(port) else partial(int, port)
        all_clients = [_Client(find_port, selector, outcome) for _ in range(clients)]
        start = time.perf_counter()
        due = [(start + number * interval / clients, number) for number in range(clients)]
        while going_on():
            while due and due[0][0] <= time.perf_counter():
                planned, number = heapq.heappop(due)
                all_clients[number].send(next(rotation), (planned, number))
            time_left = due[0][0] - time.perf_counter() if due else 0.1
            for key, _ in selector.select(min(max(0.0, time_left), 0.1)):
                for planned, number in key.data.receive():
                    heapq.heappush(due, (max(planned + interval, time.perf_counter()), number))
        for client in all_clients:
            client.finish()
    return outcome


def probe(port: int, path: str, going_on: Callable[[], bool]) -> Outcome:
    """Send a probe at intervals as long as `going_on`, each over a new connection, as Kubernetes does."""
    outcome = Outcome()
    while going_on():
        sent = time.perf_counter()
        try:
            status, _ = ask(port, "GET", path)
        except (OSError, http.client.HTTPException) as error:
            outcome.failures[type(error).__name__] += 1
        else:
            outcome.seconds.setdefault(status, []).append(time.perf_counter() - sent)
        time.sleep(_PROBE_INTERVAL)
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


def drive_grpc(
    port: int | Sequence[int], request: service_pb2.ModelInferRequest, going_on: Callable[[], bool]
) -> Outcome:
    """Make one call after the other as long as `going_on`; a success counts as 200, a failure by its gRPC status.

    Of several ports the channel uses the first one that takes its connection.
    """
    outcome = Outcome(seconds={200: []})
    ports = (port,) if isinstance(port, int) else port
    target = "ipv4:" + ",".join(f"127.0.0.1:{number}" for number in ports)
    with grpc.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        infer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        while going_on():
            sent = time.perf_counter()
            try:
                infer(request, timeout=_RESPONSE_TIMEOUT)
            except grpc.RpcError as error:
                outcome.failures[str(error.code())] += 1
            else:
                outcome.seconds[200].append(time.perf_counter() - sent)
    return outcome


#: The time at which a client planned to send, and the number of the client.
_Slot = tuple[float, int]


class _Client:
    """One keep-alive connection with at most one request under way, opened again when the server has closed it."""

    def __init__(self, find_port: Callable[[], int], selector: selectors.BaseSelector, outcome: Outcome) -> None:
        self._find_port = find_port
        self._selector = selector
        self._outcome = outcome
        self._socket: socket.socket | None = None
        self._received = b""
        self._sent = 0.0
        self._slot: _Slot | None = None

    def send(self, request: bytes, slot: _Slot) -> None:
        self._slot, self._sent = slot, time.perf_counter()
        if self._socket is None:
            self._socket = self._connect()
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(self._socket, selectors.EVENT_READ, self)
        try:
            self._socket.sendall(request)
        except OSError:
            return  # the server may have responded before it closed, which reading shows

    def _connect(self) -> socket.socket:
        """Connect to a server that takes connections; one that does not take them has lost no request."""
        for attempt in range(_MAX_ATTEMPTS):
            try:
                return socket.create_connection(("127.0.0.1", self._find_port()), timeout=_RESPONSE_TIMEOUT)
            except ConnectionRefusedError:
                if attempt == _MAX_ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def receive(self) -> list[_Slot]:
        """Read what has arrived; return the slot whose response is complete, if it is."""
        assert self._socket is not None
        try:
            data = self._socket.recv(_CHUNK)
        except OSError as error:
            data, reason = b"", type(error).__name__
        else:
            reason = "closed without a response"
        self._received += data
        answered = self._take_response()
        if not data:
            self._close()
            if not answered and self._slot is not None:
                self._outcome.failures[reason] += 1
                answered = True
        if not answered or self._slot is None:
            return []
        slot, self._slot = self._slot, None
        return [slot]

    def finish(self) -> None:
        """Wait for the response that is outstanding, and close."""
        while self._socket is not None and self._slot is not None:
            self.receive()
        self._close()

    def _take_response(self) -> bool:
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
