"""Running the tools that fetch and build: what they log becomes one sentence."""

import re
from collections.abc import Sequence
from pathlib import Path

from kfp_edge.errors import CommandError, ImageError
from kfp_edge.runtime.process import run

_REPORTED_LINES = 3
#: What buildah, podman and skopeo write beside the error: that a program they ran has failed.
_NOISE = ("subprocess exited with status", "Error: exit status")
#: A line of their log (logrus).
_LOG_LINE = re.compile(r'time="[^"]*" level=(\w+) msg="(.*)"')


def run_tool(title: str, args: Sequence[str | Path], *, cwd: Path | None = None, new_session: bool = False) -> str:
    """Run a program to its end and return what it wrote to stdout.

    Args:
        title: What an error calls it, such as `buildah build`: its first argument is often a global flag.
        args: The program and its arguments.
        cwd: Where it runs; our own folder when None.
        new_session: Whether it runs in a session of its own, where Ctrl-C does not reach it.

    Raises:
        ImageError: the program is not installed or ended with a non-zero exit code.
    """
    try:
        return run(args, cwd=cwd, new_session=new_session)
    except CommandError as error:
        lines = find_error_lines(error.output)
        if not lines:
            raise ImageError(str(error)) from error
        raise ImageError(f"`{title}` failed: {' | '.join(lines[-_REPORTED_LINES:])}") from error


def find_error_lines(stderr: str) -> list[str]:
    """Return the lines of a container tool's output that say why it failed."""
    lines = []
    for line in stderr.splitlines():
        log_line = _LOG_LINE.match(line)
        if log_line and log_line[1] in ("fatal", "error"):
            lines.append(log_line[2].replace('\\"', '"'))
        elif not log_line and line.strip() and not line.startswith(_NOISE):
            lines.append(line)
    return lines
