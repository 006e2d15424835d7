"""Log lines of what may happen thousands of times a second: one in a while, with how often it happened."""

import time

from kfp_edge_serving.telemetry.log import log

_SECONDS = 10.0


class OccasionalLog:
    """Logs an event at most once in ten seconds; for one thread."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def log(self, event: str, **fields: str | float | None) -> None:
        """Log a warning, or only count it until the next one that is logged."""
        now = time.monotonic()
        self._counts[event] = self._counts.get(event, 0) + 1
        if now - self._last.get(event, -_SECONDS) >= _SECONDS:
            log(event, "warning", count=self._counts.pop(event), **fields)
            self._last[event] = now
