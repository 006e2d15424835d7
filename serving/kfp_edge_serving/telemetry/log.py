"""The log: one JSON line per event on stdout, written by a thread, so that a slow reader does not block the server."""

import atexit
import logging
import os
import queue
import threading
from datetime import UTC, datetime
from typing import IO

import orjson

#: Lines that wait to be written; later ones are dropped, and counted.
_MAX_QUEUED = 10_000


class _Writer:
    """Writes lines in the order in which they are logged."""

    def __init__(self) -> None:
        self._lines: queue.Queue[bytes | None] = queue.Queue(_MAX_QUEUED)
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
        # not sys.stdout: the interpreter takes its lock when it ends, and this thread may still be blocked in it
        out = os.fdopen(1, "wb", closefd=False)
        line: bytes | None = b""
        while line is not None:
            line = self._lines.get()
            try:
                self._write(out, line or b"")
            except OSError:  # the reader has gone, or the disk is full: a later line may succeed
                self._dropped += 1

    def _write(self, out: IO[bytes], line: bytes) -> None:
        out.write(line)
        if self._lines.empty():
            if self._dropped:
                out.write(_format("dropped", "warning", {"lines": self._dropped}))
                self._dropped = 0
            out.flush()


_writer = _Writer()


def log(event: str, level: str = "info", **fields: str | float | None) -> None:
    """Log one event with its fields; fields that are None are left out."""
    _writer.write(_format(event, level, {name: value for name, value in fields.items() if value is not None}))


def flush() -> None:
    """Write the queued lines, for a second at most; nothing can be logged after that."""
    _writer.close()


def _format(event: str, level: str, fields: dict[str, str | float | None]) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return orjson.dumps({"time": now, "level": level, "event": event, **fields}, option=orjson.OPT_APPEND_NEWLINE)


class JsonHandler(logging.Handler):
    """Writes the records of libraries to this log, with tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record as one event."""
        log(record.name, record.levelname.lower(), message=self.format(record))
