"""Read one CSV file in UTF-8 into a table."""

import functools
import json
import mmap
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from kfp_edge.components.ingest.reading.arrow_columns import is_number
from kfp_edge.components.ingest.reading.csv_dialect import CsvDialect, sniff_dialect
from kfp_edge.components.ingest.reading.csv_header import shorten
from kfp_edge.components.ingest.reading.plain_text import describe_undecodable
from kfp_edge.components.ingest.reading.table_format import TableFormat
from kfp_edge.errors import DataError
from kfp_edge.wording import count_of

#: pyarrow infers the type of a CSV column from one block, so the whole file must be one.
_MAX_BLOCK_SIZE = 2**31 - 1
#: pandas names a column without a name by its position.
_NAMELESS = re.compile(r"|Unnamed: \d+")
#: What the last line may hold besides spaces: the end of a file in MS-DOS.
_BLANK = " \t\x1a"
#: From here on float64 does not tell two integers apart.
_MAX_EXACT_INTEGER = 2**53
_FIRST_CELLS = 1000


@dataclass(frozen=True)
class CsvTable:
    """The rows of a CSV file, and what is remarkable about them."""

    table: pa.Table
    remarks: tuple[str, ...]
    uses_decimal_comma: bool


def read_csv(
    path: Path, name: str, table_format: TableFormat, text_columns: Collection[str], exact_columns: Collection[str]
) -> CsvTable:
    """Read a CSV file.

    Args:
        path: The file, text in UTF-8.
        name: Its name in errors.
        table_format: What was stated about it.
        text_columns: Columns that stay text although their cells look like numbers.
        exact_columns: Columns whose integers keep all their digits, as text where no integer type holds them.

    Raises:
        DataError: the file is no such CSV file.
    """
    dialect = sniff_dialect(path, name, table_format, exact_columns)
    as_text = {*text_columns, *dialect.unclear_columns}
    table, blank = _read(path, name, dialect, table_format, as_text.union(exact_columns))
    for column in set(exact_columns).intersection(table.column_names) - as_text:
        table = table.set_column(table.column_names.index(column), column, _infer_exactly(table.column(column)))
    if any(pa.types.is_binary(field.type) for field in table.schema):
        raise describe_undecodable(path, name)
    table, remarks = _drop_empty(table, blank + _count_blank_lines(path))
    remarks += _describe_padded(table, dialect.padded_columns)
    return CsvTable(table, (*dialect.remarks, *remarks), dialect.decimal == ",")


def _describe_padded(table: pa.Table, padded: Mapping[str, str]) -> list[str]:
    """Return a remark for each column of numbers with cells such as 007, which may be codes."""
    numbers = {
        name: int(cell, 16 if "x" in cell.lower() else 10)
        for name, cell in padded.items()
        if name in table.column_names and is_number(table.schema.field(name).type)
    }
    return [
        f"column {name!r} is read as numbers, {padded[name]} as {number}; to keep codes as text give "
        f"columns={json.dumps({name: {'dtype': 'string'}}, ensure_ascii=False)}"
        for name, number in numbers.items()
    ]


def _infer_exactly(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of texts as what they are, or as texts if that would make two of them the same value."""
    for arrow_type in (pa.int64(), pa.bool_(), pa.float64()):
        try:
            column.slice(0, _FIRST_CELLS).cast(arrow_type)  # a cast that fails is slow
            values = column.cast(arrow_type)
        except pa.ArrowInvalid:
            continue
        return column if _loses_digits(column, values) else values
    return column


def _loses_digits(column: pa.ChunkedArray, values: pa.ChunkedArray) -> bool:
    """Return whether numbers are written so that two texts may be one number, as 01 and 1, or 7.1 and 7.10 are."""
    if pa.types.is_boolean(values.type):
        return False
    if pc.any(pc.match_substring_regex(column, "^[+-]?0[0-9xX]|[0-9][eE]")).as_py():
        return True
    if not pa.types.is_floating(values.type):
        return False
    is_exact = pc.and_(pc.less(pc.abs(values), _MAX_EXACT_INTEGER), pc.equal(values, pc.floor(values)))
    return not pc.all(is_exact).as_py()


def _read(
    path: Path, name: str, dialect: CsvDialect, table_format: TableFormat, text_columns: Collection[str]
) -> tuple[pa.Table, int]:
    """Return the rows, and the number of lines with spaces alone that were left out."""
    blank = 0
    wrong: list[pcsv.InvalidRow] = []

    def skip_blank(row: pcsv.InvalidRow) -> str:
        nonlocal blank
        if row.text.strip(_BLANK):
            wrong.append(row)
            return "error"
        blank += 1
        return "skip"

    read = pcsv.ReadOptions(
        block_size=min(path.stat().st_size + 1, _MAX_BLOCK_SIZE),
        column_names=list(dialect.names),
        skip_rows=dialect.skipped_lines,
    )
    parse = pcsv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True, invalid_row_handler=skip_blank)
    convert = pcsv.ConvertOptions(
        strings_can_be_null=True,
        null_values=["", *table_format.missing_values],
        decimal_point=dialect.decimal,
        column_types={column: pa.string() for column in text_columns},
    )
    try:
        with pa.OSFile(str(path)) as stream:  # a path would be unpacked if its suffix says so, as .csv.gz does
            table = pcsv.read_csv(stream, read, parse, convert)
    except pa.ArrowInvalid as error:
        if "Could not skip initial" in str(error):
            return pa.table({column: pa.nulls(0) for column in dialect.names}), 0
        if "UTF8" in str(error):
            raise describe_undecodable(path, name) from error
        if wrong:
            raise DataError(_describe_wrong_row(path, name, wrong[0])) from error
        reason = str(error).splitlines()[0].removesuffix(".")
        raise DataError(f"{name} is not a CSV file that can be read ({reason}).") from error
    return table, blank


def _describe_wrong_row(path: Path, name: str, row: pcsv.InvalidRow) -> str:
    hint = " (a quote in it does not end)" if row.text.count('"') % 2 else ""
    return (
        f"line {_find_line(path, row.text):,} of {name} has {count_of(row.actual_columns, 'field')} instead of "
        f"{row.expected_columns}: {shorten(row.text)}{hint}; correct this line, or delete it."
    )


def _find_line(path: Path, text: str) -> int:
    """Return the number of the first line that begins with a text."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        position = content.find(b"\n" + text.encode())
        return content[: position + 1].count(b"\n") + 1


def _count_blank_lines(path: Path) -> int:
    """Return the number of empty lines; not in a file with quotes, in whose texts a line may be empty."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if (content.find(b"\n\n") < 0 and content.find(b"\n\r\n") < 0) or content.find(b'"') >= 0:
            return 0
        return sum(1 for _ in re.finditer(rb"(?<=\n)\r?\n", content))


def _drop_empty(table: pa.Table, blank_lines: int) -> tuple[pa.Table, list[str]]:
    """Return the table without columns that have neither name nor value, and without rows that have no value."""
    nameless = [
        index
        for index, column in enumerate(table.itercolumns())
        if _NAMELESS.fullmatch(table.column_names[index]) and column.null_count == len(column)
    ]
    remarks = []
    if nameless:
        table = table.select([index for index in range(table.num_columns) if index not in nameless])
        remarks.append(
            f"{len(nameless)} empty columns without a name left out"
            if len(nameless) > 1
            else "one empty column without a name left out"
        )
    blank = 0
    if table.num_columns and all(column.null_count for column in table.itercolumns()):
        is_empty = functools.reduce(pc.and_, (pc.is_null(column) for column in table.itercolumns()))
        blank = pc.sum(is_empty).as_py() or 0
        table = table.filter(pc.invert(is_empty)) if blank else table
    if blank + blank_lines:
        remarks.append(
            f"{blank + blank_lines:,} blank rows left out" if blank + blank_lines > 1 else "one blank row left out"
        )
    return table, remarks
