"""Read the time column: ISO 8601, or a format that was stated or that its cells leave no doubt about."""

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.columns.schema import Violation, make_violation
from kfp_edge.components.ingest.columns.unread_numbers import holds_durations
from kfp_edge.components.ingest.reading.arrow_columns import find_missing, is_number, to_timestamps
from kfp_edge.errors import ParameterError
from kfp_edge.ml.arrays import Mask

_MONTH_NAME = "[A-Za-z]{3,9}"
#: Dates as numbers with one separator, or with the name of the month. ISO 8601 is tried before.
_DATES = {
    r"\d{1,2}(?P<mark>[./-])\d{1,2}(?P=mark)\d{4}": ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y"),
    r"\d{1,2}(?P<mark>[./-])\d{1,2}(?P=mark)\d{2}": ("%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d"),
    r"\d{4}(?P<mark>[./-])\d{1,2}(?P=mark)\d{1,2}": ("%Y{0}%m{0}%d",),
    rf"\d{{1,2}}(?P<mark>[-/ .]){_MONTH_NAME}(?P=mark)\d{{4}}": ("%d{0}%b{0}%Y", "%d{0}%B{0}%Y"),
    rf"\d{{1,2}}(?P<mark>[-/ .]){_MONTH_NAME}(?P=mark)\d{{2}}": ("%d{0}%b{0}%y", "%d{0}%B{0}%y"),
    rf"{_MONTH_NAME}(?P<mark> )\d{{1,2}}, \d{{4}}": ("%b %d, %Y", "%B %d, %Y"),
}
_CELL = re.compile(
    r"(?P<date>.+?)"
    r"(?:(?P<gap>[ T]|, | - )(?P<time>\d{1,2}:\d{2}(?P<seconds>:\d{2})?(?:[.,]\d{1,9})?)(?P<half> ?[AaPp][Mm])?)?"
)
_ISO_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}([T ]|$)")
#: A name between a day and a year.
_MONTH_IN_WORDS = re.compile(r"\d{1,2}[-/. ]{1,2}([^\W\d]{3,})[-/. ]{1,2}\d{2,4}")
_ENGLISH_MONTHS = frozenset(
    name.casefold() for names in (calendar.month_name, calendar.month_abbr) for name in names if name
)
_HALF_WITH_POINTS = re.compile(r"[AaPp]\. ?[Mm]\.")
#: ISO 8601 with the abbreviation of a time zone, such as CET.
_ZONED = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2}|\d{8})(?P<gap>[ T])\d{2}:\d{2}(?P<seconds>:\d{2})?(?P<fraction>\.\d+)?"
    r"(?P<space> ?)(?P<zone>[A-Z]{3,4})"
)
#: A fraction of a second at the end of a time, which Arrow does not read.
_FRACTION = r":[0-9]{2}[.,](?P<digits>[0-9]{1,9})$"
_OFFSET = r"[0-9]([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
#: A column of dates may have this share of other cells.
_MAX_OTHER_SHARE = 0.1
#: Directives that only pandas reads.
_SLOW_DIRECTIVES = re.compile(r"%[fzZjUWGVuwp]")


@dataclass(frozen=True)
class Times:
    """The cells of a column as timestamps: in UTC if they had an offset, otherwise as they were written."""

    values: pa.ChunkedArray
    has_offsets: bool
    remark: str = ""
    #: The format that was stated or found, then its variants; none where the times are ISO 8601.
    formats: tuple[str, ...] = ()


def read_times(name: str, column: pa.ChunkedArray, time_format: str) -> Times | Violation | None:
    """Return the times of a column, why they are unclear, or None where the column holds other values, such as numbers.

    Args:
        name: Name of the column.
        column: Its cells.
        time_format: The format that was stated, for `strptime`; or "".

    Raises:
        ParameterError: the format cannot be used.
    """
    if time_format and (is_number(column.type) or pa.types.is_string(column.type)):
        return _read_stated(name, column.cast(pa.string()), time_format)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return Times(to_timestamps(column)[0], getattr(column.type, "tz", None) is not None)
    if not pa.types.is_string(column.type) or column.null_count == len(column):
        return None
    first = column.drop_null()[0].as_py().strip()
    is_iso_date = _ISO_DATE.match(first)
    if is_iso_date:
        values, wrong = to_timestamps(column)
        if not wrong.any():
            return _check_offsets(name, column, values)
    else:
        wrong = ~find_missing(column)
    formats = _list_formats(first)
    if formats:
        return _sniff(name, column, first, formats)
    # the `days` of a duration are no month
    has_month = _MONTH_IN_WORDS.search(first) and not holds_durations(column.drop_null())
    looks_like_time = is_iso_date or has_month or _HALF_WITH_POINTS.search(first)
    return _refuse_cells(name, column, wrong, first) if looks_like_time else None


def holds_dates(column: pa.ChunkedArray) -> bool:
    """Return whether nearly all cells of a text column are dates or times with a date, in whatever format."""
    times = read_times("", column, "")
    if isinstance(times, Violation):  # all can be read in two ways, or some cells are something else
        return not times.rows or times.rows <= _MAX_OTHER_SHARE * (len(column) - column.null_count)
    return times is not None


def _check_offsets(name: str, column: pa.ChunkedArray, values: pa.ChunkedArray) -> Times | Violation:
    has_offset = pc.fill_null(pc.match_substring_regex(column, _OFFSET), False).to_numpy()
    # the end of a plain date, 2024-01-31, looks like an offset
    has_offset &= pc.fill_null(pc.match_substring(column, ":"), False).to_numpy()
    lacks = ~has_offset & ~find_missing(column)
    if has_offset.any() and lacks.any():
        remedy = "write every time with its offset, such as 2024-01-31 13:00:00+01:00, or every one without"
        return make_violation(name, "has times with an offset from UTC and is without one", column, lacks, remedy)
    return Times(values, bool(has_offset.any()))


def _read_stated(name: str, column: pa.ChunkedArray, time_format: str) -> Times | Violation:
    values = _parse(column, time_format)
    wrong = find_missing(values) & ~find_missing(column)
    if wrong.any():
        return make_violation(name, f"does not have the time_format {time_format!r}", column, wrong)
    return Times(values, "%z" in time_format, formats=(time_format,))


def is_iso(text: str) -> bool:
    """Return whether a text begins as a date of ISO 8601."""
    return bool(_ISO_DATE.match(text))


def read_like(cells: pa.ChunkedArray, formats: Sequence[str]) -> pa.ChunkedArray:
    """Return the texts that have one of some formats as timestamps, in UTC if it has an offset, null for all others."""
    return _parse_any(pc.utf8_trim_whitespace(cells), formats)


def _refuse_cells(name: str, column: pa.ChunkedArray, wrong: Mask, first: str, time_format: str = "") -> Violation:
    """Return what is wrong with cells that look like times; `first` is the first cell, which may be one of them."""
    example = column[int(np.argmax(wrong))].as_py().strip()
    if re.search(r"[ T]24:00", example):
        return make_violation(name, "has the hour 24", column, wrong, "write it as 00:00 of the next day")
    zoned = _ZONED.fullmatch(example)
    if zoned:
        problem = f"ends with the abbreviation {zoned['zone']} of a time zone, which is no offset from UTC"
        return make_violation(name, problem, column, wrong, _advise_zone(column, zoned))
    if _HALF_WITH_POINTS.search(example):
        return make_violation(name, "has a.m. or p.m. with points", column, wrong, "write AM and PM")
    month = _MONTH_IN_WORDS.search(example)
    if month and month[1].casefold() not in _ENGLISH_MONTHS:
        problem = f"has the month {month[1]!r}, and only English names of months are read"
        return make_violation(name, problem, column, wrong, "write months as numbers, such as 2024-01-31 13:00:00")
    like = "2024-01-31 13:00:00" if example == first else f"{first}{time_format}"
    remedy = "correct these cells, or name the format in time_format"
    if wrong.sum() == len(column) - column.null_count:
        remedy = "name their format in time_format, such as %d.%m.%Y %H:%M"
    return make_violation(name, f"is no timestamp like {like}", column, wrong, remedy)


def _advise_zone(column: pa.ChunkedArray, zoned: re.Match[str]) -> str:
    advice = "save the times with their offset, such as 2024-01-31 13:00:00+01:00"
    if not pc.all(pc.ends_with(pc.utf8_trim_whitespace(column), zoned["space"] + zoned["zone"])).as_py():
        return advice
    day = "%Y-%m-%d" if "-" in zoned["date"] else "%Y%m%d"
    seconds = (":%S" if zoned["seconds"] else "") + (".%f" if zoned["fraction"] else "")
    time_format = f"{day}{zoned['gap']}%H:%M{seconds}{zoned['space']}{zoned['zone']}"
    return f'{advice}, or give time_format="{time_format}"'


def _sniff(name: str, column: pa.ChunkedArray, first: str, formats: list[list[str]]) -> Times | Violation:
    """Read a column with the formats that its first cell allows; only one of them may fit every cell."""
    column = pc.utf8_trim_whitespace(column)
    missing = find_missing(column)
    parsed = {variants[0]: _parse_any(column, variants) for variants in formats}
    complete = {
        time_format: values for time_format, values in parsed.items() if not (find_missing(values) & ~missing).any()
    }
    if not complete:
        time_format, values = max(parsed.items(), key=lambda item: len(item[1]) - item[1].null_count)
        wrong = find_missing(values) & ~missing
        return _refuse_cells(name, column, wrong, first, f" ({time_format})")
    (chosen, values), *others = complete.items()
    other = next((time_format for time_format, its_values in others if not its_values.equals(values)), None)
    if other:
        return Violation(
            name,
            f"holds times such as {first!r}, which can be read in two ways",
            remedy=f'give time_format="{chosen}" or time_format="{other}"',
        )
    reason = "no other format fits all rows" if not others else "other formats give the same times"
    remark = f"time_format {chosen!r} (column {name!r} has {first!r}; {reason})"
    variants = next(variants for variants in formats if variants[0] == chosen)
    return Times(values, False, remark, tuple(variants))


def _list_formats(cell: str) -> list[list[str]]:
    """Return for each reading of a cell its format, then variants without seconds or time, which other cells may have.

    The list is empty if the cell does not look like a date.
    """
    match = _CELL.fullmatch(cell)
    date = next((date for date in _DATES if match and re.fullmatch(date, match["date"])), None)
    if not match or not date:
        return []
    mark = re.findall("[./ -]", match["date"])[0]
    dates = [pattern.format(mark) for pattern in _DATES[date]]
    if not match["time"]:
        return [[pattern] for pattern in dates]
    hours = "%I" if match["half"] else "%H"
    half = " %p" if (match["half"] or "").startswith(" ") else "%p" if match["half"] else ""
    times = [f"{hours}:%M:%S{half}", f"{hours}:%M{half}"]
    if not match["seconds"]:
        times.reverse()
    return [[f"{pattern}{match['gap']}{time}" for time in times] + [pattern] for pattern in dates]


def _parse_any(column: pa.ChunkedArray, formats: Sequence[str]) -> pa.ChunkedArray:
    """Return the times of a column by the first format that fits a cell; a fraction of a second may follow a time."""
    digits = pc.struct_field(pc.extract_regex(column, _FRACTION), "digits")
    has_fractions = digits.null_count < len(digits)
    whole = pc.replace_substring_regex(column, r"(:[0-9]{2})[.,][0-9]{1,9}$", r"\1") if has_fractions else column
    values = _parse(whole, formats[0])
    for time_format in formats[1:]:
        if values.null_count > column.null_count:
            values = pc.coalesce(values, _parse(whole, time_format))
    if not has_fractions:
        return values
    micros = pc.utf8_slice_codeunits(pc.utf8_rpad(digits, 6, "0"), 0, 6).cast(pa.int64())
    return pc.add(values, pc.fill_null(micros, 0).cast(pa.duration("us")))


def _parse(column: pa.ChunkedArray, time_format: str) -> pa.ChunkedArray:
    """Return the cells that fit a format as timestamps, in UTC if it has an offset, null for all others."""
    if _SLOW_DIRECTIVES.search(time_format.replace("%%", "")):
        return _parse_strictly(column, time_format)
    try:
        values = pc.strptime(column, format=time_format, unit="us", error_is_null=True)
    except pa.ArrowInvalid as error:
        raise ParameterError(f"time_format {time_format!r} cannot be used: {error}.") from error
    # strptime takes 31 February for 2 March
    unsure = pc.fill_null(pc.less_equal(pc.day(values), 3), False)
    if not pc.any(unsure).as_py():
        return values
    strict = _parse_strictly(column.filter(unsure), time_format)
    replaced = pc.replace_with_mask(values.combine_chunks(), unsure.combine_chunks(), strict.combine_chunks())
    return pa.chunked_array([replaced])


def _parse_strictly(column: pa.ChunkedArray, time_format: str) -> pa.ChunkedArray:
    distinct = pc.unique(column)
    try:
        times = pd.to_datetime(
            pd.Series(distinct.to_pandas()), format=time_format, errors="coerce", utc="%z" in time_format
        )
    except ValueError as error:
        raise ParameterError(f"time_format {time_format!r} cannot be used: {error}.") from error
    naive = times.dt.tz_convert(None) if times.dt.tz is not None else times
    values = pa.array(naive.astype("datetime64[us]"))
    return pa.chunked_array([values.take(pc.index_in(column, distinct).combine_chunks())])
