"""Bring a table's file into plain text in UTF-8, or refuse it by the name of its format."""

import gzip
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kfp_edge.errors import DataError

#: Files that unpack to more are refused: a small archive could fill the disk.
_MAX_UNPACKED_SIZE = 8 * 2**30
_CHUNK_SIZE = 2**20
_GZIP_MAGIC, _ZIP_MAGIC, _PARQUET_MAGIC = b"\x1f\x8b", b"PK\x03\x04", b"PAR1"
#: Where a tar archive has its name, and how much of a file shows its format.
_TAR_OFFSET, _HEAD_SIZE = 257, 512
_SAVE_AS_CSV = "save its table as CSV or Parquet"
#: What files of other formats begin with, in lower case too, what they are, and what to do with them.
_REFUSED_FORMATS = {
    b"\xd0\xcf\x11\xe0": ("an Excel workbook (xls)", "save its sheet as CSV"),
    b"PK\x05\x06": ("an empty zip archive", "give one with a table"),
    b"BZh": ("compressed with bzip2", "unpack it, or compress it with gzip"),
    b"\xfd7zXZ": ("compressed with xz", "unpack it, or compress it with gzip"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it, or compress it with gzip"),
    b"\x04\x22\x4d\x18": ("compressed with lz4", "unpack it, or compress it with gzip"),
    b"7z\xbc\xaf": ("a 7-Zip archive", "unpack it, or compress it with gzip"),
    b"Rar!": ("a RAR archive", "unpack it, or compress it with gzip"),
    b"\x89HDF": ("HDF5", _SAVE_AS_CSV),
    b"RDX": ("an R data file", "save its table with write.csv(..., row.names = FALSE)"),
    b"X\n\0": ("an R data file", "save its table with write.csv(..., row.names = FALSE)"),
    b"MATLAB": ("a MATLAB file", _SAVE_AS_CSV),
    b"TDSm": ("a TDMS file of LabVIEW", _SAVE_AS_CSV),
    b"SQLite format 3": ("an SQLite database", _SAVE_AS_CSV),
    b"ARROW1": ("an Arrow or Feather file", "save it as Parquet"),
    b"ORC": ("ORC", "save it as Parquet"),
    b"Obj\x01": ("Avro", "save it as Parquet"),
    b"\x93NUMPY": ("a NumPy array", _SAVE_AS_CSV),
    b"%PDF": ("a PDF document", "give the data that it was made from as CSV"),
    b"<?xml": ("XML", _SAVE_AS_CSV),
    b"<!doctype": ("an HTML page, perhaps of a login", "give the address of the file itself"),
    b"<html": ("an HTML page, perhaps of a login", "give the address of the file itself"),
    b"<": ("HTML or XML", _SAVE_AS_CSV),
    b"@relation": ("ARFF", _SAVE_AS_CSV),
    b"version https://git-lfs": ("a pointer of Git LFS and not the file itself", "get the file with git lfs pull"),
    b"{": ("JSON", _SAVE_AS_CSV),
    b"[{": ("JSON", _SAVE_AS_CSV),
}
#: A text in quotes, or spaces and tabs between fields.
_SPACES = re.compile(rb'("[^"]*")|[ \t]+')
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


@dataclass(frozen=True)
class PlainFile:
    """A Parquet file, or text in UTF-8, and how it was read where that was not plain."""

    path: Path
    is_parquet: bool
    remarks: tuple[str, ...] = ()


def prepare(path: Path, name: str, encoding: str, scratch: Path) -> PlainFile:
    """Unpack and decode a file.

    Args:
        path: The file as it came.
        name: Its name in errors.
        encoding: Encoding of the text; if empty, UTF-8, or what a byte order mark states.
        scratch: Folder for the unpacked and decoded file.

    Raises:
        DataError: the file is empty, damaged, of another format, or no text in this encoding.
    """
    remarks = []
    magic = _read_head(path, name)
    if magic.startswith(_GZIP_MAGIC):
        path = _unpack_gzip(path, name, scratch)
    elif magic.startswith(_ZIP_MAGIC):
        path, member = _unpack_zip(path, name, scratch)
        remarks.append(f"unpacked {member!r} from the zip archive")
    magic = _read_head(path, name)
    if magic.startswith(_PARQUET_MAGIC):
        return PlainFile(path, True, tuple(remarks))
    if _is_packed_again(magic):
        raise DataError(f"{name} holds an archive of its own; unpack it and give the file or the folder.")
    starts = (start for start in _REFUSED_FORMATS if magic.startswith(start) or magic.lower().startswith(start))
    refused = _REFUSED_FORMATS.get(next(starts, b""))
    if refused:
        raise DataError(f"{name} is {refused[0]}; {refused[1]}.")
    marked = next((codec for mark, codec in _BYTE_ORDER_MARKS.items() if magic.startswith(mark)), "")
    if marked and not encoding:
        remarks.append(f"encoding {marked} (byte order mark)")
    elif not encoding and b"\0" in magic:
        raise DataError(_describe_zero_bytes(magic, name))
    codec = encoding or marked
    if codec and codec.lower().replace("_", "-") not in ("utf-8", "utf8", "utf-8-sig", "ascii"):
        path = _decode(path, name, codec, scratch)
    return PlainFile(path, False, tuple(remarks))


def _is_packed_again(magic: bytes) -> bool:
    """Return whether a file that was unpacked is an archive itself; the name of tar stands at the end of its header."""
    return magic.startswith((_GZIP_MAGIC, _ZIP_MAGIC)) or magic[_TAR_OFFSET:].startswith(b"ustar")


def _describe_zero_bytes(magic: bytes, name: str) -> str:
    for encoding, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        if set(magic[first::2]) == {0} and 0 not in magic[1 - first :: 2]:
            return f"{name} is not text in UTF-8 (it has zero bytes); if it is in UTF-16, give encoding={encoding}."
    return f"{name} is neither text nor Parquet but of another format, since it has zero bytes; {_SAVE_AS_CSV}."


def describe_undecodable(path: Path, name: str) -> DataError:
    """Return the error for text that is not UTF-8, with the first line that is not and how cp1252 reads it."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                start = max(error.start - 10, 0)
                reading = line[start : error.start + 10].decode("cp1252", errors="replace").strip()
                return DataError(
                    f"{name} is not text in UTF-8 (line {number} has the byte 0x{line[error.start]:02x}; Windows-1252 "
                    f"would read {reading!r}); if that is right give encoding=cp1252, else name its encoding or save "
                    "it in UTF-8."
                )
    return DataError(f"{name} is not text in UTF-8; name its encoding, or save it in UTF-8.")


def _read_head(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_SIZE)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror}.") from error
    if not head:
        raise DataError(f"{name} is empty; give a CSV or Parquet file with rows.")
    return head


def _unpack_gzip(path: Path, name: str, scratch: Path) -> Path:
    try:
        with gzip.open(path) as stream:
            return _copy(stream, name, scratch)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name} is compressed with gzip and damaged, perhaps cut short; copy it again.") from error


def _unpack_zip(path: Path, name: str, scratch: Path) -> tuple[Path, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            member = _find_member(archive, name)
            with archive.open(member) as stream:
                return _copy(stream, name, scratch), member.filename
    except (EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"{name} is a damaged zip archive, perhaps cut short; copy it again.") from error


def _find_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return the only table of an archive."""
    members = {member.filename: member for member in archive.infolist() if not member.is_dir()}
    if "xl/workbook.xml" in members:
        raise DataError(f"{name} is an Excel workbook (xlsx); save its sheet as CSV.")
    if "content.xml" in members and "mimetype" in members:
        raise DataError(f"{name} is an OpenDocument file; save its sheet as CSV.")
    tables = [
        member
        for filename, member in members.items()
        if not any(part.startswith((".", "_")) for part in Path(filename).parts)
    ]
    if len(tables) != 1:
        raise DataError(f"{name} is a zip archive of {len(tables)} files; unpack it and give the file or the folder.")
    if tables[0].flag_bits & 1:
        raise DataError(f"{name} is a zip archive with a password; unpack it.")
    return tables[0]


def _copy(stream: IO[bytes] | gzip.GzipFile, name: str, scratch: Path) -> Path:
    """Write an unpacked stream to a new file, up to the largest size that is taken."""
    target = _make_scratch_file(scratch)
    size = 0
    with target.open("wb") as file:
        while chunk := stream.read(_CHUNK_SIZE):
            size += len(chunk)
            if size > _MAX_UNPACKED_SIZE:
                raise DataError(
                    f"{name} unpacks to more than {_MAX_UNPACKED_SIZE // 2**30} GiB; give the table as Parquet."
                )
            file.write(chunk)
    return target


def _decode(path: Path, name: str, encoding: str, scratch: Path) -> Path:
    target = _make_scratch_file(scratch)
    try:
        with (
            path.open(encoding=encoding, newline="") as source,
            target.open("w", encoding="utf-8", newline="") as decoded,
        ):
            shutil.copyfileobj(source, decoded, _CHUNK_SIZE)
    except UnicodeError as error:
        raise DataError(
            f"{name} is not text in {encoding} ({error}); leave encoding out if it is UTF-8, else name its encoding."
        ) from error
    return target


def collapse_spaces(path: Path, scratch: Path) -> Path:
    """Write a text to a new file with one space in place of several, as aligned columns have; quotes are kept."""
    target = _make_scratch_file(scratch)
    with path.open("rb") as source, target.open("wb") as collapsed:
        for line in source:
            collapsed.write(_SPACES.sub(lambda match: match[1] or b" ", line.strip()) + b"\n")
    return target


def _make_scratch_file(scratch: Path) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(dir=scratch)
    os.close(handle)
    return Path(path)
