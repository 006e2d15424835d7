"""How long requests wait for their turn on the event loop."""

import asyncio
import time

#: Looks for requests in the longest time that one may wait.
_LOOKS = 4
#: Most seconds from one request to the next while they wait for each other. After more than that the loop had nothing
#: to do, or could not do anything.
_PAUSE = 0.02


class EventLoopLag:
    """Tells since when the event loop answers requests without having looked for new ones.

    It finds all that has arrived in the meantime at once, and answers one after the other: the last of them waits as
    long as all before it take. Neither uvloop nor asyncio says when it last looked, but timers run where it looks.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, longest: float) -> None:
        """Refuse what waited for `longest` seconds."""
        self._loop = loop
        self._longest = longest
        self._interval = longest / _LOOKS
        self._pause = min(_PAUSE, self._interval)
        self._timer: asyncio.TimerHandle | None = None
        self._looked = 0.0
        self._last = 0.0

    def has_come_too_late(self, now: float) -> bool:
        """Take a turn at the time `now` (of `time.monotonic`); return whether it comes later than it may."""
        if self._timer is None:
            self._arm(now)
        elif now - self._last > self._pause:
            self._looked = now
        self._last = now
        return now - self._looked > self._longest

    def _arm(self, now: float) -> None:
        self._looked = now
        self._timer = self._loop.call_later(self._interval, self._look)

    def _look(self) -> None:
        if self._last >= self._looked:
            self._arm(time.monotonic())
        else:
            self._timer = None  # nobody came in the meantime, and an idle server sleeps
