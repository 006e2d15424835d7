"""Requests that are refused before a model computes anything: counted, and logged together."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from kfp_edge_serving.errors import OVERLOAD_REASONS, RequestError
from kfp_edge_serving.telemetry.log import log


@dataclass
class _Unlogged:
    """Refusals of one kind that the log has not reported yet."""

    requests: int
    error: RequestError


class Refusals:
    """Counts refused requests by protocol and reason; from any thread.

    A client that is refused may try again at once, thousands of times a second. So the log has one line for each
    protocol and reason in a period, with their number and the first of the errors.
    """

    def __init__(self, reasons: Iterable[tuple[str, str]] = ()) -> None:
        """Count nothing so far; `reasons` are those that are known, each with its protocol."""
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter(dict.fromkeys(reasons, 0))
        self._unlogged: dict[tuple[str, str], _Unlogged] = {}

    def add(self, protocol: str, error: RequestError) -> None:
        """Count a request of `rest` or `grpc` that is refused with an error."""
        key = protocol, error.reason
        with self._lock:
            self._counts[key] += 1
            unlogged = self._unlogged.setdefault(key, _Unlogged(0, error))
            unlogged.requests += 1

    def count_overloads(self) -> int:
        """Return how many requests were refused for want of time or room."""
        return sum(count for (_, reason), count in self.counts().items() if reason in OVERLOAD_REASONS)

    def counts(self) -> dict[tuple[str, str], int]:
        """Return the counts by protocol and reason, 0 for those that are known and did not occur."""
        with self._lock:
            return dict(self._counts)

    def log(self) -> None:
        """Log what was refused since the last call."""
        with self._lock:
            unlogged, self._unlogged = self._unlogged, {}
        for (protocol, reason), refused in unlogged.items():
            log(
                "requests refused",
                "warning",
                protocol=protocol,
                reason=reason,
                status=refused.error.status,
                requests=refused.requests,
                error=str(refused.error),
            )
