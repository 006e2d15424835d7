"""What goes wrong on demand: answers that fail, connections that break, watches that end."""

import threading
from dataclasses import dataclass

from support.fake_kubernetes.store import Refused

REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass
class Failure:
    """The next `times` such requests are refused, after the next `after`, which are not."""

    verb: str
    resource: str
    refusal: Refused
    times: int
    after: int


class Faults:
    """Each is asked for by a test, and taken by the request or the stream that it hits."""

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._failures: list[Failure] = []
        self._drops = {False: 0, True: 0}
        self._stalls = 0
        self._streams: dict[object, str] = {}
        self._next_stream = ""

    def fail(self, failure: Failure) -> None:
        with self._changed:
            self._failures.append(failure)

    def raise_for(self, verb: str, resource: str) -> None:
        """Raise the Refused that a test has asked for this request, if any."""
        with self._changed:
            for failure in self._failures:
                if not failure.times or failure.verb not in (verb, "*") or failure.resource not in (resource, "*"):
                    continue
                if failure.after:
                    failure.after -= 1
                    continue
                failure.times -= 1
                raise failure.refusal

    def drop_connections(self, times: int, done: bool) -> None:
        with self._changed:
            self._drops[done] += times

    def takes_connection(self, done: bool) -> bool:
        """Whether this request's connection breaks: before its work is done, or after, when the answer is lost."""
        with self._changed:
            if not self._drops[done]:
                return False
            self._drops[done] -= 1
            return True

    def stall(self, times: int) -> None:
        with self._changed:
            self._stalls += times

    def stalls(self) -> bool:
        """Whether this request gets no answer."""
        with self._changed:
            if not self._stalls:
                return False
            self._stalls -= 1
            return True

    def end_streams(self, how: str) -> None:
        """End all watches and followed logs that are open; if none is, the next one as soon as it opens."""
        with self._changed:
            if not self._streams:
                self._next_stream = how
            for stream in self._streams:
                self._streams[stream] = how
            self._changed.notify_all()

    def open_stream(self, stream: object) -> None:
        with self._changed:
            self._streams[stream] = self._next_stream
            self._next_stream = ""

    def end_of(self, stream: object) -> str:
        """How an open stream is to end now: "dropped", "gone", or "" not at all."""
        return self._streams[stream]

    def close_stream(self, stream: object) -> None:
        with self._changed:
            del self._streams[stream]
