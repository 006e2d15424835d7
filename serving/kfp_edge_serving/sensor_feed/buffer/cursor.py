"""How far the log has been answered, in a file of its own that no crash leaves unreadable."""

import os
import struct
import zlib
from pathlib import Path

from kfp_edge_serving.sensor_feed.buffer.segments import Position

#: Sequence number, offset and number of the position.
_CONTENT = struct.Struct("<QQQ")
_CHECKSUM = struct.Struct("<I")
_SLOT = _CONTENT.size + _CHECKSUM.size


class Cursor:
    """A position that is written to two places in turn: whichever was written whole last counts."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._file).st_size == 0:
            # has its place on the disk, so that a position can be written when that is full
            os.pwrite(self._file, bytes(2 * _SLOT), 0)
        slots = [slot for index in range(2) if (slot := self._read(index)) is not None]
        self._sequence, offset, number = max(slots, default=(0, 0, 0))
        self.position = Position(offset, number)

    def write(self, position: Position) -> None:
        """Write a position.

        It is not synced: after a power cut an earlier one may count, from which on rows are answered again.

        Raises:
            OSError: it cannot be written.
        """
        content = _CONTENT.pack(self._sequence + 1, *position)
        slot = content + _CHECKSUM.pack(zlib.crc32(content))
        os.pwrite(self._file, slot, (self._sequence + 1) % 2 * _SLOT)
        self._sequence += 1
        self.position = position

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _read(self, index: int) -> tuple[int, int, int] | None:
        data = os.pread(self._file, _SLOT, index * _SLOT)
        content, checksum = data[: _CONTENT.size], data[_CONTENT.size :]
        if len(data) < _SLOT or _CHECKSUM.unpack(checksum)[0] != zlib.crc32(content):
            return None
        sequence, offset, number = _CONTENT.unpack(content)
        return sequence, offset, number
