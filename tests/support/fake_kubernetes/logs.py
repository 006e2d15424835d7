"""The log of one container, as a kubelet keeps it."""

import threading
from datetime import UTC, datetime
from types import TracebackType


class Log:
    """Written by what plays the container, and closed when the container ends; followers see each line at once."""

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._begun = b""
        self.lines: list[tuple[str, bytes]] = []  # time with nanoseconds (RFC 3339), line without its newline
        self.closed = False

    def write(self, data: str | bytes) -> int:
        with self._changed:
            *whole, self._begun = (self._begun + (data.encode() if isinstance(data, str) else data)).split(b"\n")
            self.lines += [(_now(), line) for line in whole]
            self._changed.notify_all()
        return len(data)

    def close(self) -> None:
        with self._changed:
            if self._begun:
                self.write("\n")
            self.closed = True
            self._changed.notify_all()

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
