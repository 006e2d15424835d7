"""Load from the C generator `load.c`, from Python's own gRPC client, and bare calls of the model."""

import json
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median

from environments import HERE, program
from payloads import Case, message, payload
from processes import RunningServer
from served_bundle import ServedBundle


@dataclass(frozen=True)
class Run:
    """The result of one run of load: latencies in microseconds, and responses per second."""

    p50: float
    p99: float
    rate: float


@dataclass(frozen=True)
class Figure:
    """The median of several runs, and the smallest and largest of them."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Figure":
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class Measured:
    """Several runs of the same load."""

    p50: Figure
    p99: Figure
    rate: Figure

    @classmethod
    def of(cls, runs: list[Run]) -> "Measured":
        return cls(*(Figure.of([getattr(run, name) for run in runs]) for name in ("p50", "p99", "rate")))


@dataclass(frozen=True)
class Load:
    """How many connections have a request under way, and whether generator and server share one processor."""

    connections: int
    is_pinned: bool

    def __str__(self) -> str:
        where = ", one processor" if self.is_pinned and self.connections > 1 else ""
        return f"{self.connections} connection{'s' if self.connections > 1 else ''}{where}"


@dataclass(frozen=True)
class Effort:
    """How often and how long is measured."""

    runs: int
    seconds: float
    warm_up: float
    cold_starts: int


def closed_loop(served: ServedBundle, case: Case, server: RunningServer, load: Load, effort: Effort) -> Measured:
    """Send the request of a case over some connections, each of which has one under way.

    With one connection the server and the generator alternate, so they should share a processor: across two, the figure
    would mostly be the time that a virtual machine takes to wake an idle one, or not, as the scheduler likes.

    Raises:
        RuntimeError: an answer was an error, or the server ended a connection.
    """
    ports = server.ports
    where = ["grpc", str(ports.grpc)] if case.encoding == "gRPC" else ["http", str(ports.http)]
    command = [str(program("load")), *where, str(load.connections)]
    request = payload(served, case)
    with server.on_one_processor() if load.is_pinned else nullcontext():
        _run([*command, str(effort.warm_up)], request)
        return _repeated(command, request, effort)


def python_grpc(served: ServedBundle, rows: int, server: RunningServer, effort: Effort) -> Measured:
    """Call one after another with Python's grpcio, whose own time is in the figures; on one processor as well."""
    command = [sys.executable, str(HERE / "grpc_client.py"), str(server.ports.grpc)]
    with server.on_one_processor():
        return _repeated(command, message(served, rows).SerializeToString(), effort)


def bare(served: ServedBundle, rows: int, effort: Effort) -> Measured:
    """Call the model with onnxruntime in one thread, without any server."""
    [(name, values)] = served.feed(rows).items()
    command = [sys.executable, str(HERE / "bare_onnxruntime.py"), str(served.onnx_file), name, str(values.shape[1])]
    return _repeated(command, values.tobytes(), effort)


def _repeated(command: list[str], request: bytes, effort: Effort) -> Measured:
    return Measured.of([_run([*command, str(effort.seconds)], request) for _ in range(effort.runs)])


def _run(command: list[str], request: bytes) -> Run:
    done = subprocess.run(command, input=request, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode()}")
    result = json.loads(done.stdout)
    if result["errors"]:
        raise RuntimeError(f"{' '.join(command)}: {result['errors']} of {result['answers']} answers are errors")
    return Run(result["p50_us"], result["p99_us"], result["answers"] / result["seconds"])
