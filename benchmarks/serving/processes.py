"""Server processes: start, readiness, memory and end."""

import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from served_bundle import ServedBundle
from servers import Ports, Server

_START_SECONDS = 60
_POLL_SECONDS = 0.002
_MAX_OUTPUT = 2000


@dataclass(frozen=True)
class RunningServer:
    """A server that is ready; `cold_start` is the seconds from its exec until its first ready response."""

    process: subprocess.Popen[bytes]
    ports: Ports
    cold_start: float

    def memory(self) -> int:
        """Return the resident bytes of the process and all its children; what they share counts for each."""
        return sum(_resident(pid) for pid in _process_tree(self.process.pid))

    @contextmanager
    def on_one_processor(self) -> Iterator[None]:
        """Keep the server, and what is started in the block, on one and the same processor."""
        everything = os.sched_getaffinity(0)
        self._move({max(everything)})
        try:
            yield
        finally:
            self._move(everything)

    def _move(self, processors: set[int]) -> None:
        os.sched_setaffinity(0, processors)
        for pid in _process_tree(self.process.pid):
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), processors)


@contextmanager
def running(server: Server, served: ServedBundle) -> Iterator[RunningServer]:
    """Run a server in a folder of its own until the block ends.

    Raises:
        RuntimeError: it ends, or is not ready within a minute; with the end of its output.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name, (Path(name) / "log").open("wb") as log:
        folder = Path(name)
        ports = _free_ports()
        command = server.command(served, ports, folder)
        # compiled modules are kept, as an image has them
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            if not _wait_ready(process, ports.http):
                output = (folder / "log").read_text(errors="replace")[-_MAX_OUTPUT:]
                raise RuntimeError(f"{server.title} did not start:\n{output}")
            yield RunningServer(process, ports, time.perf_counter() - start)
        finally:
            _end(process)


def _wait_ready(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        if _is_ready(port):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_ports() -> Ports:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        return Ports(*(one.getsockname()[1] for one in sockets))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server as Kubernetes does; what is left of its session after that is killed."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _process_tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _process_tree(int(child))


def _resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
