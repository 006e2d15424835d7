"""Find the column names in the first rows of a CSV file, and refuse what is no header, with what is there instead."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Sequence

from kfp_edge.components.ingest.reading.number_notation import MISSING_CODES, looks_like_number
from kfp_edge.errors import DataError
from kfp_edge.wording import count_of

_MAX_LINE_LENGTH = 60
_FIRST_LINES = 10
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}\b.*")
_BYTE_ORDER_MARK = "\ufeff"

Rows = list[list[str]]


class NoHeaderError(DataError):
    """The first line of a file holds values."""


def count_filled(row: Sequence[str]) -> int:
    """Return the number of fields without the empty ones at the end."""
    return max((index + 1 for index, field in enumerate(row) if field.strip()), default=0)


def shorten(line: str) -> str:
    """Return the beginning of a line as it stands in a message."""
    line = line.strip()
    return repr(line if len(line) <= _MAX_LINE_LENGTH else f"{line[:_MAX_LINE_LENGTH]}...")


def check_column_names(
    rows: Rows, names: tuple[str, ...], missing_values: Collection[str], file_name: str
) -> tuple[str, ...]:
    """Return the names that were stated, and "" for further columns, which are empty.

    Args:
        rows: The fields of the first lines of a file.
        names: The names that were stated.
        missing_values: What stands for a missing value; it is no name.
        file_name: Name of the file in errors.

    Raises:
        DataError: they are too few, or the file has a header.
    """
    width = max(count_filled(row) for row in rows)
    first = [field.strip() for field in rows[0]]
    if first[: len(names)] == list(names) or _is_header(rows, missing_values):
        raise DataError(
            f"row 1 of {file_name} looks like a header ({_list_first(first)}); "
            "leave column_names out, or delete that row."
        )
    if width > len(names):
        raise DataError(f"{file_name} has {width} columns and column_names has {len(names)} names; name each column.")
    return names + ("",) * (len(rows[0]) - len(names))


def _list_first(fields: Sequence[str]) -> str:
    return ", ".join(fields[:4]) + (", ..." if len(fields) > 4 else "")


def _is_header(rows: Rows, missing_values: Collection[str]) -> bool:
    """Return whether the first row has no number, and most columns of numbers have a text there."""
    codes = MISSING_CODES.union(code.lower() for code in missing_values)
    first, *others = [[field.strip() for field in row] for row in rows]
    columns = {index: [row[index] for row in others if index < len(row)] for index in range(len(first))}
    values = {index: [cell for cell in cells if cell.lower() not in codes] for index, cells in columns.items()}
    above = [first[index] for index, cells in values.items() if cells and all(map(looks_like_number, cells))]
    texts = [cell for cell in above if cell.lower() not in codes]
    return len(texts) * 2 > len(above) and not any(map(looks_like_number, first))


def read_header(rows: Rows, lines: Sequence[str], separator: str, name: str, role_names: Collection[str]) -> list[str]:
    """Return the column names of a file, "" for columns without one.

    Args:
        rows: The fields of its first lines.
        lines: These lines.
        separator: Character between the fields.
        name: Name of the file in errors.
        role_names: Names that a column is known to have, such as the target: a line with one of them is a header,
            even if all names are numbers.

    Raises:
        DataError: the first line is no header, or does not fit the rows.
    """
    header, body = [field.strip().removeprefix(_BYTE_ORDER_MARK) for field in rows[0]], rows[1:]
    widest = max((count_filled(row) for row in body), default=0)
    if header[0] == "#" and widest == count_filled(header) - 1:
        header = header[1:]  # as NumPy and gnuplot mark a header
    refuse_lines_above(rows, lines, separator, name)
    if not set(header) & set(role_names):
        _refuse_data_as_header(header, body, name)
    if len(body) > 2 and all(count_filled(row) == len(row) == len(header) + 1 for row in body):
        raise DataError(
            f"each row of {name} has one field more than its header, perhaps a row name"
            + (" or a decimal comma; write decimal commas in quotes, and" if separator == "," else ";")
            + " save it without row names, or add the name to the header."
        )
    if len(header) > 1 and all(re.fullmatch("'.*'", field) for field in header):
        raise DataError(f"the fields of {name} stand in single quotes ({shorten(lines[0])}); write double quotes.")
    if _is_row_of_units(body):
        raise DataError(
            f"the first two lines of {name} are text above numbers (the second is {shorten(', '.join(body[0]))}); "
            "delete the one that does not hold the column names."
        )
    fields = max((len(row) for row in body), default=len(header))
    if any(header[fields:]):
        raise DataError(
            f"the header of {name} has {count_filled(header)} names ({shorten(lines[0])}), and its rows have "
            f"{count_of(fields, 'field')}; name each column, or write the missing fields."
        )
    return header[:fields] + [""] * (fields - len(header) if widest <= len(header) else 0)


def refuse_lines_above(rows: Rows, lines: Sequence[str], separator: str, name: str) -> None:
    """Check that the first line has as many fields as most others.

    Raises:
        DataError: it has fewer, as lines above a header have.
    """
    widths = Counter(count_filled(row) for row in rows[1:])
    usual, count = widths.most_common(1)[0] if widths else (0, 0)
    if not count_filled(rows[0]) < usual or usual < 2 or count * 2 <= len(rows) - 1:
        return
    number, fields = next(
        (number, row)
        for number, row in enumerate((next(csv.reader([line], delimiter=separator), []) for line in lines), 1)
        if count_filled(row) == usual
    )
    if number > 2 or not any(looks_like_number(field.strip()) for field in fields):
        raise DataError(
            f"{name} begins with {shorten(lines[0])}, and its header is line {number} or later; delete the lines above "
            "it."
        )


def refuse_unknown_separator(lines: Sequence[str], name: str) -> None:
    """Refuse a file without any of the usual separators whose lines have another one.

    Raises:
        DataError: each of its first lines has the same number of it.
    """
    lines = [line.strip() for line in lines[:_FIRST_LINES] if line.strip()]
    header, *counts = [len(re.split("[ \t]+", line)) for line in lines]
    # R writes no name above its row names, and NumPy a # before the names
    widths = ({header}, {header + 1}, {header - 1} if lines[0].startswith("#") else {header})
    mark = "space" if header > 1 and counts and set(counts) in widths else _find_other_mark(lines)
    if mark:
        what = "spaces separate" if mark == "space" else f"{mark!r} separates"
        stated = mark if mark.isprintable() else f'"{mark.encode("unicode_escape").decode()}"'
        raise DataError(
            f"{name} has a single column, {shorten(lines[0])}; if {what} its columns give separator={stated}, "
            "otherwise name the separator."
        )


def _find_other_mark(lines: Sequence[str]) -> str:
    """Return the only character, neither letter nor digit, of which each line has as many as the first; "" if none."""
    marks = {mark for mark in lines[0] if not mark.isalnum() and mark not in " \"'_-.+()[]%/" + _BYTE_ORDER_MARK}
    marks = {mark for mark in marks if len(lines) > 2 and len({line.count(mark) for line in lines}) == 1}
    return marks.pop() if len(marks) == 1 else ""


def _refuse_data_as_header(header: Sequence[str], body: Rows, name: str) -> None:
    filled = [field for field in header if field]
    values = [field for field in filled if looks_like_number(field) or _DATE.fullmatch(field)]
    if filled and body and len(values) == len(filled):
        is_numbered = all(field.isdecimal() for field in filled) and len({*filled}) == len(filled)
        raise NoHeaderError(
            f"{name} has no header: its first line is {_list_first(filled)}; "
            "name its columns in column_names, such as column_names=[speed, load, failed]"
            + ("; if that line is its header, replace these numbers by names." if is_numbered else ".")
        )


def _is_row_of_units(body: Rows) -> bool:
    """Return whether the first row has text, and no number, in the columns in which all other rows have numbers."""
    if len(body) < 4:
        return False
    first, *others = body
    numeric = [
        index
        for index in range(len(first))
        if all(index < len(row) and looks_like_number(row[index].strip()) for row in others)
    ]
    cells = [first[index].strip() for index in numeric]
    texts = [cell for cell in cells if cell.lower() not in MISSING_CODES]
    # a unit may stand above some columns only
    return len(texts) > len(cells) // 4 and len(cells) > 1 and not any(looks_like_number(cell) for cell in cells)
