"""Interrupt a program at a chosen moment: while it waits for another program."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SECONDS = 60


@contextmanager
def announcing(program: str, folder: Path) -> Iterator[tuple[dict[str, str], Callable[[], None]]]:
    """Yield an environment in which `program` reports its start, and a function that waits for that."""
    real = shutil.which(program)
    shims, started = folder / "shims", folder / "started"
    shims.mkdir()
    (shims / program).write_text(f'#!/bin/sh\n(sleep 0.2; touch "{started}") &\nexec {real} "$@"\n')
    (shims / program).chmod(0o755)

    def wait() -> None:
        deadline = time.monotonic() + _SECONDS
        while not started.exists():
            assert time.monotonic() < deadline, f"{program} was not started"
            time.sleep(0.01)

    yield {**os.environ, "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}"}, wait
