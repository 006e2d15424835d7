"""Two servers of which one after the other is terminated and started again, while clients go on sending.

It is what a Deployment of two replicas does: clients connect to those that were ready when somebody last looked, and
that is a moment ago. The tests run it for seconds, `benchmarks/serving/terminations.py` for minutes.
"""

import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from tritonclient.grpc import service_pb2

from serving_support.load import Outcome, ask, drive, drive_grpc, in_background
from serving_support.server_process import Server, start
from serving_support.waiting import until

#: Seconds between two looks at who is ready, as the kubelet and then the proxies on all nodes need them.
_ENDPOINT_SECONDS = 0.25
_EXIT_SECONDS = 60


@dataclass(frozen=True)
class Terminations:
    """What became of all requests, and how each server ended."""

    rest: Outcome
    grpc: list[Outcome]
    exit_codes: list[int]

    @property
    def lost(self) -> dict[str, int]:
        """Requests that were not answered with success, by protocol and reason."""
        refused = {f"REST {status}": times for status, times in self.rest.answers.items() if status != 200}
        lost = {f"REST {reason}": times for reason, times in self.rest.failures.items()}
        for outcome in self.grpc:
            for reason, times in outcome.failures.items():
                lost[f"gRPC {reason}"] = lost.get(f"gRPC {reason}", 0) + times
        return refused | lost


@dataclass
class Replicas:
    """Two servers, and the ports of those that clients connect to."""

    models: Path
    options: Sequence[str]
    servers: list[Server] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    _next: "count[int]" = field(default_factory=count)

    def start(self, position: int, port: int, grpc_port: int | None) -> None:
        """Start a server at these ports, and wait until it is ready."""
        grpc = "off" if grpc_port is None else str(grpc_port)
        process = start(self.models, "--port", str(port), "--grpc-port", grpc, *self.options)
        self.servers[position : position + 1] = [Server.after(process, "ready")]

    def terminate(self, position: int) -> int:
        """End a server by SIGTERM, start it again, and return its exit code."""
        ended = self.servers[position]
        ended.process.send_signal(signal.SIGTERM)
        ended.process.communicate(timeout=_EXIT_SECONDS)
        self.start(position, ended.port, ended.grpc_port)
        until(lambda: ended.port in self.ports)
        return ended.process.returncode

    def find_port(self) -> int:
        """Return the port of a server that was ready when somebody last looked."""
        ports = self.ports
        return ports[next(self._next) % len(ports)]

    def watch(self, stop: threading.Event) -> None:
        """Look who is ready, again and again, as Kubernetes does for the endpoints of a Service."""
        while not stop.wait(_ENDPOINT_SECONDS):
            self.ports = [server.port for server in self.servers if _is_ready(server.port)] or self.ports


@contextmanager
def replicas(models: Path, *options: str, grpc: bool = True) -> Iterator[Replicas]:
    """Run two servers until the block ends."""
    both = Replicas(models, options)
    stop = threading.Event()
    try:
        for position in range(2):
            both.start(position, _free_port(), _free_port() if grpc else None)
        both.ports = [server.port for server in both.servers]
        watcher = threading.Thread(target=both.watch, args=(stop,))
        watcher.start()
        try:
            yield both
        finally:
            stop.set()
            watcher.join()
    finally:
        for server in both.servers:
            server.process.kill()
            server.process.communicate()


def terminate_under_load(
    both: Replicas,
    terminations: int,
    request: bytes,
    call: service_pb2.ModelInferRequest | None,
    rest_clients: int = 48,
    grpc_clients: int = 16,
) -> Terminations:
    """Terminate one server after the other while clients send.

    Args:
        both: The servers.
        terminations: How often.
        request: What the REST clients send, as bytes of HTTP.
        call: What the gRPC clients send, None for no such clients.
        rest_clients: The number of clients, each with a connection that it keeps.
        grpc_clients: Likewise.
    """
    with ExitStack() as stack:
        rest = stack.enter_context(in_background(partial(drive, both.find_port, [request], rest_clients)))
        calls: list[Outcome] = []
        if call is not None:
            ports = [server.grpc_port for server in both.servers if server.grpc_port is not None]
            for number in range(grpc_clients):
                order = ports[number % 2 :] + ports[: number % 2]
                calls.append(stack.enter_context(in_background(partial(drive_grpc, order, call))))
        exit_codes = [both.terminate(number % 2) for number in range(terminations)]
    return Terminations(rest, calls, exit_codes)


def _is_ready(port: int) -> bool:
    try:
        return ask(port, "GET", "/v2/health/ready")[0] == 200
    except OSError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
