"""Text columns whose cells are numbers, durations or times of day in a form that is not read, and what to do."""

import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.reading.number_notation import find_units

#: `1:30`, `01:30:00.5`, `11:30 PM`, or `18.30.00`, as in some exports; `0 days 00:05:00`, `1h 30m`, `PT5M`.
_DURATION = (
    r"(?i)^([+-]?([0-9]+ days?,? *[+-]?)?[0-9]{1,4}:[0-5][0-9](:[0-5][0-9])?([.,][0-9]+)?( ?[ap]\.? ?m\.?)?"
    r"|[0-2][0-9]\.[0-5][0-9]\.[0-5][0-9]"
    r"|[+-]?[0-9]+ days?"
    r"|[+-]?([0-9]+([.,][0-9]+)? *(days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s),? *){2,}"
    r"|[+-]?P([0-9]+[YMWD])*T([0-9]+([.,][0-9]+)?[HMS])+)$"
)
#: A number as a text: in quotes, or after an apostrophe or = as spreadsheets mark it.
_QUOTED_NUMBER = r"""^(="[+-]?[0-9.,]+"|["'\x{2018}-\x{201D}]+[+-]?[0-9.,]*[0-9]["'\x{2018}-\x{201D}]*)$"""
_MAX_LISTED_UNITS = 5


def holds_durations(cells: pa.ChunkedArray) -> bool:
    """Return whether every cell is a duration or a time of day."""
    return bool(pc.all(pc.match_substring_regex(pc.utf8_trim_whitespace(cells), _DURATION)).as_py())


def find_unread_numbers(column: pa.ChunkedArray, *, has_many_values: bool) -> tuple[str, str] | None:
    """Return what a text column is, and what to do about its cells, where they are numbers in a form that is not read.

    Args:
        column: Its cells.
        has_many_values: Whether it has more values than categories have: numbers with a few units are no names then.
    """
    cells = pc.utf8_trim_whitespace(column.drop_null().unique())
    example = cells[0].as_py() if len(cells) else ""
    units = find_units(cells) if has_many_values else []
    plain_digits = _to_plain_digits(example)
    if holds_durations(cells):
        return (
            f"holds durations or times of day such as {example!r}, which are not read as numbers",
            "write them as numbers, such as seconds",
        )
    if pc.all(pc.match_substring_regex(cells, _QUOTED_NUMBER)).as_py():
        return (
            f"holds numbers that are written as text, such as {example}",
            "write them without the apostrophe, quotes or =",
        )
    if plain_digits != example and pc.all(pc.match_substring_regex(cells, r"^[^0-9]*\p{N}[^0-9]*$")).as_py():
        return (
            f"holds numbers in digits other than 0 to 9, such as {example!r}",
            f"write them in plain digits, such as {plain_digits}",
        )
    if 0 < len(units) <= _MAX_LISTED_UNITS:
        return (
            f"holds numbers with the units {' and '.join(map(repr, units))}",
            "write all of them as numbers in one unit",
        )
    return None


def _to_plain_digits(text: str) -> str:
    return "".join(str(unicodedata.digit(character, character)) for character in unicodedata.normalize("NFKC", text))
