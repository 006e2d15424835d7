"""Load shedding: when a request would wait for too long, it is refused at once instead.

Requests on the event loop are measured by `EventLoopLag`, those that need a thread wait in a `ThreadQueue`.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from kfp_edge_serving.errors import RequestError

Result = TypeVar("Result")

#: Timer ticks within the longest time that a request may wait.
_TICKS_PER_MAX_WAIT = 4
#: Requests that queue for the event loop follow each other within so many seconds. After a longer pause the loop had
#: nothing to do, or was not able to do anything.
_MAX_PAUSE = 0.02


def overload_error() -> RequestError:
    """Return the error of a request that is refused because of overload."""
    return RequestError("the server has more requests than it can answer in time; try again later.", 503)


class EventLoopLag:
    """Measures for how long the event loop has been answering requests without polling for new ones.

    One poll finds all requests that have arrived, and they are answered one after the other: the last of them waits for
    as long as all before it take. Neither uvloop nor asyncio tells when it last polled, but timers run where it polls.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_wait: float) -> None:
        """Let requests wait for at most `max_wait` seconds."""
        self._loop = loop
        self._max_wait = max_wait
        self._interval = max_wait / _TICKS_PER_MAX_WAIT
        self._max_pause = min(_MAX_PAUSE, self._interval)
        self._timer: asyncio.TimerHandle | None = None
        self._last_poll = 0.0
        self._last_request = 0.0

    def is_too_long(self, now: float) -> bool:
        """Return whether a request that is about to be answered at `now` (of `time.monotonic`) has waited too long."""
        if self._timer is None:
            self._start_timer(now)
        elif now - self._last_request > self._max_pause:
            self._last_poll = now
        self._last_request = now
        return now - self._last_poll > self._max_wait

    def _start_timer(self, now: float) -> None:
        self._last_poll = now
        self._timer = self._loop.call_later(self._interval, self._tick)

    def _tick(self) -> None:
        if self._last_request >= self._last_poll:
            self._start_timer(time.monotonic())
        else:
            self._timer = None  # no request since the last tick: an idle server needs no timer


class ThreadQueue:
    """Requests that wait for a thread: no more than a limit, and none for longer than it may."""

    def __init__(self, loop: asyncio.AbstractEventLoop, executor: Executor, max_queued: int, max_wait: float) -> None:
        self._loop = loop
        self._executor = executor
        self._max_queued = max_queued
        self._max_wait = max_wait
        self._queued = 0

    def is_full(self) -> bool:
        """Return whether another request would be one too many."""
        return self._queued >= self._max_queued

    def submit(self, work: Callable[[], Result]) -> "asyncio.Future[Result]":
        """Run `work` in a thread; call it on the event loop."""
        self._queued += 1
        future = self._loop.run_in_executor(self._executor, work)
        future.add_done_callback(self._release)
        return future

    def has_expired(self, began: float) -> bool:
        """Return whether a request of `began` (of `time.monotonic`) has waited too long; call it in the thread."""
        return time.monotonic() - began > self._max_wait

    def _release(self, _: "asyncio.Future[Result]") -> None:
        self._queued -= 1
