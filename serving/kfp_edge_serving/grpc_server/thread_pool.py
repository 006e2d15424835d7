"""A thread pool for calls most of which are short: few threads, and more only while those are blocked."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

#: Another thread is added when a call waits and none has ended for so many seconds.
_BLOCKED_SECONDS = 0.02
#: An added thread ends after so many seconds without a call.
_IDLE_SECONDS = 5.0
_POLL_SECONDS = 0.005

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
_Work = tuple[Future[Any], Callable[[], Any]]


class ThreadPool(Executor):
    """Runs calls in the order in which they are submitted.

    Threads that compete for the interpreter slow each other down, so few threads answer short calls faster than many.
    But a client that is slow to send its message blocks a thread, and must not block other clients.
    """

    def __init__(self, min_threads: int, max_threads: int) -> None:
        """Start `min_threads`, which never end."""
        self._max_threads = max_threads
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._active = 0
        self._completed = 0
        self._has_waiting = threading.Event()
        self._is_closed = threading.Event()
        for _ in range(min_threads):
            self._add_thread(idle_seconds=None)
        threading.Thread(target=self._add_threads, name="grpc-thread-pool", daemon=True).start()

    @property
    def active(self) -> int:
        """The number of calls that wait or are running."""
        return self._active

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no call is left, and return whether that happened in time."""
        end = time.monotonic() + seconds
        while self._active and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
        return not self._active

    def submit(
        self, call: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Run a call in one of the threads."""
        future: Future[Result] = Future()
        with self._lock:
            self._active += 1
            must_wait = self._active > self._threads
        self._queue.put((future, partial(call, *args, **kwargs)))
        if must_wait:
            self._has_waiting.set()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads after the calls that were submitted, without waiting for them."""
        self._is_closed.set()
        self._has_waiting.set()
        for _ in range(self._max_threads):
            self._queue.put(None)

    def _add_thread(self, idle_seconds: float | None) -> None:
        threading.Thread(target=self._run_calls, args=(idle_seconds,), name="grpc", daemon=True).start()
        with self._lock:
            self._threads += 1

    def _run_calls(self, idle_seconds: float | None) -> None:
        while (work := self._next(idle_seconds)) is not None:
            self._run(*work)
            # the objects of a call must not be kept until the next one
            del work
        with self._lock:
            self._threads -= 1
        # a call that was submitted just now may have counted on this thread
        self._has_waiting.set()

    def _next(self, idle_seconds: float | None) -> _Work | None:
        try:
            return self._queue.get(timeout=idle_seconds)
        except Empty:
            return None

    def _run(self, future: Future[Any], call: Callable[[], Any]) -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - it belongs to the owner of the future
            self._count_completed()
            future.set_exception(error)
        else:
            self._count_completed()
            future.set_result(result)

    def _count_completed(self) -> None:
        with self._lock:
            self._active -= 1
            self._completed += 1

    def _add_threads(self) -> None:
        """Add a thread whenever calls wait and none has completed for a while."""
        while not self._is_closed.is_set():
            self._has_waiting.wait()
            self._has_waiting.clear()
            completed = self._completed
            while not self._queue.empty() and not self._is_closed.wait(_BLOCKED_SECONDS):
                is_blocked = completed == self._completed and not self._queue.empty()
                if is_blocked and self._threads < self._max_threads:
                    with suppress(RuntimeError):  # the system has no thread left; the call waits for one of these
                        self._add_thread(_IDLE_SECONDS)
                completed = self._completed
