"""Numbers and commands in sentences."""

import shlex
from pathlib import Path


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as `1 row` or `1,275 rows`; the plural is that with an s if not given."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def repeat_command(command: str, namespace: str, host: str, ca_file: Path | None) -> str:
    """Return a command of `kfp-edge` for the same server, as a user can paste it."""
    options = {"--namespace": namespace, "--host": host, "--ca-file": str(ca_file or "")}
    given = (f" {name} {shlex.quote(value)}" for name, value in options.items() if value)
    return f"kfp-edge {command}{''.join(given)}"
