"""Being interrupted without leaving anything behind."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM unwind the block as Ctrl-C does, so that its clean-up runs.

    Raises:
        SystemExit: with code 143 when SIGTERM arrives.
    """
    if not _in_main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def held() -> Iterator[None]:
    """Put SIGINT and SIGTERM off until the block has ended, for us and for the programs that it starts.

    For short work that must be whole: a program that is killed halfway leaves its rubbish to others.
    """
    if not _in_main_thread():
        yield
        return
    # The mask is what the programs inherit. It does not stop a signal that another thread of ours takes.
    taken: list[int] = []
    handlers = {number: signal.signal(number, lambda got, _: taken.append(got)) for number in _SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if taken:
            os.kill(os.getpid(), taken[0])


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
