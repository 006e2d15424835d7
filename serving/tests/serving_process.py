"""A real server process for tests."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Server:
    """A server that listens, and a client of it."""

    process: subprocess.Popen[str]
    port: int

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


def start(models: Path, port: int = 0) -> subprocess.Popen[str]:
    """Start the server on a free port; its events are lines on stdout."""
    command = [
        sys.executable,
        "-m",
        "kfp_edge_serving",
        "--models",
        str(models),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


@contextmanager
def running(models: Path) -> Iterator[Server]:
    """Run a server until the block ends."""
    process = start(models)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "listening":
                yield Server(process, event["port"])
                break
        else:
            pytest.fail(f"the server did not start: {process.communicate()}")
    finally:
        process.kill()
        process.communicate()
