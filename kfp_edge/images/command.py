"""Running the programs that fetch and build."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from kfp_edge.errors import ImageError

_SHOWN_LINES = 3
#: What the container tools write beside the error: that what they ran has failed.
_NOISE = ("subprocess exited with status", "Error: exit status")
_LOGGED = re.compile(r'time="[^"]*" level=(\w+) msg="(.*)"')


def run(args: Sequence[str | Path], *, cwd: Path | None = None, title: str | None = None) -> str:
    """Run a program to its end and return what it wrote to stdout.

    Args:
        title: What an error calls it; the program and its first argument when None.

    Raises:
        ImageError: the program is not installed or ended with a non-zero exit code.
    """
    command = [str(arg) for arg in args]
    program = Path(command[0]).name
    if shutil.which(command[0]) is None:
        raise ImageError(f"{program} is not installed; the serving image cannot be built without it.")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = " | ".join(_told(done.stderr)[-_SHOWN_LINES:]) or "it gave no reason"
        raise ImageError(f"`{title or ' '.join([program, *command[1:2]])}` failed: {said}")
    return done.stdout


def _told(stderr: str) -> list[str]:
    lines = []
    for line in stderr.splitlines():
        logged = _LOGGED.match(line)
        if logged and logged[1] in ("fatal", "error"):
            lines.append(logged[2].replace('\\"', '"'))
        elif not logged and line.strip() and not line.startswith(_NOISE):
            lines.append(line)
    return lines
