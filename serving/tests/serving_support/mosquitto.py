"""A real MQTT broker for tests: mosquitto on a free port, with what it keeps in a folder."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

#: Debian has it where the PATH of ordinary users does not lead.
PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_START_SECONDS = 30


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Mosquitto:
    """A broker that keeps everything on disk, as docs/sensor-feed.md says, unless options change that."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        """Write its configuration; `options` are further lines of it."""
        if PROGRAM is None:
            pytest.skip("needs mosquitto (make unit-tools)")
        self._program = PROGRAM
        self.port = port or free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._configuration = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "max_queued_messages 100000",
            "max_inflight_messages 100",
        ]
        if os.geteuid() == 0:
            lines.append("user root")
        changed = {option.split()[0] for option in options}
        lines = [line for line in lines if line.split()[0] not in changed]
        self._configuration.write_text("\n".join([*lines, *options]) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Mosquitto":
        """Start it, and wait until it listens."""
        command = [self._program, "-c", str(self._configuration)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, "mosquitto ended"
                assert time.monotonic() < end, "mosquitto does not listen"
                time.sleep(0.02)
            else:
                return self

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it with SIGTERM, so that it writes what it keeps."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
