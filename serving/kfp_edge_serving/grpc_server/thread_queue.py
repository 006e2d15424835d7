"""Threads for what takes long, with a queue in which nothing waits for longer than it may."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple


class _Entry(NamedTuple):
    expires: float
    size: int
    work: Callable[[], None]
    refuse: Callable[[], None]


class ThreadQueue:
    """Runs work in the order in which it is submitted; what has waited for too long is refused instead."""

    def __init__(self, threads: int, max_wait: float, max_bytes: int) -> None:
        """Run so much at once; let work wait for `max_wait` seconds, and hold `max_bytes` in all while it waits."""
        self._count = threads
        self._max_wait = max_wait
        self._max_bytes = max_bytes
        self._entries: deque[_Entry] = deque()
        self._bytes = 0
        self._idle = 0
        self._is_started = False
        self._is_closed = False
        lock = threading.Lock()
        self._has_work = threading.Condition(lock)
        self._must_wait = threading.Condition(lock)

    def submit(self, work: Callable[[], None], refuse: Callable[[], None], size: int) -> bool:
        """Run `work` in a thread, or call `refuse` if it has waited for too long; neither may raise.

        Returns:
            Whether it was taken: it is not when it would make what waits hold more bytes than it may.
        """
        with self._has_work:
            if self._entries and self._bytes + size > self._max_bytes:
                return False
            self._start_threads()
            self._bytes += size
            self._entries.append(_Entry(time.monotonic() + self._max_wait, size, work, refuse))
            self._has_work.notify()
            if len(self._entries) > self._idle:
                self._must_wait.notify()
        return True

    def close(self) -> None:
        """End the threads after what they are running; what waits is dropped."""
        with self._has_work:
            self._is_closed = True
            self._entries.clear()
            self._has_work.notify_all()
            self._must_wait.notify_all()

    def _start_threads(self) -> None:
        """Start the threads with the first work: a server of quick models needs none."""
        if self._is_started:
            return
        self._is_started = True
        for target, count in ((self._run_work, self._count), (self._refuse_expired, 1)):
            for _ in range(count):
                threading.Thread(target=target, name="grpc-inference", daemon=True).start()

    def _run_work(self) -> None:
        while (entry := self._next()) is not None:
            (entry.refuse if time.monotonic() > entry.expires else entry.work)()
            # what the work holds must not be kept until the next one
            del entry

    def _next(self) -> _Entry | None:
        with self._has_work:
            self._idle += 1
            while not self._entries and not self._is_closed:
                self._has_work.wait()
            self._idle -= 1
            return None if self._is_closed else self._take()

    def _take(self) -> _Entry:
        entry = self._entries.popleft()
        self._bytes -= entry.size
        return entry

    def _refuse_expired(self) -> None:
        while (entry := self._next_expired()) is not None:
            entry.refuse()
            del entry

    def _next_expired(self) -> _Entry | None:
        with self._must_wait:
            while not self._is_closed:
                left = self._entries[0].expires - time.monotonic() if self._entries else None
                if left is not None and left <= 0:
                    return self._take()
                self._must_wait.wait(left)
            return None
