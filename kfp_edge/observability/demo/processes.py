"""The programs of the demo: each starts on a free port, and has ended when the demo has."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from kfp_edge.errors import CommandError
from kfp_edge.runtime.signals import deferred_signals

_START_SECONDS = 120
_END_SECONDS = 15


@dataclass(frozen=True)
class Program:
    """A program that runs.

    Attributes:
        name: As messages call it.
        process: The process, of a session of its own, so that Ctrl-C reaches the demo only.
        log: What it writes.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def wait_until_ready(self, url: str) -> None:
        """Wait until it answers with success.

        Raises:
            CommandError: it ends before, or takes too long.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(url):
            if self.process.poll() is not None:
                raise CommandError(f"{self.name} ended as it started: {self._last_line()}", self._read_log())
            if time.monotonic() > deadline:
                raise CommandError(f"{self.name} does not answer after {_START_SECONDS} s: {self._last_line()}", "")
            time.sleep(0.1)

    def end(self) -> None:
        """Let it end, and kill it if it does not."""
        self.process.terminate()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _read_log(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def _last_line(self) -> str:
        lines = [line for line in self._read_log().splitlines() if line.strip()]
        return lines[-1].strip() if lines else "it wrote nothing"


@contextmanager
def running(name: str, command: Sequence[str | Path], folder: Path, more: Mapping[str, str]) -> Iterator[Program]:
    """Run a program while the block runs.

    Args:
        name: As messages call it.
        command: The program and its arguments.
        folder: An existing folder, which gets its log.
        more: Variables of its environment; it sees none of ours that begin with KFP_EDGE_.

    Raises:
        CommandError: it cannot be started.
    """
    with deferred_signals():
        program = _start(name, command, folder / "log", more)
    try:
        yield program
    finally:
        with deferred_signals():
            program.end()


def _start(name: str, command: Sequence[str | Path], log: Path, more: Mapping[str, str]) -> Program:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KFP_EDGE_")}
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                env={**environment, **more},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise CommandError(f"{name} cannot be started: {error.strerror} ({command[0]}).", "") from error
    return Program(name, process, log)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds; return whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
