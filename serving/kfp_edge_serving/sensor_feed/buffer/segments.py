"""The files of the log: each holds records one after the other, every one with its length and checksum."""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

#: Length of the content and its CRC-32. No record is empty: a file system may fill a lost end with zeros.
_HEAD = struct.Struct("<II")
#: The largest message that MQTT has, with its topic.
_MAX_LENGTH = (256 << 20) + (128 << 10)
_SUFFIX = ".log"


class Position(NamedTuple):
    """A place in the log: bytes and records before it since the log began."""

    offset: int
    number: int


class Entry(NamedTuple):
    """A record and where the next one begins."""

    content: bytes
    end: Position


@dataclass
class Segment:
    """One file, and the positions between which it lies."""

    path: Path
    start: Position
    end: Position

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.end.offset - self.start.offset


def segment_path(folder: Path, start: Position) -> Path:
    """Return the path of the file that begins at a position."""
    return folder / f"{start.offset:020d}-{start.number:020d}{_SUFFIX}"


def list_segments(folder: Path) -> list[Segment]:
    """Return the files of a folder in their order; their ends are those of whole records."""
    segments = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        offset, _, number = path.name.removesuffix(_SUFFIX).partition("-")
        if offset.isdigit() and number.isdigit():
            start = Position(int(offset), int(number))
            segments.append(Segment(path, start, _find_end(path, start)))
    return segments


def encode_records(contents: Sequence[bytes]) -> bytes:
    """Return the bytes of records."""
    parts = []
    for content in contents:
        parts += [_HEAD.pack(len(content), zlib.crc32(content)), content]
    return b"".join(parts)


def record_size(content: bytes) -> int:
    """Return how many bytes a record takes."""
    return _HEAD.size + len(content)


def read_entries(segment: Segment, position: Position, max_bytes: int) -> list[Entry]:
    """Return records from a position on: at least one, unless the rest of the file is damaged."""
    start = position.offset - segment.start.offset
    with segment.path.open("rb") as file:
        file.seek(start)
        data = file.read(min(max_bytes, segment.size - start))
        entries = list(_split(data, position))
        if not entries and len(data) >= _HEAD.size:  # a record that is longer than that
            length = _HEAD.unpack_from(data)[0]
            data += file.read(max(0, min(length + _HEAD.size, segment.size - start) - len(data)))
            entries = list(_split(data, position))
    return entries


def _split(data: bytes, position: Position) -> Iterator[Entry]:
    """Yield the whole records at the beginning of some bytes."""
    offset = 0
    while offset + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, offset)
        begin = offset + _HEAD.size
        content = data[begin : begin + length]
        if not 0 < length <= _MAX_LENGTH or len(content) < length or zlib.crc32(content) != checksum:
            return
        offset = begin + length
        position = Position(position.offset + _HEAD.size + length, position.number + 1)
        yield Entry(content, position)


def _find_end(path: Path, start: Position) -> Position:
    """Return the position after the last whole record of a file."""
    end = start
    for entry in _split(path.read_bytes(), start):
        end = entry.end
    return end


class SegmentWriter:
    """Appends to the last file of the log."""

    def __init__(self, segment: Segment) -> None:
        """Open the file, or make it, and cut off what is no whole record."""
        self.segment = segment
        self._file = os.open(segment.path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.ftruncate(self._file, segment.size)

    def append(self, contents: Sequence[bytes], *, is_synced: bool) -> None:
        """Append records as a whole, or not at all.

        Raises:
            OSError: they cannot be written, such as on a full disk.
        """
        data = memoryview(encode_records(contents))
        size = self.segment.size
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(self._file, data[written:], size + written)
            if is_synced:
                os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, size)
            raise
        start = self.segment.end
        self.segment.end = Position(start.offset + len(data), start.number + len(contents))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
