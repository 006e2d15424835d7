"""Starts the fork server, and the stages of kfp-edge in processes that it forks."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

#: Begins what the body of every component of kfp-edge imports.
STAGE_IMPORT = "from kfp_edge.components."

#: The script with which KFP starts the executor of a component that installs no packages, without its white space.
_EXECUTOR_SCRIPT = (
    'program_path=$(mktemp -d) printf "%s" "$0" > "$program_path/ephemeral_component.py" _KFP_RUNTIME=true '
    f'{sys.executable} -m kfp.dsl.executor_main --component_module_path "$program_path/ephemeral_component.py" "$@"'
)
#: KFP then imports no more than a stage needs, and neither library starts a thread when it is imported.
_SERVER_ENVIRONMENT = {
    "_KFP_RUNTIME": "true",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "ORT_DISABLE_TELEMETRY": "1",
}


@contextlib.contextmanager
def start_fork_server() -> Iterator[socket.socket | None]:
    """Start the fork server, which begins to import the libraries of the stages.

    Yields:
        The connection for its requests; None where it cannot run: process descriptors exist on Linux only.
    """
    if not hasattr(os, "pidfd_open"):
        yield None
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", "kfp_edge.local.fork_server", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **_SERVER_ENVIRONMENT},
            start_new_session=True,
        )
        theirs.close()
        try:
            yield ours
        finally:
            server.kill()
            server.wait()


def is_forkable(full_command: Sequence[str]) -> bool:
    """Whether a command of kfp.local runs a component of kfp-edge with this Python and its packages."""
    match full_command:
        case ["sh", "-ec", script, source, *_]:
            return " ".join(script.split()) == _EXECUTOR_SCRIPT and STAGE_IMPORT in source
    return False


class ForkedStage:
    """The process of a stage, forked from the server; used like `subprocess.Popen`.

    Attributes:
        pid: the process id, which is also that of its process group.
        stdout: what the stage writes to stdout and stderr.
        returncode: None until `wait` has returned.

    Raises:
        OSError: the server has ended.
    """

    def __init__(self, server: socket.socket, full_command: Sequence[str], environment: Mapping[str, str]) -> None:
        _, _, _, source, *arguments = full_command
        request = {
            "source": source,
            "arguments": arguments,
            "folder": str(Path.cwd()),
            "environment": dict(environment),
        }
        with contextlib.ExitStack() as opened:
            self.stdout, output = _open_pipe(opened)
            self._status, status = _open_pipe(opened)
            with tempfile.TemporaryFile("w+") as command, output, status:
                json.dump(request, command)
                command.seek(0)
                socket.send_fds(server, [b"\0"], [command.fileno(), output.fileno(), status.fileno()])
            pid = self._status.readline()
            if not pid:
                raise ConnectionError("the fork server has ended")
            opened.pop_all()
        self.pid = int(pid)
        self.returncode: int | None = None

    def wait(self) -> int:
        """Wait until the process has ended, and return its exit code: minus the number of the signal that killed it."""
        code = self._status.readline()
        if not code:  # the server was killed, and cannot report any more how the stage ends
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.returncode = int(code or -signal.SIGKILL)
        self._status.close()
        self.stdout.close()
        return self.returncode


def _open_pipe(opened: contextlib.ExitStack) -> tuple[TextIO, TextIO]:
    """Return both ends of a pipe; the stack closes the first, from which we read."""
    read_end, write_end = os.pipe()
    reader = opened.enter_context(os.fdopen(read_end, encoding="utf-8", errors="replace"))
    return reader, os.fdopen(write_end, "w")
