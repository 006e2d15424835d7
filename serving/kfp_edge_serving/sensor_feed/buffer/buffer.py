"""The buffer: what arrives waits on disk until it has been answered, within a stated size."""

import errno
import fcntl
import os
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from kfp_edge_serving.sensor_feed.buffer.cursor import Cursor
from kfp_edge_serving.sensor_feed.buffer.segments import (
    Entry,
    Position,
    Segment,
    SegmentWriter,
    list_segments,
    read_entries,
    record_size,
    segment_path,
)
from kfp_edge_serving.sensor_feed.configuration_table import ConfigurationError
from kfp_edge_serving.sensor_feed.settings import BufferSettings

#: The buffer is written in so many files, each of which is deleted as a whole.
_FILES = 16
_MIN_FILE, _MAX_FILE = 16 << 10, 8 << 20
_READ_BYTES = 64 << 10


class BufferInUseError(ConfigurationError):
    """Another process uses the folder, such as the feed that this one is to take over from."""


class Buffer:
    """A log of records, of which those behind `committed` wait; safe to use from several threads.

    What has been answered stays until `history` bytes of it are exceeded: from it, a feed that starts again knows the
    last values and rows of each group.
    """

    def __init__(self, settings: BufferSettings) -> None:
        """Open the buffer, or make it.

        Raises:
            BufferInUseError: another process uses the folder.
            ConfigurationError: the folder cannot be used.
        """
        self._settings = settings
        self._file_size = max(_MIN_FILE, min(_MAX_FILE, settings.size // _FILES, settings.history))
        self._changed = threading.Condition()
        self._is_closed = False
        #: Records that found no room, or had to give it.
        self.dropped = 0
        #: Bytes behind the last whole record of a file, which a crash or the disk has damaged.
        self.damaged = 0
        try:
            settings.folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = _lock(settings.folder)
            self._open(settings.folder)
        except OSError as error:
            raise ConfigurationError(
                f"the buffer's folder {settings.folder} cannot be used: {error.strerror or error}."
            ) from error

    def _open(self, folder: Path) -> None:
        self._cursor = Cursor(folder / "cursor")
        self._segments = list_segments(folder)
        self.damaged = sum(segment.path.stat().st_size - segment.size for segment in self._segments)
        if not self._segments:
            # a lost log begins behind all that has been answered, so that no position counts twice
            self._segments.append(self._new_segment(self._cursor.position))
        start, end = self._segments[0].start, self._segments[-1].end
        if not start <= self._cursor.position <= end:
            self._cursor.write(min(max(self._cursor.position, start), end))
        self._writer = SegmentWriter(self._segments[-1])

    # --- what is in it ---

    @property
    def oldest(self) -> Position:
        """Where the log begins."""
        return self._segments[0].start

    @property
    def committed(self) -> Position:
        """Up to where it has been answered."""
        return self._cursor.position

    @property
    def end(self) -> Position:
        """Where it ends."""
        return self._segments[-1].end

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait."""
        return self.end.offset - self.committed.offset

    @property
    def waiting(self) -> int:
        """Records that wait."""
        return self.end.number - self.committed.number

    # --- writing ---

    def append(self, contents: Sequence[bytes], *, is_synced: bool | None = None) -> int:
        """Append records, and return how many of these found no room.

        Args:
            contents: The records.
            is_synced: Whether they are on the disk, and not only with the operating system, when this returns; as
                the settings say when None.

        Raises:
            OSError: they cannot be written, although the history was given up; then none of them is in the log.
        """
        with self._changed:
            accepted = self._make_room(contents)
            if accepted:
                self._write(accepted, is_synced=self._settings.is_synced if is_synced is None else is_synced)
                self._changed.notify_all()
            refused = len(contents) - len(accepted)
            self.dropped += refused
            return refused

    def _write(self, contents: Sequence[bytes], *, is_synced: bool) -> None:
        if self._segments[-1].size >= self._file_size:
            self._start_file()
        while True:
            try:
                self._writer.append(contents, is_synced=is_synced)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._give_up_history():
                    raise
            else:
                return

    def commit(self, position: Position) -> None:
        """Note that everything before a position has been answered.

        Raises:
            OSError: it cannot be written.
        """
        with self._changed:
            if position > self._cursor.position:
                self._cursor.write(position)
                self._remove_history()

    # --- reading ---

    def read(self, position: Position) -> list[Entry]:
        """Return some records from a position on; none at the end of the log.

        What has been dropped, or is damaged, is left out.
        """
        with self._changed:
            position = max(position, self.oldest)
            for segment in self._segments:
                if position >= segment.end:
                    continue
                entries = read_entries(segment, max(position, segment.start), _READ_BYTES)
                if entries:
                    return entries
            return []

    def find_start(self, number: int) -> Position:
        """Return a position from which on there are at least so many records, or all."""
        with self._changed:
            starts = [segment.start for segment in self._segments if segment.start.number <= self.end.number - number]
            return starts[-1] if starts else self.oldest

    def wait(self, position: Position, seconds: float) -> bool:
        """Wait until there is something behind a position, for some seconds at most; return whether there is."""
        with self._changed:
            self._changed.wait_for(lambda: self.end > position or self._is_closed, seconds)
            return self.end > position

    def close(self) -> None:
        """Close the files, and wake up who waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            self._writer.close()
            self._cursor.close()
            os.close(self._lock_file)

    # --- room ---

    def _make_room(self, contents: Sequence[bytes]) -> list[bytes]:
        """Return the records for which there is room, after others had to go if the settings want that."""
        accepted: deque[bytes] = deque()
        need = 0
        for content in contents:
            size = record_size(content)
            if size > self._settings.size:  # nothing that is dropped would make room for it
                continue
            while self._settings.overflow == "oldest" and self.waiting_bytes + need + size > self._settings.size:
                if not self._drop_oldest():
                    need -= record_size(accepted.popleft())
            if self.waiting_bytes + need + size <= self._settings.size:
                accepted.append(content)
                need += size
        return list(accepted)

    def _drop_oldest(self) -> bool:
        """Drop what waits in the oldest file; return whether that gave any room."""
        if self.waiting_bytes == 0:
            return False
        segment = next(segment for segment in self._segments if segment.end > self._cursor.position)
        self.dropped += segment.end.number - max(self._cursor.position, segment.start).number
        self._cursor.write(segment.end)
        self._remove_history()
        return True

    def _start_file(self) -> None:
        segment = self._new_segment(self.end)
        writer = SegmentWriter(segment)
        _sync_folder(self._settings.folder)
        self._writer.close()
        self._writer = writer
        self._segments.append(segment)

    def _new_segment(self, start: Position) -> Segment:
        return Segment(segment_path(self._settings.folder, start), start, start)

    def _remove_history(self) -> None:
        """Delete the oldest files that have been answered, as long as enough of it is left."""
        while len(self._segments) > 1:
            first = self._segments[0]
            kept = self._cursor.position.offset - first.end.offset
            if first.end > self._cursor.position or kept < self._settings.history:
                return
            first.path.unlink(missing_ok=True)
            del self._segments[0]

    def _give_up_history(self) -> bool:
        """Delete what has been answered, for messages that find no room on the disk; return whether there was any."""
        first = self._segments[0]
        if first.end > self._cursor.position or first.size == 0:
            return False
        if len(self._segments) == 1:
            self._start_file()
        first.path.unlink(missing_ok=True)
        del self._segments[0]
        return True


def _lock(folder: Path) -> int:
    """Keep other processes from this folder; the lock goes with the process."""
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise BufferInUseError(f"the buffer's folder {folder} is in use by another sensor feed.") from None
    return file


def _sync_folder(folder: Path) -> None:
    """Make a new file of a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
