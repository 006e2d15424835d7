"""Being interrupted without leaving anything behind."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the block as Ctrl-C does, so that its clean-up runs.

    Raises:
        KeyboardInterrupt: when SIGTERM arrives.
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
def deferred_signals() -> Iterator[None]:
    """Put SIGINT and SIGTERM off until the block has ended.

    For short work that must be whole: a program that is killed halfway leaves its rubbish to others.
    The programs that the block starts have to run `apart` (`kfp_edge.runtime.process.run`).
    """
    if not _in_main_thread():
        yield
        return
    taken: list[int] = []
    handlers = {number: signal.signal(number, lambda got, _: taken.append(got)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if taken:
            os.kill(os.getpid(), taken[0])


def _leave(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
