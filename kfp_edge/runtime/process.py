"""Run other programs; a failure becomes one sentence without secrets."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kfp_edge.errors import CommandError

_LINES_IN_MESSAGE = 3


def find_program(name: str) -> str | None:
    """Return the path of a program on the PATH, or else of one that a package of this environment brought, if any."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def run(
    args: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
    secrets: Sequence[str] = (),
    new_session: bool = False,
) -> str:
    """Run a program to its end and return what it wrote to stdout, with line feeds as line ends.

    Args:
        args: The program and its arguments; no shell is involved.
        cwd: The working directory; ours when None.
        env: The complete environment of the program; ours when None.
        stdin: The text that the program reads from stdin.
        timeout: Seconds after which the program is killed.
        secrets: Texts that are replaced by *** in every error.
        new_session: Whether the program gets its own session (setsid(2)), so that Ctrl-C does not reach it.

    Raises:
        CommandError: the program is not installed, took too long, or ended with a non-zero exit code.
    """
    data = None if stdin is None else stdin.encode()
    stdout = run_binary(args, cwd=cwd, env=env, stdin=data, timeout=timeout, secrets=secrets, new_session=new_session)
    return _to_text(stdout)


def run_binary(
    args: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float | None = None,
    secrets: Sequence[str] = (),
    new_session: bool = False,
) -> bytes:
    """Run a program as `run` does, with bytes as its input and output.

    Raises:
        CommandError: the program is not installed, took too long, or ended with a non-zero exit code.
    """
    command = [str(arg) for arg in args]
    program = Path(command[0]).name
    if shutil.which(command[0]) is None:
        raise CommandError(f"{program} is not installed; `kfp-edge doctor` says how to get it.", "")
    try:
        completed = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            input=stdin,
            timeout=timeout,
            capture_output=True,
            check=False,
            start_new_session=new_session,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{program} did not finish within {timeout:g} s and was stopped.", "") from error
    if completed.returncode != 0:
        stderr = redact(_to_text(completed.stderr).strip(), secrets)
        reason = " | ".join(stderr.splitlines()[-_LINES_IN_MESSAGE:]) or "it wrote nothing to stderr"
        short_command = redact(" ".join(command[:2]), secrets)
        raise CommandError(f"`{short_command}` failed with exit code {completed.returncode}: {reason}", stderr)
    return completed.stdout


def _to_text(data: bytes) -> str:
    return data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def redact(text: str, secrets: Sequence[str]) -> str:
    """Return `text` with every secret replaced by ***."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text
