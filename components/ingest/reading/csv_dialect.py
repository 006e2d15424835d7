"""Sniff how a CSV file is written from its first lines: separator, header, decimal mark; with the reason for each."""

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kfp_edge.components.ingest.reading.csv_header import (
    Rows,
    check_column_names,
    count_filled,
    read_header,
    refuse_lines_above,
    refuse_unknown_separator,
    shorten,
)
from kfp_edge.components.ingest.reading.number_notation import looks_like_number
from kfp_edge.components.ingest.reading.plain_text import describe_undecodable
from kfp_edge.components.ingest.reading.table_format import TableFormat
from kfp_edge.errors import DataError
from kfp_edge.wording import count_of

_SEPARATORS = (",", ";", "\t", "|")
_SNIFFED_BYTES = 2**20
_MIN_SNIFFED_ROWS, _MAX_SNIFFED_ROWS, _SNIFFED_FIELDS = 10, 200, 20_000
#: With the wrong separator a line is one field.
_MAX_FIELD_SIZE = 2**31 - 1
#: The first line by which Excel passes the separator on.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
_DECIMAL_POINT = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")
_PADDED = re.compile(r"0\d+|0[xX][0-9a-fA-F]+")
_GROUPED = re.compile(r"\s*[+-]?[1-9]\d{0,2}([.,]\d{3})+\s*")


@dataclass(frozen=True)
class CsvDialect:
    """How one CSV file is written."""

    separator: str
    #: The header, without the spaces around its names.
    names: tuple[str, ...]
    #: Lines before the rows: the header, and a line that names the separator.
    skipped_lines: int
    decimal: str
    #: Columns whose numbers have to be read as text, because a point in them may group thousands.
    unclear_columns: tuple[str, ...]
    #: Columns with cells such as 007 or 0x1F, which may be codes, with the first such cell.
    padded_columns: Mapping[str, str]
    remarks: tuple[str, ...]


def sniff_dialect(path: Path, name: str, table_format: TableFormat, role_names: Collection[str]) -> CsvDialect:
    """Return how a file is written: as stated, otherwise as its first lines show.

    Raises:
        DataError: its first lines contradict each other or what was stated, or there is no header.
    """
    lines, is_whole = _read_first_lines(path, name)
    separator, reason = table_format.separator_character, ""
    match = _SEPARATOR_LINE.fullmatch(lines[0])
    if match:
        separator, reason, lines = separator or match[1], f"(the first line is {lines[0].strip()!r})", lines[1:]
    skipped = int(match is not None)
    while lines and not lines[0].strip():
        skipped, lines = skipped + 1, lines[1:]
    if not lines:
        raise DataError(f"{name} has no header and no rows; give a CSV file with rows.")
    if not separator:
        separator, reason = _sniff_separator(lines, is_whole, name)
    rows = _parse(lines, separator, is_whole)
    if not rows:
        raise DataError(f"{name} is no CSV file that can be read: its first line has a quote that does not end.")
    if table_format.separator and len(rows[0]) == 1:
        raise DataError(
            f"separator is {table_format.separator!r}, and the first line of {name}, {shorten(lines[0])}, has none; "
            "leave separator out, or give the right one."
        )
    remarks = [f"separator {separator!r} {reason}"] if reason else []
    if table_format.column_names:
        names = check_column_names(rows, table_format.column_names, table_format.missing_values, name)
    else:
        names = tuple(read_header(rows, lines, separator, name, role_names))
        remarks += _find_spaced_names(rows[0])
        rows, skipped = rows[1:], skipped + 1 + sum(field.count("\n") for field in rows[0])
    decimal, unclear, decimal_remarks = _sniff_decimal(names, rows, table_format)
    padded = _find_padded(names, rows)
    return CsvDialect(separator, names, skipped, decimal, unclear, padded, (*remarks, *decimal_remarks))


def _find_spaced_names(header: Sequence[str]) -> list[str]:
    """Return a remark about the column names that had spaces around them."""
    spaced = [field for field in header if field.strip() and field != field.strip()]
    if not spaced:
        return []
    which = "the column name" if len(spaced) == 1 else f"{len(spaced)} column names, such as"
    return [f"spaces removed around {which} {spaced[0]!r}"]


def _read_first_lines(path: Path, name: str) -> tuple[list[str], bool]:
    """Return the first lines with their ends, and whether they are the whole file."""
    with path.open("rb") as stream:
        head = stream.read(_SNIFFED_BYTES)
        is_whole = len(head) < _SNIFFED_BYTES
        while not is_whole and b"\n" not in head and b"\r" not in head:
            more = stream.read(_SNIFFED_BYTES)
            head, is_whole = head + more, len(more) < _SNIFFED_BYTES
    if not is_whole:
        head = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1]
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise describe_undecodable(path, name) from error
    return io.StringIO(text, newline="").readlines() or [""], is_whole


def _parse(lines: Sequence[str], separator: str, is_whole: bool) -> Rows:
    """Return the first rows that have a field with text; none if the quotes do not fit."""
    rows: Rows = []
    csv.field_size_limit(_MAX_FIELD_SIZE)
    reader = csv.reader(lines, delimiter=separator)
    try:
        for row in reader:
            if any(row) or not rows:
                rows.append(row)
            if len(rows) > max(_MIN_SNIFFED_ROWS, min(_MAX_SNIFFED_ROWS, _SNIFFED_FIELDS // max(len(row), 1))):
                return rows
    except csv.Error:
        return []
    # the last record may go on behind the lines that were read
    return rows if is_whole else rows[:-1] or rows


def _sniff_separator(lines: Sequence[str], is_whole: bool, name: str) -> tuple[str, str]:
    """Return the separator, and the reason unless it is the comma."""
    rows = {separator: _parse(lines, separator, is_whole) for separator in _SEPARATORS}
    header_counts = {separator: len(its_rows[0]) - 1 if its_rows else 0 for separator, its_rows in rows.items()}
    candidates = [separator for separator in _SEPARATORS if _separates(rows[separator])]
    if "\t" in candidates:
        candidates = ["\t"]  # a tab is rarely part of a text
    if len(candidates) > 1:
        first, second = (
            f"separator={'tab' if mark == chr(9) else mark} ({header_counts[mark] + 1} columns)"
            for mark in candidates[:2]
        )
        raise DataError(f"{name} could be separated in two ways; give {first} or {second}.")
    for mark in () if candidates else _SEPARATORS:
        if rows[mark]:
            refuse_lines_above(rows[mark], lines, mark, name)
    separator = candidates[0] if candidates else max(_SEPARATORS, key=lambda mark: header_counts[mark])
    if header_counts[separator] <= 0:
        refuse_unknown_separator(lines, name)
        return ",", ""
    return separator, "" if separator == "," else f"(the header has {header_counts[separator]} of them)"


def _separates(rows: Rows) -> bool:
    """Return whether all rows have as many fields as the header, apart from empty ones at the end."""
    if len(rows) < 1 or len(rows[0]) < 2:
        return False
    width = count_filled(rows[0])
    return all(len(row) == len(rows[0]) or count_filled(row) <= width <= len(row) for row in rows[1:])


def _find_padded(names: Sequence[str], rows: Rows) -> dict[str, str]:
    """Return the columns with whole numbers that have zeros in front or are hexadecimal, and the first such cell."""
    cells = {name: [row[index].strip() for row in rows if index < len(row)] for index, name in enumerate(names)}
    padded = {name: next(filter(_PADDED.fullmatch, its_cells), "") for name, its_cells in cells.items()}
    return {name: cell for name, cell in padded.items() if cell}


def _sniff_decimal(
    names: Sequence[str], rows: Rows, table_format: TableFormat
) -> tuple[str, tuple[str, ...], list[str]]:
    """Return the decimal mark for reading, the columns in which a point may group thousands, and the remarks."""
    columns = {name: [row[index] for row in rows if index < len(row)] for index, name in enumerate(names)}
    commas = {name: example for name, cells in columns.items() if (example := _find_decimal(cells, _DECIMAL_COMMA))}
    points = {name: example for name, cells in columns.items() if (example := _find_decimal(cells, _DECIMAL_POINT))}
    uses_comma = table_format.decimal == "," or bool(commas)
    unclear = tuple(
        name for name, cells in columns.items() if uses_comma and name not in points and _may_group(cells, ".")
    )
    decimal = "," if uses_comma and len(commas) >= len(points) and table_format.decimal != "." else "."
    if decimal != "," or not commas:
        return decimal, unclear, []
    name, example = next(iter(commas.items()))
    where = f"column {name!r} has {example.strip()!r}"
    if len(commas) > 1:
        more = count_of(len(commas) - 1, "more column")
        where += f", and {more} {'has' if len(commas) == 2 else 'have'} such numbers"
    return decimal, unclear, [f"decimal ',' ({where})"]


def _find_decimal(cells: Sequence[str], decimal: re.Pattern[str]) -> str:
    """Return a cell that shows the decimal mark of a column: it cannot be the separator of thousands."""
    numbers = [cell for cell in cells if cell.strip()]
    example = next((cell for cell in numbers if decimal.fullmatch(cell) and not _GROUPED.fullmatch(cell)), "")
    return example if example and all(looks_like_number(cell.strip()) for cell in numbers) else ""


def _may_group(cells: Sequence[str], mark: str) -> bool:
    return any(mark in cell and _GROUPED.fullmatch(cell) for cell in cells)
