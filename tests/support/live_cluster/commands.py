"""The `kfp-edge` command as its users call it: a process of its own, whose output is read while it runs."""

import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PROGRAM = Path(sys.executable).with_name("kfp-edge")
_POLL_SECONDS = 0.5

logger = logging.getLogger(__name__)


@dataclass
class RunningCommand:
    """A command that was started; what it prints, stderr included, goes to a file."""

    arguments: Sequence[str]
    process: "subprocess.Popen[bytes]"
    file: Path
    started: float = field(default_factory=time.monotonic)

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.file.read_text(errors="replace")

    @property
    def run_id(self) -> str:
        """The id of the run that it has started."""
        return self.wait_for(r"^run (\S+)$", 120)[1]

    def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """Wait until it has printed a line that matches, and return the match.

        Raises:
            AssertionError: it has not within the time, or has ended without.
        """
        deadline = time.monotonic() + seconds
        while True:
            has_ended = self.process.poll() is not None
            if match := re.search(pattern, self.output, re.MULTILINE):
                return match
            assert not has_ended, f"ended with {self.process.returncode} without {pattern!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {pattern!r} within {seconds:.0f} s:\n{self.output}"
            time.sleep(_POLL_SECONDS)

    def wait(self, seconds: float) -> int:
        """Wait for its end and return the exit code.

        Raises:
            AssertionError: it has not ended in time.
        """
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"has not ended within {seconds:.0f} s:\n{self.output}") from None
        logger.info("kfp-edge %s: exit code %d", self.arguments[0], code)
        return code

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class Completed:
    """How a command ended."""

    code: int
    output: str


class KfpEdge:
    """The command for one pipeline server.

    Args:
        folder: Where it is called, and its output kept.
        options: Of each call, such as `--namespace`.
        environment: What its environment has in addition.
    """

    def __init__(self, folder: Path, options: Sequence[str], environment: dict[str, str]) -> None:
        self._folder = folder
        self._options = tuple(options)
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "400", **environment}

    def with_options(self, *options: str, environment: dict[str, str] | None = None) -> "KfpEdge":
        """Return the command with other options and, in addition, other variables."""
        changed = KfpEdge(self._folder, options, {})
        changed._environment = {**self._environment, **(environment or {})}
        return changed

    def start(self, *arguments: str) -> RunningCommand:
        """Start a command."""
        logger.info("kfp-edge %s", " ".join(arguments))
        handle, name = tempfile.mkstemp(prefix=f"{arguments[0]}-", suffix=".log", dir=self._folder)
        with os.fdopen(handle, "wb") as stream:
            process = subprocess.Popen(
                [_PROGRAM, *arguments, *self._options],
                cwd=self._folder,
                env=self._environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        return RunningCommand(arguments, process, Path(name))

    def __call__(self, *arguments: str, seconds: float = 300.0) -> Completed:
        """Run a command to its end."""
        command = self.start(*arguments)
        try:
            return Completed(command.wait(seconds), command.output)
        finally:
            command.stop()


#: Submits a pipeline, by name or file, with options of `kfp-edge submit`, and follows the run.
StartRun = Callable[..., RunningCommand]
