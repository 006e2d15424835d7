"""Where data comes from: files that `kfp_edge.storage.fetch` brings (local, S3, HTTP), or generated data.

A new generator is a branch in `read_source`; a new protocol belongs into `kfp_edge.storage.fetch`, a new file format
into `table_files`.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pcsv

from kfp_edge.components.ingest.reading import synthetic, table_files
from kfp_edge.components.ingest.reading.table_files import ReadOptions
from kfp_edge.components.ingest.reading.unread_files import (
    FOOTER_SIZE,
    RangeStart,
    UnreadFile,
    find_footer_size,
    find_unread_files,
    is_parquet_name,
    make_stand_in,
    read_footer,
)
from kfp_edge.errors import DataError
from kfp_edge.ml.memory import return_freed_memory
from kfp_edge.storage.fetch import fetch, read_ends
from kfp_edge.storage.files import sha256_bytes, sha256_file
from kfp_edge.storage.urls import redacted_url

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Nothing is stated about the files.
PLAIN = ReadOptions()


@dataclass(frozen=True)
class SourceTable:
    """All rows of the data."""

    table: pa.Table
    #: SHA-256 of the file's bytes; for a folder of the sorted lines "name sha256" of the files that were read; for
    #: generated data of its CSV.
    sha256: str
    #: The address without secrets.
    name: str
    #: For each row of a folder's table the name of its file, relative to the folder and without suffix; None otherwise.
    file_names: pa.ChunkedArray | None = None
    #: The files of a folder that have no row of the time range, of which no row was read.
    unread: tuple[UnreadFile, ...] = ()
    #: How it was read where that was not stated and is not plain, such as a sniffed separator.
    remarks: tuple[str, ...] = ()
    #: What a reviewer should know about it, each in one sentence.
    warnings: tuple[str, ...] = ()
    #: Whether text columns are text by their type, as in Parquet, and not for lack of one, as in CSV.
    is_typed: bool = False
    #: Whether the zone of the time column was known, so that its times are in UTC.
    has_utc_times: bool = False
    #: Whether some number is known to have a decimal comma.
    uses_decimal_comma: bool = False
    #: The format of the time column and its variants; none where it is ISO 8601, or there is none.
    time_formats: tuple[str, ...] = ()


def read_source(
    uri: str, folder: Path, options: ReadOptions = PLAIN, range_start: RangeStart | None = None
) -> SourceTable:
    """Fetch or generate the data at `uri`.

    Args:
        uri: What `kfp_edge.storage.fetch.fetch` takes, or `synthetic:ai4i?rows=10000&seed=0`.
        folder: Where downloads and unpacked files go.
        options: How files are read.
        range_start: Since when rows are needed; all are if None.

    Raises:
        StorageError: there is nothing at `uri`, or it cannot be fetched.
        DataError: it is empty, has no rows, is damaged, or has two columns of the same name.
        ParameterError: there is no such generator.
    """
    if uri.startswith(synthetic.SCHEME):
        return _generate(uri)
    name = redacted_url(uri)
    path, unread = _fetch(uri, folder, range_start) if range_start else (fetch(uri, folder), {})
    files = table_files.list_parts(path, name) if path.is_dir() else {name: path}
    read = table_files.read_parts(files, name, options, folder / "plain", {path / relative for relative in unread})
    if read.table.num_rows == 0:
        raise DataError(f"{name} has a header and no rows; give data with rows.")
    relative_names = {_relative_name(path, file): file for file in files.values()}
    hashes = {relative: sha256_file(file) for relative, file in relative_names.items() if relative not in unread}
    return SourceTable(
        read.table,
        _hash_source(hashes),
        name,
        read.file_names,
        tuple(unread.values()),
        (*read.remarks, *_describe_unread(unread, len(files))),
        tuple(_find_copies(hashes)),
        is_typed=read.is_parquet,
        uses_decimal_comma=read.uses_decimal_comma,
    )


def _fetch(uri: str, folder: Path, start: RangeStart) -> tuple[Path, dict[str, UnreadFile]]:
    """Fetch the data; return its path, and by relative name the files of which no row is needed.

    In place of objects of S3 that are not needed are files with their footers.
    """
    ends = read_ends(uri, is_parquet_name, FOOTER_SIZE, find_footer_size)
    unread = _find_unread(ends, start)
    path = fetch(uri, folder, {name: make_stand_in(ends[name]) for name in unread})
    if path.is_dir() and not ends:
        files = table_files.list_parts(path, redacted_url(uri)).values()
        unread = _find_unread({_relative_name(path, file): file for file in files if is_parquet_name(file.name)}, start)
    return path, unread


def _find_unread(files: Mapping[str, Path | bytes], start: RangeStart) -> dict[str, UnreadFile]:
    footers = {name: read_footer(file, start) for name, file in files.items()}
    return find_unread_files({name: footer for name, footer in footers.items() if footer}, start)


def _describe_unread(unread: Mapping[str, UnreadFile], files: int) -> list[str]:
    if not unread:
        return []
    rows = sum(file.rows for file in unread.values())
    return [f"not read: {len(unread):,} of {files:,} files, whose {rows:,} rows are before time_range"]


def _generate(uri: str) -> SourceTable:
    table = synthetic.generate(uri)
    return_freed_memory()  # of the arrays that the table was made from
    digest = _Digest()
    pcsv.write_csv(table, digest)
    return SourceTable(table, digest.sha256, uri, is_typed=True)


class _Digest(io.RawIOBase):
    """A file that keeps nothing but the hash of what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self._hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer") -> int:
        self._hash.update(data)
        return memoryview(data).nbytes

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def _relative_name(path: Path, file: Path) -> str:
    """Return the name of a file in the folder `path`; "" where `path` is the file."""
    return "" if file == path else file.relative_to(path).as_posix()


def _hash_source(hashes: Mapping[str, str]) -> str:
    if "" in hashes:
        return hashes[""]
    return sha256_bytes("".join(f"{name} {sha256}\n" for name, sha256 in hashes.items()).encode())


def _find_copies(hashes: Mapping[str, str]) -> Iterator[str]:
    """Warn of files that are copies of one another, whose rows count twice or stand in both parts."""
    first: dict[str, str] = {}
    for name, sha256 in hashes.items():
        original = first.setdefault(sha256, name)
        if original != name:
            yield f"the file {name!r} is a copy of {original!r}; remove one of them"
