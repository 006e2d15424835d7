"""The clock of the feed: the time for which it was connected, over all its starts."""

import threading
import time


class FeedClock:
    """Nanoseconds; it stands still without a connection, so that an outage is no time in which sensors were silent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._elapsed = 0
        self._since: int | None = None

    def set_start(self, elapsed: int) -> None:
        """Begin where the clock ended when the feed ran before."""
        with self._lock:
            self._elapsed = elapsed

    def start(self) -> None:
        """Go on, from now."""
        with self._lock:
            if self._since is None:
                self._since = time.monotonic_ns()

    def stop(self) -> None:
        """Stand still."""
        with self._lock:
            self._elapsed = self._read()
            self._since = None

    @property
    def is_running(self) -> bool:
        """Whether the clock goes on."""
        return self._since is not None

    def read(self) -> int:
        """Return the time."""
        with self._lock:
            return self._read()

    def _read(self) -> int:
        return self._elapsed + (0 if self._since is None else time.monotonic_ns() - self._since)
