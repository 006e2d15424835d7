"""A container without a runtime: a process in a root of its own, made of this machine's programs. Needs root."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from support.fake_kubernetes.volumes import Mount

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INIT = Path(__file__).with_name("sandbox_init.py")
_NAMESPACES = ("--mount", "--propagation", "private", "--pid", "--fork", "--ipc", "--uts")


@dataclass(frozen=True)
class Container:
    """What is to run: `root` is an empty folder for its file system; `capabilities` are names without CAP_."""

    root: Path
    command: tuple[str, ...]
    environment: dict[str, str]
    mounts: tuple[Mount, ...]
    capabilities: tuple[str, ...]
    workdir: str = "/"
    user: int = 0


class Process:
    """A container that was started; it and all that it starts share a PID namespace and end together."""

    def __init__(self, container: Container) -> None:
        wanted = asdict(container) | {"root": str(container.root)}
        wanted["mounts"] = [asdict(mount) | {"source": str(mount.source)} for mount in container.mounts]
        read, write = os.pipe()
        with os.fdopen(write, "w") as sink:
            try:
                self._process = subprocess.Popen(
                    ["unshare", *_NAMESPACES, sys.executable, "-I", "-S", str(_INIT), str(read)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    pass_fds=[read],
                    start_new_session=True,
                )
            finally:
                os.close(read)
            json.dump(wanted, sink)

    def lines(self) -> Iterator[str]:
        """Each line that it writes, stdout and stderr as they come, until all that it started has ended."""
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                yield line.removesuffix("\n")

    def wait(self) -> int:
        """Its exit code; 128 and the signal's number if a signal ended it."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """End it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
