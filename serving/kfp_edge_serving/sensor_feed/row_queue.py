"""Rows from the log, in its order: what the messages of the buffer say, assembled."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from kfp_edge_serving.sensor_feed.buffer.buffer import Buffer
from kfp_edge_serving.sensor_feed.buffer.segments import Position
from kfp_edge_serving.sensor_feed.events import ClockEvent, Event, decode_event
from kfp_edge_serving.sensor_feed.messages import MessageError, MessageReader
from kfp_edge_serving.sensor_feed.metrics import SKIPPED, FeedMetrics
from kfp_edge_serving.sensor_feed.occasional_log import OccasionalLog
from kfp_edge_serving.sensor_feed.rows import Assembler, Row


class _QueuedRow(NamedTuple):
    """A row, and where the event begins that completed it."""

    row: Row
    start: Position


class RowQueue:
    """Reads the log and assembles rows; for one thread."""

    def __init__(self, buffer: Buffer, reader: MessageReader, assembler: Assembler, metrics: FeedMetrics) -> None:
        self._buffer = buffer
        self._reader = reader
        self._assembler = assembler
        self._metrics = metrics
        self._log = OccasionalLog()
        self._rows: deque[_QueuedRow] = deque()
        self._position = buffer.oldest

    def replay(self) -> Iterator[Row]:
        """Yield the rows that have been answered, as far as the log still has their messages.

        Afterwards the assembler knows the last values that it knew when the last row was answered.
        """
        end = self._buffer.committed
        while self._position < end and (entries := self._buffer.read(self._position)):
            for entry in entries:
                if entry.end > end:
                    break
                yield from self._assemble(decode_event(entry.content), is_counted=False)
                self._position = entry.end
            else:
                continue
            break
        self._position = max(self._position, end)
        self._assembler.skipped = 0

    def fill(self, number: int) -> None:
        """Read on until there are so many rows, or no more messages."""
        self._skip_dropped()
        while len(self._rows) < number and (entries := self._buffer.read(self._position)):
            start = self._position
            for entry in entries:
                rows = self._assemble(decode_event(entry.content), is_counted=True)
                self._rows += [_QueuedRow(row, start) for row in rows]
                start = entry.end
            self._position = start
        self._metrics.rows[SKIPPED] = self._assembler.skipped

    def take(self, number: int, *, is_one_of_a_group: bool) -> list[Row]:
        """Take rows out, at most `number`; with `is_one_of_a_group` only until a group comes a second time."""
        rows: list[Row] = []
        groups: set[str] = set()
        while self._rows and len(rows) < number:
            group = self._rows[0].row.group
            if is_one_of_a_group and group in groups:
                break
            groups.add(group)
            rows.append(self._rows.popleft().row)
        return rows

    @property
    def position(self) -> Position:
        """Up to where the rows that were taken, and all messages before them, go."""
        return self._rows[0].start if self._rows else self._position

    @property
    def due(self) -> int | None:
        """The clock at which there is a row without another message, None if there is none."""
        return self._assembler.due

    def wait(self, seconds: float) -> None:
        """Wait until there is something to read, for some seconds at most."""
        self._buffer.wait(self._position, seconds)

    def _assemble(self, event: Event, *, is_counted: bool) -> list[Row]:
        if isinstance(event, ClockEvent):
            return self._assembler.advance(event.clock)
        try:
            reading = self._reader.read(event.topic, event.payload, event.arrival)
        except MessageError as error:
            if is_counted:
                self._metrics.unreadable += 1
                self._log.log("message not readable", topic=event.topic, error=str(error))
            return []
        return [] if reading is None else self._assembler.add(reading, event.clock)

    def _skip_dropped(self) -> None:
        """Leave out what the buffer has dropped to make room."""
        committed = self._buffer.committed
        while self._rows and self._rows[0].start < committed:
            self._rows.popleft()
        self._position = max(self._position, committed)
