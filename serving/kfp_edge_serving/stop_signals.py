"""The signals that end the server."""

import asyncio
import signal


class StopSignals:
    """What SIGTERM and SIGINT have asked for.

    SIGTERM, which orchestrators send, lets the server go on for a while (`--shutdown-delay`). SIGINT and a second
    signal come from a person who waits: they end it without that delay. No signal kills a server that is stopping.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Handle the signals from now on, also after the loop has ended."""
        #: Set once the server is to stop.
        self.requested = asyncio.Event()
        #: Set once it is to stop without waiting for new connections.
        self.hurried = asyncio.Event()
        self._loop = loop
        for number in (signal.SIGTERM, signal.SIGINT):
            # not the handlers of the loop, which end with it
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._note, number)

    def _note(self, number: int) -> None:
        if number == signal.SIGINT or self.requested.is_set():
            self.hurried.set()
        self.requested.set()
