"""One JSON line an event on stdout."""

import logging
import sys
from datetime import UTC, datetime

import orjson


def log(event: str, level: str = "info", **fields: str | float | None) -> None:
    """Write one event with its fields."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    sys.stdout.buffer.write(orjson.dumps({"time": now, "level": level, "event": event, **fields}) + b"\n")
    sys.stdout.buffer.flush()


class JsonHandler(logging.Handler):
    """Turns what libraries log into our lines, tracebacks included."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one event."""
        log(record.name, record.levelname.lower(), message=self.format(record))
