"""Running other programs: their failure becomes one clear sentence, and secrets stay out of it."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kfp_edge.errors import CommandError

_SHOWN_LINES = 3


def run(
    args: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
    secrets: Sequence[str] = (),
    apart: bool = False,
) -> str:
    """Run a program to its end and return what it wrote to stdout.

    Args:
        args: The program and its arguments; never through a shell.
        env: The whole environment of the program; ours when None.
        timeout: Seconds after which the program is killed.
        secrets: Texts that are blanked out of every error.
        apart: Whether it runs in a session of its own, where Ctrl-C does not reach it.

    Raises:
        CommandError: the program is not installed, took too long, or ended with a non-zero exit code.
    """
    command = [str(arg) for arg in args]
    program = Path(command[0]).name
    if shutil.which(command[0]) is None:
        raise CommandError(f"{program} is not installed; `kfp-edge doctor` says how to get it.", "")
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            input=stdin,
            timeout=timeout,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            start_new_session=apart,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{program} did not finish within {timeout:g} s and was stopped.", "") from error
    if done.returncode != 0:
        output = redact(done.stderr.strip(), secrets)
        said = " | ".join(output.splitlines()[-_SHOWN_LINES:]) or "it gave no reason"
        what = redact(" ".join(command[:2]), secrets)
        raise CommandError(f"`{what}` failed with exit code {done.returncode}: {said}", output)
    return done.stdout


def redact(text: str, secrets: Sequence[str]) -> str:
    """Return `text` with every secret replaced by ***."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text
