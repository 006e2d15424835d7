"""A real sensor feed process for tests, and its configuration."""

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from serving_support.exposition import Exposition
from serving_support.waiting import until


def write_configuration(file: Path, content: Mapping[str, Any]) -> Path:
    """Write a configuration as TOML; a value of a table is a text, a number, a flag, a list or a table."""
    lines: list[str] = []
    for name, value in content.items():
        for table in value if isinstance(value, list) else [value]:
            lines.append(f"[[{name}]]" if isinstance(value, list) else f"[{name}]")
            lines += [f"{_key(key)} = {_value(entry)}" for key, entry in table.items()]
    file.write_text("\n".join(lines) + "\n")
    return file


def _key(name: str) -> str:
    return json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_value(entry)}" for name, entry in value.items()) + "}"
    return json.dumps(value if not isinstance(value, Path) else str(value))


class Feed:
    """A feed that runs, and its small port."""

    def __init__(self, configuration: Path, *, waits_for: str = "started", **environment: str) -> None:
        self._command = [sys.executable, "-m", "kfp_edge_serving.sensor_feed", "--config", str(configuration)]
        self._environment = {**os.environ, **environment}
        self.events: list[Any] = []
        self.start(waits_for)

    def start(self, event: str = "started") -> None:
        """Start it, and wait until it has logged an event; once it has started, its small port answers."""
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._environment
        )
        self.events = []
        self._reader = threading.Thread(target=self._read_events)
        self._reader.start()
        self.wait_for(event)

    def wait_for(self, event: str) -> None:
        """Wait until it has logged an event."""
        until(lambda: bool(self.named(event)) or self.process.poll() is not None)
        if not self.named(event):
            pytest.fail(f"the feed ended: {self.process.stderr and self.process.stderr.read()}")

    @property
    def port(self) -> int:
        """Its small port."""
        return int(self.named("started")[0]["port"])

    def named(self, event: str) -> list[Any]:
        """Return the events of a name that it has logged."""
        return [entry for entry in self.events if entry["event"] == event]

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metrics(self) -> Exposition:
        """Return its metrics."""
        return Exposition(self.get("/metrics")[1])

    def value(self, name: str, **labels: str) -> float:
        """Return one of its metrics."""
        return self.metrics().value(f"kfp_edge_feed_{name}", **labels)

    def wait_until_ready(self) -> "Feed":
        """Wait until it takes messages and the server answers."""
        until(lambda: self.get("/ready")[0] == 200)
        return self

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self._end()

    def stop(self) -> int:
        """End it with SIGTERM, and return its exit code."""
        self.process.terminate()
        return self._end()

    def _end(self) -> int:
        code = self.process.wait(timeout=60)
        self._reader.join()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))


@contextmanager
def running_feed(configuration: Path, *, waits_for: str = "started", **environment: str) -> Iterator[Feed]:
    """Run a feed until the block ends."""
    feed = Feed(configuration, waits_for=waits_for, **environment)
    try:
        yield feed
    finally:
        if feed.process.poll() is None:
            feed.kill()
