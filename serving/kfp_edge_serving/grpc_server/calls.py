"""One call: what arrives of it and what is sent; and all calls that are not over, with what their clients owe."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kfp_edge_serving.grpc_server import core
from kfp_edge_serving.grpc_server.core import CoreCall, Event, Metadatum, Operation

_OK = 0
#: Since when a client owes something that it does not owe.
_NEVER = float("inf")
#: Answers up to so many bytes are not counted one by one: adding them up costs time in every call.
_SMALL_ANSWER = 16 << 10


class _Delayed(NamedTuple):
    call: "Call"
    operations: tuple[Operation, ...]
    size: int


class OpenCalls:
    """The calls that are not over; safe to use from several threads.

    A client owes its message, and after the answer, to take it. The time of either is limited.
    """

    def __init__(self, max_undelivered: int, max_undelivered_bytes: int) -> None:
        """Take no new calls while so many answers, or bytes of them, were not taken by their clients."""
        self._max_undelivered = max_undelivered
        self._max_undelivered_bytes = max_undelivered_bytes
        self._undelivered_bytes = 0
        self._lock = threading.Lock()
        #: Calls without an answer, and since when their message is awaited.
        self.unanswered: dict[Call, float] = {}
        #: Calls whose answer was not taken so far, and since when.
        self.undelivered: dict[Call, float] = {}
        #: Answers that wait for `release`; None if answers are sent at once.
        self.delayed: list[_Delayed] | None = None

    def __len__(self) -> int:
        return len(self.unanswered) + len(self.undelivered)

    def has_room(self) -> bool:
        """Return whether the answers that clients have to take leave room for another."""
        return len(self.undelivered) < self._max_undelivered and self._undelivered_bytes < self._max_undelivered_bytes

    def cancel_late(self, seconds: float) -> int:
        """Cancel the calls whose client has owed something for longer than so many seconds.

        Return how many of them lack their message.
        """
        latest = time.monotonic() - seconds
        without_message = 0
        for calls in (self.unanswered, self.undelivered):
            for call, since in list(calls.items()):
                if since < latest and not call.is_cancelled:
                    call.cancel()
                    without_message += calls is self.unanswered
        return without_message

    def delay(self) -> None:
        """Send no answer until `release`."""
        self.delayed = []

    def release(self) -> None:
        """Send the answers that were delayed, in their order, and others at once from now on."""
        with self._lock:
            delayed, self.delayed = self.delayed or [], None
        for call, operations, size in delayed:
            call.send_last(operations, size)

    def keep(self, call: "Call", operations: tuple[Operation, ...], size: int) -> bool:
        """Keep an answer for `release`, and return whether answers are still delayed."""
        with self._lock:
            if self.delayed is None:
                return False
            self.delayed.append(_Delayed(call, operations, size))
            return True

    def count_undelivered(self, size: int) -> None:
        """Add the bytes of an answer to those that were not taken, or subtract them."""
        with self._lock:
            self._undelivered_bytes += size


class Call:
    """One call; what is sent may be sent from any thread."""

    __slots__ = (
        "_calls",
        "_core",
        "_has_sent_headers",
        "_size",
        "_then",
        "_watches_close",
        "is_cancelled",
        "is_over",
        "metadata",
    )

    def __init__(self, calls: OpenCalls, core_call: CoreCall, metadata: Sequence[Metadatum]) -> None:
        self._calls = calls
        self._core = core_call
        self._then: Callable[[Call, bytes | None], None] | None = None
        self._has_sent_headers = False
        self._watches_close = False
        self._size = 0
        self.metadata = metadata
        #: Whether `cancel` was called.
        self.is_cancelled = False
        #: Whether the client has cancelled the call or gone, known only after `watch_close`.
        self.is_over = False

    def find_metadata(self, name: str) -> bytes | None:
        """Return the value of a name in the metadata of the call; several are joined by commas, as in HTTP."""
        values = [value.encode() if isinstance(value, str) else value for key, value in self.metadata if key == name]
        return b",".join(values) if values else None

    # --- receiving ---

    def receive(self, then: "Callable[[Call, bytes | None], None]") -> None:
        """Receive a message; `then` is called with it, or with None if there is none or the call is over."""
        self._then = then
        self._calls.unanswered[self] = time.monotonic()
        self._core.start_server_batch((core.receive_message(),), self._received)

    def _received(self, event: Event) -> None:
        assert self._then is not None
        self._then(self, event.batch_operations[0].message())

    def expect_nothing(self) -> None:
        """Let the client wait: it owes nothing until the answer."""
        self._calls.unanswered[self] = _NEVER

    def watch_close(self, then: Callable[[], None] | None = None) -> None:
        """Note when the client cancels the call or goes, and call `then`."""
        self._watches_close = True

        def note(_event: Event) -> None:
            self.is_over = True
            if then is not None:
                then()

        self._core.start_server_batch((core.receive_close(),), note)

    def keep_open(self, then: Callable[[], None]) -> None:
        """Count the call no more, as it stays open for as long as its client wants; call `then` when that goes."""
        self._calls.unanswered.pop(self, None)
        self.watch_close(then)

    def cancel(self) -> None:
        """End the call without an answer."""
        self.is_cancelled = True
        self._core.cancel()

    # --- sending ---

    def answer(self, message: bytes) -> None:
        """Send the only message, and end the call."""
        self._finish(
            (core.send_initial_metadata(), core.send_message(message), core.send_status(_OK, b"")), len(message)
        )

    def send(self, message: bytes, then: Callable[[], None]) -> None:
        """Send one of several messages; `then` is called when another can be sent."""
        headers = () if self._has_sent_headers else (core.send_initial_metadata(),)
        self._has_sent_headers = True
        self._core.start_server_batch((*headers, core.send_message(message)), lambda _event: then())

    def end(self, code: int = _OK, details: str = "") -> None:
        """End the call with a status and no further message."""
        headers = () if self._has_sent_headers else (core.send_initial_metadata(),)
        self._finish((*headers, core.send_status(code, details.encode())), 0)

    def _finish(self, operations: tuple[Operation, ...], size: int) -> None:
        if not self._watches_close:
            operations = (*operations, core.receive_close())
        if self._calls.delayed is None or not self._calls.keep(self, operations, size):
            self.send_last(operations, size)

    def send_last(self, operations: tuple[Operation, ...], size: int) -> None:
        """Send what ends the call; only for `OpenCalls`."""
        calls = self._calls
        if size > _SMALL_ANSWER:
            self._size = size
            calls.count_undelivered(size)
        calls.undelivered[self] = time.monotonic()
        calls.unanswered.pop(self, None)
        self._core.start_server_batch(operations, self._ended)

    def _ended(self, _event: Event) -> None:
        self._calls.undelivered.pop(self, None)
        if self._size:
            self._calls.count_undelivered(-self._size)
