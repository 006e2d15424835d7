"""One JSON line an event on stdout, written by a thread: a reader that stops reading must not stop the server."""

import atexit
import logging
import os
import queue
import threading
from datetime import UTC, datetime
from typing import IO

import orjson

#: Lines that wait to be written; later ones are dropped, and counted.
_WAITING = 10_000


class _Writer:
    """Writes lines in the order in which they came."""

    def __init__(self) -> None:
        self._lines: queue.Queue[bytes | None] = queue.Queue(_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, line: bytes) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        try:
            self._lines.put(None, timeout=1)
        except queue.Full:
            return
        self._thread.join(timeout=1)

    def _run(self) -> None:
        # not sys.stdout, whose lock the interpreter wants at its end, while this thread may still wait for a reader
        out = os.fdopen(1, "wb", closefd=False)
        line: bytes | None = b""
        while line is not None:
            line = self._lines.get()
            try:
                self._put(out, line or b"")
            except OSError:  # nobody reads any more, or the disk is full: a later line may get through
                self._dropped += 1

    def _put(self, out: IO[bytes], line: bytes) -> None:
        out.write(line)
        if self._lines.empty():
            if self._dropped:
                out.write(_line("dropped", "warning", {"lines": self._dropped}))
                self._dropped = 0
            out.flush()


_writer = _Writer()


def log(event: str, level: str = "info", **fields: str | float | None) -> None:
    """Write one event with its fields; those that are None are left out."""
    _writer.write(_line(event, level, {name: value for name, value in fields.items() if value is not None}))


def flush() -> None:
    """Write what waits, for a second at most; nothing can be logged after that."""
    _writer.close()


def _line(event: str, level: str, fields: dict[str, str | float | None]) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return orjson.dumps({"time": now, "level": level, "event": event, **fields}, option=orjson.OPT_APPEND_NEWLINE)


class JsonHandler(logging.Handler):
    """Turns what libraries log into our lines, tracebacks included."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one event."""
        log(record.name, record.levelname.lower(), message=self.format(record))
