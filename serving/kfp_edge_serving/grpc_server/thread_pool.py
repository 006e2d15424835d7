"""Threads for calls most of which are short: few of them, and more only while those are stuck."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

#: Seconds in which no call ended although one waits, after which another thread is added.
_STUCK = 0.02
#: Seconds without a call after which an added thread ends.
_IDLE = 5.0
#: Seconds between two looks at whether calls are left.
_POLL = 0.005

_Call = tuple[Future[Any], Callable[[], Any]]


class ThreadPool(Executor):
    """Runs calls in the order in which they come.

    Threads that compete for the interpreter slow each other down, so few answer short calls faster than many. But a
    client that is slow to send its message holds up a thread, and must not hold up other clients.
    """

    def __init__(self, few: int, most: int) -> None:
        """Start `few` threads, which stay; there are never more than `most`."""
        self._most = most
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._active = 0
        self._ended = 0
        self._waiting = threading.Event()
        self._closed = threading.Event()
        for _ in range(few):
            self._add(idle=None)
        threading.Thread(target=self._watch, name="grpc-watch", daemon=True).start()

    @property
    def active(self) -> int:
        """How many calls wait or are being run."""
        return self._active

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no call is left, and return whether it came to that in time."""
        end = time.monotonic() + seconds
        while self._active and time.monotonic() < end:
            time.sleep(_POLL)
        return not self._active

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call in one of the threads."""
        future: Future[Any] = Future()
        with self._lock:
            self._active += 1
            waits = self._active > self._threads
        self._calls.put((future, partial(call, *args, **kwargs)))
        if waits:
            self._waiting.set()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after the calls that were submitted; it never waits for them."""
        self._closed.set()
        self._waiting.set()
        for _ in range(self._most):
            self._calls.put(None)

    def _add(self, idle: float | None) -> None:
        threading.Thread(target=self._work, args=(idle,), name="grpc", daemon=True).start()
        with self._lock:
            self._threads += 1

    def _work(self, idle: float | None) -> None:
        while (call := self._next(idle)) is not None:
            self._run(*call)
            # what a call leaves behind must not live until the next one
            del call
        with self._lock:
            self._threads -= 1
        # a call that came just now may have counted on this thread
        self._waiting.set()

    def _next(self, idle: float | None) -> _Call | None:
        try:
            return self._calls.get(timeout=idle)
        except Empty:
            return None

    def _run(self, future: Future[Any], call: Callable[[], Any]) -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever holds the future
            self._end()
            future.set_exception(error)
        else:
            self._end()
            future.set_result(result)

    def _end(self) -> None:
        with self._lock:
            self._active -= 1
            self._ended += 1

    def _watch(self) -> None:
        """Add a thread whenever calls wait and none ended for a while."""
        while not self._closed.is_set():
            self._waiting.wait()
            self._waiting.clear()
            ended = self._ended
            while not self._calls.empty() and not self._closed.wait(_STUCK):
                if ended == self._ended and self._threads < self._most and not self._calls.empty():
                    with suppress(RuntimeError):  # no thread is to be had; the call waits for one of those that are
                        self._add(_IDLE)
                ended = self._ended
