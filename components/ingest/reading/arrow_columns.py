"""Conversions of Arrow columns, which also return the cells that cannot be converted."""

from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kfp_edge.ml.arrays import Float64s, Mask

#: Kinds of values that a column can be expected to have.
Kind = Literal["number", "integer", "string", "boolean", "datetime"]

_NUMBER = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"


def is_number(arrow_type: pa.DataType) -> bool:
    """Return whether an Arrow type holds numbers; booleans are not numbers."""
    return bool(pa.types.is_integer(arrow_type) or pa.types.is_floating(arrow_type) or pa.types.is_decimal(arrow_type))


def find_missing(column: pa.ChunkedArray) -> Mask:
    """Return the rows whose cell is missing: null, or NaN."""
    is_null = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
    return np.asarray(is_null.to_numpy(zero_copy_only=False))


def select_none(column: pa.ChunkedArray) -> Mask:
    """Return a mask that selects no row."""
    return np.zeros(len(column), dtype=bool)


def to_float64(column: pa.ChunkedArray) -> Float64s:
    """Return a column of numbers, booleans or decimals as float64, NaN where missing."""
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


def to_timestamps(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Mask]:
    """Return a column as timestamps in UTC without a time zone, and the cells with values that are not timestamps."""
    arrow_type = column.type
    if pa.types.is_timestamp(arrow_type) or pa.types.is_date(arrow_type):
        return column.cast(pa.timestamp("us"), safe=False), select_none(column)
    if not pa.types.is_string(arrow_type):
        return _make_nulls(column, pa.timestamp("us")), ~find_missing(column)
    parsed = pd.to_datetime(pd.Series(column.to_pandas()), format="ISO8601", errors="coerce", utc=True)
    naive = parsed.dt.tz_convert(None).astype("datetime64[us]")
    return pa.chunked_array([pa.array(naive)]), parsed.isna().to_numpy() & ~find_missing(column)


def convert(column: pa.ChunkedArray, kind: Kind) -> tuple[pa.ChunkedArray, Mask]:
    """Return a column as `kind`, and the cells with values that cannot be converted: they are missing in the result."""
    if kind == "datetime":
        return to_timestamps(column)
    if kind == "string":
        is_string = pa.types.is_string(column.type)
        return column.cast(pa.string()), select_none(column) if is_string else ~find_missing(column)
    if kind == "boolean":
        return _to_booleans(column)
    return _to_numbers(column, whole=kind == "integer")


def _to_numbers(column: pa.ChunkedArray, *, whole: bool) -> tuple[pa.ChunkedArray, Mask]:
    missing = find_missing(column)
    if pa.types.is_string(column.type):
        is_numeric = pc.fill_null(pc.match_substring_regex(column, _NUMBER), False)
        column = pc.utf8_trim_whitespace(pc.if_else(is_numeric, column, None)).cast(pa.float64())
        wrong = ~is_numeric.to_numpy() & ~missing
    elif is_number(column.type):
        wrong = select_none(column)
    else:
        return _make_nulls(column, pa.float64()), ~missing
    if whole and not pa.types.is_integer(column.type):
        values = to_float64(column)
        wrong = wrong | (~np.isnan(values) & (values != np.floor(values)))
    return column, wrong


def _to_booleans(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, Mask]:
    if pa.types.is_boolean(column.type):
        return column, select_none(column)
    if is_number(column.type):
        values = to_float64(column)
        true, false = values == 1, values == 0
    elif pa.types.is_string(column.type):
        lower = pc.fill_null(pc.utf8_lower(column), "").to_numpy(zero_copy_only=False)
        true, false = np.isin(lower, ("true", "1", "1.0")), np.isin(lower, ("false", "0", "0.0"))
    else:
        true = false = select_none(column)
    is_boolean = true | false
    return pa.chunked_array([pa.array(true, mask=~is_boolean)]), ~is_boolean & ~find_missing(column)


def _make_nulls(column: pa.ChunkedArray, arrow_type: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.nulls(len(column), arrow_type)])
