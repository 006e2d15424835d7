"""Give the columns of a table their kinds as the parameters state or their cells show, and state what was changed."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.components.ingest.columns import local_time, timestamps
from kfp_edge.components.ingest.columns.schema import ColumnExpectation, Violation, make_violation
from kfp_edge.components.ingest.columns.text_cells import ColumnReadings
from kfp_edge.components.ingest.columns.text_columns import TextRules, read_text_columns, remove_missing_numbers
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.components.ingest.reading.arrow_columns import find_missing, is_number, to_float64
from kfp_edge.components.ingest.reading.sources import SourceTable
from kfp_edge.errors import ParameterError

#: A single value at the edge of a column that makes this share of it may be a code for missing values, and so may a
#: number that customarily is one and makes less of it.
_MIN_CODE_SHARE, _MIN_CUSTOMARY_SHARE = 0.05, 0.005
#: The least distance of a code from all other values, in multiples of their range.
_MIN_CODE_DISTANCE, _MIN_CUSTOMARY_DISTANCE = 1.0, 0.1
#: Nines only, the limits of integers, and what well logs use.
_CUSTOMARY_CODE = re.compile(r"-?9{2,}(\.9+)?|-32768|32767|65535|-?2147483648|2147483647|-999\.25")
_MIN_OTHER_VALUES, _MIN_CODE_ROWS = 10, 2
#: 64 bits hold every whole number of fewer digits.
_MIN_LONG_DIGITS = 19


def convert_columns(
    source: SourceTable, options: IngestOptions, expectations: Mapping[str, ColumnExpectation]
) -> tuple[SourceTable, list[Violation]]:
    """Return the data with every column in its kind and the missing values missing, and what is unclear in it.

    Raises:
        ParameterError: a parameter does not fit the time column.
    """
    kinds = {name: rules.kind for name, rules in expectations.items()}
    left_as_text = {name for name, kind in kinds.items() if kind in ("string", "boolean", "datetime")}
    table = _name_groups(source.table, options.group_column)
    result = ColumnReadings(_keep_digits(table, (options.target, options.group_column)))
    groups = _number_groups(source, options.group_column) if options.time_column else None
    has_times = _read_time_column(result, options, groups)
    times = {options.time_column} if has_times else set()
    if options.target in result.table.column_names and _has_exact_digits(result.table.column(options.target)):
        left_as_text.add(options.target)
    rules = TextRules(
        options.table_format,
        text_columns=left_as_text | {options.group_column},
        number_columns={name for name, kind in kinds.items() if kind in ("number", "integer")},
        target=options.target,
        is_typed=source.is_typed,
        uses_decimal_comma=source.uses_decimal_comma,
    )
    text = read_text_columns(result.table, rules, times | set(options.drop))
    table = remove_missing_numbers(text.table, options.table_format.missing_values)
    not_features = {*options.role_columns.values(), *options.drop}
    warnings = [
        warning for name in table.column_names if name not in not_features for warning in _find_codes(table, name)
    ]
    remarks = (*source.remarks, *result.remarks, *text.remarks)
    converted = dataclasses.replace(
        source,
        table=table,
        remarks=remarks,
        warnings=(*source.warnings, *warnings),
        time_formats=result.time_formats,
        has_utc_times=result.has_utc_times,
    )
    return converted, result.violations + text.violations


def find_times_without_role(table: pa.Table, options: IngestOptions) -> list[str]:
    """Return the columns of timestamps that are neither dropped nor have a role: they are no features."""
    names = set(table.column_names) - {*options.role_columns.values(), *options.drop}
    return [
        name
        for name in table.column_names
        if name in names and (_holds_timestamps(table.column(name).type) or timestamps.holds_dates(table.column(name)))
    ]


def _name_groups(table: pa.Table, group_column: str) -> pa.Table:
    """Return the table with groups that are days, times, booleans or fractions as text, and 7.0 as an integer."""
    if group_column not in table.column_names:
        return table
    column = table.column(group_column)
    if pa.types.is_temporal(column.type) or pa.types.is_boolean(column.type):
        column = column.cast(pa.string())
    elif pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        try:
            column = column.cast(pa.int64())
        except pa.ArrowInvalid:  # fractions, or more digits, as text
            column = column.cast(pa.string())
    return table.set_column(table.column_names.index(group_column), group_column, column)


def _has_exact_digits(column: pa.ChunkedArray) -> bool:
    """Return whether a text column holds whole numbers that no signed integer holds, or with zeros in front."""
    if not pa.types.is_string(column.type) or not pc.all(pc.match_substring_regex(column, "^[+-]?[0-9]+$")).as_py():
        return False
    has_leading_zeros = pc.any(pc.match_substring_regex(column, "^[+-]?0[0-9]")).as_py()
    return bool(has_leading_zeros or pc.max(pc.utf8_length(column)).as_py() >= _MIN_LONG_DIGITS)


def _keep_digits(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the table with the labels and groups that no signed integer holds as text."""
    for name in names:
        if name in table.column_names and pa.types.is_uint64(table.column(name).type):
            column = table.column(name)
            if (pc.max(column).as_py() or 0) >= 2**63:
                table = table.set_column(table.column_names.index(name), name, column.cast(pa.string()))
    return table


def _holds_timestamps(arrow_type: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(arrow_type) or pa.types.is_date(arrow_type))


def _read_time_column(result: ColumnReadings, options: IngestOptions, groups: local_time.Order | None) -> bool:
    """Put the times of the time column, in UTC, in its place; return False if it holds no times."""
    name, table_format = options.time_column, options.table_format
    if name not in result.table.column_names:
        return False
    times = timestamps.read_times(name, result.table.column(name), table_format.time_format)
    if isinstance(times, Violation):
        result.violations.append(times)
        return True
    if times is None:
        if table_format.time_zone and is_number(result.table.column(name).type):
            raise ParameterError(f"time_zone is for timestamps, and {name!r} holds numbers; leave time_zone out.")
        return False
    result.time_formats = times.formats
    if times.remark:
        result.remarks.append(times.remark)
    values = times.values
    result.has_utc_times = times.has_offsets or bool(table_format.time_zone)
    if not times.has_offsets and not find_missing(values).any():
        values = _resolve_local_time(name, values, result, options, groups)
    result.replace(name, values)
    return True


def _resolve_local_time(
    name: str,
    values: pa.ChunkedArray,
    result: ColumnReadings,
    options: IngestOptions,
    groups: local_time.Order | None,
) -> pa.ChunkedArray:
    """Return local times in UTC where their zone is known; times of an hour that occurs twice are refused without."""
    times = values.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    zone = options.table_format.time_zone
    written = result.table.column(name)
    if not zone:
        doubled = local_time.find_doubled_hour(times, groups)
        if doubled is not None:
            is_row = np.arange(len(times)) == doubled.row
            problem = "goes back in time as local clocks do at the end of daylight saving time"
            remedy = f"give its zone, such as time_zone={doubled.zone}"
            result.violations.append(make_violation(name, problem, written, is_row, remedy))
        return values
    utc = local_time.to_utc(times, groups, zone)
    for rows, problem, remedy in (
        (
            utc.skipped,
            f"has times that {zone} skips when clocks are set forward",
            "leave time_zone out if these times are UTC",
        ),
        (
            utc.unclear,
            f"lies in the hour that occurs twice in {zone}, and the order of the rows does not show which one it is",
            "save the times with their offset from UTC",
        ),
    ):
        if rows.any():
            result.violations.append(make_violation(name, problem, written, rows, remedy))
    result.remarks.append(f"column {name!r}: local times of {zone}, read as UTC")
    return pa.chunked_array([pa.array(utc.values)])


def _number_groups(source: SourceTable, group_column: str) -> local_time.Order | None:
    """Return the number of the group of each row, or of its file in a folder without a group column."""
    if group_column in source.table.column_names:
        encoded = pc.dictionary_encode(source.table.column(group_column)).combine_chunks()
    elif source.file_names is not None:
        encoded = source.file_names.combine_chunks()
    else:
        return None
    return np.asarray(pc.fill_null(encoded.indices, -1).to_numpy(), dtype=np.int64)


def _find_codes(table: pa.Table, name: str) -> list[str]:
    """Return a warning if one value far outside all others is as frequent as a code for missing values."""
    column = table.column(name)
    if not is_number(column.type):
        return []
    limits = pc.min_max(column)
    values = to_float64(column)
    for limit in (limits["min"].as_py(), limits["max"].as_py()):
        if limit is None:
            continue
        is_limit = values == float(limit)
        share = is_limit.mean()
        is_customary = bool(_CUSTOMARY_CODE.fullmatch(f"{limit:.15g}"))
        min_share = _MIN_CUSTOMARY_SHARE if is_customary else _MIN_CODE_SHARE
        others = values[~is_limit & np.isfinite(values)]
        if share < min_share or is_limit.sum() < _MIN_CODE_ROWS or len(np.unique(others[:1000])) < _MIN_OTHER_VALUES:
            continue
        low, high = others.min(), others.max()
        distance = low - limit if limit < low else limit - high
        min_distance = _MIN_CUSTOMARY_DISTANCE if is_customary else _MIN_CODE_DISTANCE
        if distance > min_distance * (high - low):
            return [
                f"column {name!r} is {_format_exactly(limit)} in {share * 100:.2g}% of its rows, far outside all other "
                f"values ({low:g} to {high:g}); if that means missing, give missing_values=[{_format_exactly(limit)}]"
            ]
    return []


def _format_exactly(number: float) -> str:
    """Return a number without needless digits, and with as many as it takes to read the same one back."""
    text = f"{number:.15g}"
    return text if float(text) == number else repr(number)
