"""A real server process for tests."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: Options of a server that must not shed load because the machine of the tests stalls.
PATIENT = ("--max-wait", "60")


@dataclass
class Server:
    """A server that listens, and a client of it."""

    process: subprocess.Popen[str]
    port: int
    grpc_port: int | None

    @classmethod
    def after(cls, process: subprocess.Popen[str], name: str) -> "Server":
        """Wait for the event `ready` or `listening` of the server."""
        event = wait_for(process, name)
        return cls(process, event["port"], event.get("grpc_port"))

    def event(self, name: str) -> Any:
        """Wait for an event of the server, and return it."""
        return wait_for(self.process, name)

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        """Return status and body of the answer, parsed when it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.headers.get_content_type() == "application/json":
            return answer.status, json.loads(content)
        return answer.status, content.decode()

    def get(self, path: str) -> tuple[int, Any]:
        return self.send("GET", path)

    def infer(self, model: str, request: Any) -> tuple[int, Any]:
        return self.send("POST", f"/v2/models/{model}/infer", json.dumps(request).encode())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def wait_for(process: subprocess.Popen[str], name: str) -> Any:
    """Read the events of a server until one of a name comes, and return it."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == name:
            return event
    return pytest.fail(f"the server ended without {name!r}: {process.communicate()}")


@contextmanager
def events_of(server: Server) -> Iterator[list[Any]]:
    """Read the log of a server while the block runs, as a log collector does; the server ends with the block."""
    events: list[Any] = []
    lines = server.process.stdout
    assert lines is not None
    reader = threading.Thread(target=lambda: events.extend(map(json.loads, lines)))
    reader.start()
    try:
        yield events
    finally:
        server.process.kill()
        reader.join()


def memory(process: subprocess.Popen[str], peak: bool = False) -> int:
    """Return the bytes that a process has resident, or the most that it ever had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    name = "VmHWM:" if peak else "VmRSS:"
    return 1024 * int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])


def start(models: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    """Start the server on free ports; its events are lines on stdout, and SIGTERM ends it without a delay."""
    command = [sys.executable, "-m", "kfp_edge_serving", "serve", "--models", str(models), "--host", "127.0.0.1"]
    command += ["--port", "0", "--grpc-port", "off", "--shutdown-delay", "0", *options]
    variables = {**os.environ, **environment}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables)


@contextmanager
def running(models: Path, *options: str, until: str = "ready", **environment: str) -> Iterator[Server]:
    """Run a server until the block ends."""
    process = start(models, *options, **environment)
    try:
        yield Server.after(process, until)
    finally:
        process.kill()
        process.communicate()
