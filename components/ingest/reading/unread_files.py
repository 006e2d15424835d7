"""Which Parquet files of a folder have no row of the time range, by the statistics in their footers: they are not read.

The rows that are taken are the same with them and without. What depends on the cells of all rows, such as the kind of
a text column, must not; where it could, every file is read.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kfp_edge.components.ingest.reading.table_files import PARQUET_SUFFIXES
from kfp_edge.ml.time_numbers import to_numbers

_MAGIC = b"PAR1"
#: Of the end of a file: the length of its footer as a 32-bit integer, and the magic bytes.
_TAIL_SIZE = 8
#: Most footers are shorter.
FOOTER_SIZE = 16 * 2**10


@dataclass(frozen=True)
class RangeStart:
    """Since when rows are needed, as far as that is known before the table is read.

    Attributes:
        time_column: The column of times.
        time: The time since when, in microseconds since 1970 in UTC; None if `before_newest` says it.
        before_newest: How long before the newest row with a label, in microseconds.
        target: The column of labels; empty if every row counts.
        group_column: The column of groups, which stays text; empty if there is none.
        as_stored: Other columns whose text stays as it is, or that are dropped.
        has_local_times: Whether times without an offset from UTC are local ones, whose order decides what they mean.
    """

    time_column: str
    time: float | None
    before_newest: float
    target: str
    group_column: str
    as_stored: frozenset[str]
    has_local_times: bool


@dataclass(frozen=True)
class Footer:
    """The schema of a Parquet file, and what the statistics of its row groups say."""

    schema: pa.Schema
    #: Number of rows; the first and the last time in microseconds, None where some are missing or not known.
    rows: int
    first: float | None
    last: float | None
    #: The last time of the row groups in which no cell of the target is missing; None if there is none.
    last_with_label: float | None


@dataclass(frozen=True)
class UnreadFile:
    """The rows of a file that is not read."""

    rows: int
    first: float
    last: float


def is_parquet_name(name: str) -> bool:
    """Return whether a file of a folder is a Parquet file by its name."""
    hidden = any(part.startswith((".", "_", "~$")) for part in PurePosixPath(name).parts)
    return name.lower().endswith(PARQUET_SUFFIXES) and not hidden


def find_footer_size(end: bytes) -> int:
    """Return how many of the last bytes of a file are its footer; `end` are the last ones, 0 if it is not Parquet."""
    if not end.endswith(_MAGIC) or len(end) < _TAIL_SIZE:
        return 0
    return int.from_bytes(end[-_TAIL_SIZE : -len(_MAGIC)], "little") + _TAIL_SIZE


def make_stand_in(end: bytes) -> bytes:
    """Return a file with the schema and the statistics of one that is not read; `end` has the footer."""
    return _MAGIC + end


def read_footer(file: Path | bytes, start: RangeStart) -> Footer | None:
    """Return the footer of a Parquet file, or of its end; None if it cannot be read, or has no such time column."""
    try:
        with pq.ParquetFile(file if isinstance(file, Path) else io.BytesIO(file)) as parquet:
            metadata, schema = parquet.metadata, parquet.schema_arrow
    except (pa.ArrowException, OSError):
        return None
    positions = {metadata.schema.column(index).path: index for index in range(metadata.num_columns)}
    has_times = schema.get_field_index(start.time_column) >= 0  # there is one such column
    if not has_times or not pa.types.is_timestamp(schema.field(start.time_column).type):
        return None
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    ranges = [_find_range(group.column(positions[start.time_column]).statistics) for group in groups]
    known = [times for times in ranges if times is not None]
    is_known = len(known) == len(groups) > 0
    labelled = [
        times[1]
        for group, times in zip(groups, ranges, strict=True)
        if times is not None and (not start.target or _is_labelled(group, schema, positions, start.target))
    ]
    return Footer(
        schema,
        metadata.num_rows,
        min(first for first, _ in known) if is_known else None,
        max(last for _, last in known) if is_known else None,
        max(labelled, default=None),
    )


def _find_range(statistics: pq.Statistics | None) -> tuple[float, float] | None:
    """Return the first and the last time of a row group, None where some are missing or it is not known."""
    if statistics is None or not statistics.has_min_max or not statistics.has_null_count or statistics.null_count:
        return None
    try:
        times = pd.Series([pd.Timestamp(statistics.min), pd.Timestamp(statistics.max)])
    except (ValueError, OverflowError):  # beyond the year 9999
        return None
    first, last = to_numbers(times.dt.tz_localize(None))
    return (float(first), float(last)) if first >= 0 else None  # fractions of microseconds are cut off towards 1970


def _is_labelled(group: pq.RowGroupMetaData, schema: pa.Schema, positions: Mapping[str, int], target: str) -> bool:
    """Return whether every row of a row group has a label; of fractions and text, some that are there are missing."""
    if schema.get_field_index(target) < 0 or not _holds_whole_numbers(schema.field(target).type):
        return False
    statistics = group.column(positions[target]).statistics
    return statistics is not None and statistics.has_null_count and statistics.null_count == 0


def find_unread_files(footers: Mapping[str, Footer], start: RangeStart) -> dict[str, UnreadFile]:
    """Return the files, by name, of which every row is before the time range, where that is certain.

    Args:
        footers: The footers of Parquet files of one folder; one that lacks is read.
        start: Since when rows are needed.
    """
    if not all(_is_decided_by_types(footer.schema, start) for footer in footers.values()):
        return {}
    since = start.time
    if since is None:
        newest = [footer.last_with_label for footer in footers.values() if footer.last_with_label is not None]
        since = max(newest) - start.before_newest if newest else float("-inf")
    unread = {
        name: UnreadFile(footer.rows, footer.first, footer.last)
        for name, footer in footers.items()
        if footer.first is not None and footer.last is not None and footer.last < since
    }
    # rather the usual error where no row is in the range
    return unread if len(unread) < len(footers) else {}


def _is_decided_by_types(schema: pa.Schema, start: RangeStart) -> bool:
    """Return whether the types of the columns decide what they are, and not the cells of all rows together."""
    for column in schema:
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if column.name == start.time_column and start.has_local_times and kind.tz is None:
            return False
        if _is_text(kind) and column.name not in (start.group_column, *start.as_stored):
            return False
        if column.name == start.group_column and not (_is_text(kind) or _holds_whole_numbers(kind)):
            return False
        if column.name == start.target and pa.types.is_uint64(kind):
            return False
    return True


def _is_text(kind: pa.DataType) -> bool:
    """Return whether a type holds text, or bytes, which some programs write for text."""
    types = pa.types
    tests = types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary
    return any(test(kind) for test in tests)


def _holds_whole_numbers(kind: pa.DataType) -> bool:
    return bool(pa.types.is_signed_integer(kind) or pa.types.is_boolean(kind))
