"""Waiting for what a server does in its own time; the timeouts only keep a failed test from hanging."""

import time
from collections.abc import Callable

_POLL_SECONDS = 0.01


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it did not.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(_POLL_SECONDS)
