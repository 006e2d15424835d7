"""The buffer: order, what a crash leaves, and what has to go when it is full."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kfp_edge_serving.sensor_feed.buffer.buffer import Buffer, BufferInUseError
from kfp_edge_serving.sensor_feed.settings import BufferSettings

#: A record of 1 KiB with its length and checksum.
SIZE = 1024

Open = Callable[..., Buffer]


def record(number: int) -> bytes:
    return f"{number:06d}".encode().ljust(SIZE - 8, b".")


def numbers(contents: list[bytes]) -> list[int]:
    return [int(content[:6]) for content in contents]


def read_all(buffer: Buffer) -> list[int]:
    """Return what waits."""
    position, contents = buffer.committed, []
    while entries := buffer.read(position):
        contents += [entry.content for entry in entries]
        position = entries[-1].end
    return numbers(contents)


def answer(buffer: Buffer, number: int) -> None:
    """Note that so many of the records that wait have been answered."""
    for _ in range(number):
        buffer.commit(buffer.read(buffer.committed)[0].end)


@pytest.fixture
def open_buffer(tmp_path: Path) -> Open:
    """Return a function that opens the buffer, of 256 KiB unless it is changed."""

    def open_buffer(**changes: object) -> Buffer:
        settings = BufferSettings(tmp_path / "buffer", 256 << 10, 64 << 10, "oldest", False)
        return Buffer(replace(settings, **changes))  # type: ignore[arg-type]

    return open_buffer


def test_what_was_written_is_there_in_order_after_a_restart(open_buffer: Open) -> None:
    buffer = open_buffer(is_synced=True)
    buffer.append([record(0), record(1)])
    buffer.append([record(2)])
    answer(buffer, 1)
    buffer.close()
    buffer = open_buffer()
    assert (read_all(buffer), buffer.waiting) == ([1, 2], 2)
    buffer.append([record(3)])
    assert read_all(buffer) == [1, 2, 3]


def test_a_record_that_is_larger_than_the_buffer_takes_no_room_from_others(open_buffer: Open) -> None:
    buffer = open_buffer()
    buffer.append([record(0), record(1)])
    assert buffer.append([record(2).ljust(256 << 10), record(3)]) == 1
    assert (read_all(buffer), buffer.dropped) == ([0, 1, 3], 1)


@pytest.mark.parametrize(("overflow", "kept"), [("oldest", range(45, 301)), ("newest", range(256))])
def test_of_more_records_at_once_than_there_is_room_for_the_right_ones_stay(
    open_buffer: Open, overflow: str, kept: range
) -> None:
    buffer = open_buffer(overflow=overflow)
    buffer.append([record(0)])
    buffer.append([record(number) for number in range(1, 301)])
    assert (read_all(buffer), buffer.dropped) == (list(kept), 45)


def test_a_full_disk_takes_messages_again_once_what_waited_has_been_answered(
    tmp_path: Path, open_buffer: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = open_buffer()
    folder, write = tmp_path / "buffer", os.pwrite

    def fail_when_full(file: int, data: bytes, offset: int) -> int:
        # where the cursor is written, the file system has a block already
        if len(data) >= SIZE and sum(path.stat().st_size for path in folder.glob("*.log")) >= 100 * SIZE:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data, offset)

    monkeypatch.setattr("kfp_edge_serving.sensor_feed.buffer.segments.os.pwrite", fail_when_full)
    for number in range(100):
        buffer.append([record(number)])
    with pytest.raises(OSError, match="No space left"):
        buffer.append([record(100)])
    answer(buffer, 90)
    for number in range(100, 110):
        buffer.append([record(number)])
    assert (read_all(buffer), buffer.dropped) == (list(range(90, 110)), 0)


@pytest.mark.parametrize("tail", [b"\x10\0\0\0half", b"\0" * 100, b"\xff" * 100, b"x"])
def test_half_a_record_at_the_end_is_cut_off(open_buffer: Open, tmp_path: Path, tail: bytes) -> None:
    buffer = open_buffer()
    buffer.append([record(0)])
    buffer.close()
    (file,) = (tmp_path / "buffer").glob("*.log")
    file.write_bytes(file.read_bytes() + tail)
    buffer = open_buffer()
    buffer.append([record(1)])
    assert (read_all(buffer), buffer.damaged) == ([0, 1], len(tail))


def test_a_damaged_file_takes_nothing_with_it_that_is_in_others(open_buffer: Open, tmp_path: Path) -> None:
    buffer = open_buffer()
    for number in range(100):
        buffer.append([record(number)])
    buffer.close()
    files = sorted((tmp_path / "buffer").glob("*.log"))
    content = bytearray(files[1].read_bytes())
    content[5 * SIZE + 20] ^= 1
    files[1].write_bytes(content)
    lost = len(content) // SIZE - 5
    begin = len(files[0].read_bytes()) // SIZE
    buffer = open_buffer()
    assert read_all(buffer) == [*range(begin + 5), *range(begin + 5 + lost, 100)]


@pytest.mark.parametrize("content", [b"", b"\0" * 56, b"?" * 56])
def test_without_its_cursor_the_buffer_begins_with_the_oldest_record(
    open_buffer: Open, tmp_path: Path, content: bytes
) -> None:
    buffer = open_buffer()
    buffer.append([record(0), record(1)])
    answer(buffer, 1)
    buffer.close()
    (tmp_path / "buffer/cursor").write_bytes(content)
    assert read_all(open_buffer()) == [0, 1]


def test_a_half_written_cursor_leaves_the_one_before(open_buffer: Open, tmp_path: Path) -> None:
    buffer = open_buffer()
    buffer.append([record(number) for number in range(4)])
    answer(buffer, 2)
    before = (tmp_path / "buffer/cursor").read_bytes()
    answer(buffer, 1)
    after = (tmp_path / "buffer/cursor").read_bytes()
    buffer.close()
    changed = [index for index in range(56) if before[index : index + 1] != after[index : index + 1]]
    torn = bytearray(after)
    torn[changed[-1]] ^= 0xFF
    (tmp_path / "buffer/cursor").write_bytes(torn)
    assert read_all(open_buffer()) == [2, 3]


def test_a_full_buffer_drops_the_oldest_and_counts_them(open_buffer: Open) -> None:
    buffer = open_buffer()
    for number in range(400):
        assert buffer.append([record(number)]) == 0
    kept = read_all(buffer)
    assert kept == list(range(400 - len(kept), 400))
    assert 256 - 17 <= len(kept) <= 256
    assert buffer.dropped == 400 - len(kept)
    assert buffer.waiting_bytes <= 256 << 10


def test_a_full_buffer_drops_the_newest_if_that_is_asked_for(open_buffer: Open) -> None:
    buffer = open_buffer(overflow="newest")
    refused = sum(buffer.append([record(number)]) for number in range(400))
    assert read_all(buffer) == list(range(256))
    assert refused == buffer.dropped == 144
    answer(buffer, 10)
    assert buffer.append([record(400)]) == 0


def test_the_disk_has_no_more_than_buffer_and_history(open_buffer: Open, tmp_path: Path) -> None:
    buffer = open_buffer()
    for number in range(2000):
        buffer.append([record(number)])
        answer(buffer, 1)
    size = sum(file.stat().st_size for file in (tmp_path / "buffer").iterdir())
    assert 64 << 10 <= size <= (64 + 3 * 16 + 1) << 10
    assert buffer.oldest < buffer.committed == buffer.end


def test_a_record_larger_than_what_is_read_at_a_time_is_read_as_a_whole(open_buffer: Open) -> None:
    buffer = open_buffer()
    large = b"x" * 200_000
    buffer.append([large, record(1)])
    assert buffer.read(buffer.committed)[0].content == large


def test_two_feeds_do_not_share_a_buffer(open_buffer: Open) -> None:
    buffer = open_buffer()
    with pytest.raises(BufferInUseError, match="is in use by another sensor feed"):
        open_buffer()
    buffer.close()
    open_buffer()


def test_a_write_that_fails_leaves_nothing_half(open_buffer: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = open_buffer()
    buffer.append([record(0)])

    def fill_disk(file: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.pwrite", fill_disk)
        with pytest.raises(OSError, match="No space left"):
            buffer.append([record(1)])
    buffer.append([record(2)])
    assert read_all(buffer) == [0, 2]
