"""The times of a failure log, read so that they can be compared with those of the data."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from kfp_edge.components.ingest.columns import timestamps
from kfp_edge.components.ingest.columns.local_time import localize_times
from kfp_edge.components.ingest.columns.schema import Violation
from kfp_edge.components.ingest.reading.arrow_columns import find_missing, is_number, to_float64
from kfp_edge.errors import DataError

_REMEDY = "write them like those of the time column, or as ISO 8601, such as 2024-01-31 13:00"


@dataclass(frozen=True)
class DataTimes:
    """What is known about the times of the data."""

    column: str
    #: Whether the zone of the times was known, so that they are in UTC.
    has_utc_times: bool = False
    #: The format of the time column and its variants; none where it is ISO 8601.
    formats: tuple[str, ...] = ()
    #: IANA name of the zone of times without an offset, "" for UTC.
    time_zone: str = ""


def holds_times(column: pa.ChunkedArray, formats: Sequence[str]) -> bool:
    """Return whether a column holds timestamps, also such as can be read in two ways."""
    if len(column) == column.null_count:
        return False
    return _read_like_data(column, formats) is not None or timestamps.holds_dates(column)


def read_log_times(
    log: str, name: str, column: pa.ChunkedArray, data: DataTimes, *, is_number_expected: bool
) -> tuple[pd.Series, list[str]]:
    """Return the times of a column in the type and the zone of the data's times, and what a reviewer should know.

    Args:
        log: Name of the log, for messages.
        name: Name of the column.
        column: Its cells; missing ones stay missing.
        data: What is known about the times of the data.
        is_number_expected: Whether the time column of the data holds numbers.

    Raises:
        DataError: the cells are no times, can be read in two ways, or are of another kind than those of the data.
    """
    where = f"column {name!r} of the failure log {log}"
    if is_number_expected:
        if not is_number(column.type):
            raise DataError(
                f"{where} holds no numbers, and {data.column!r} of the data does; write the times of failures in the "
                f"units of {data.column!r}."
            )
        return pd.Series(to_float64(column)), []
    like_data = _read_like_data(column, data.formats)
    times = like_data or timestamps.read_times(name, column, "")
    if isinstance(times, Violation):
        remedy = times.remedy if times.rows else _REMEDY
        raise DataError(f"the failure log {log}: {_describe(times)}; {remedy or _REMEDY}.")
    if times is None:
        raise DataError(f"{where} holds no times, such as {_find_example(column)}; {_REMEDY}.")
    values = pd.Series(times.values.to_pandas()).astype("datetime64[us]")
    if data.time_zone and not times.has_offsets:
        values = localize_times(values, data.time_zone)
    return values, _warn_of_zones(where, data, has_offsets=times.has_offsets)


def _read_like_data(column: pa.ChunkedArray, formats: Sequence[str]) -> timestamps.Times | None:
    """Return the times of a column that all have the format of the time column, else None."""
    if not formats or not pa.types.is_string(column.type):
        return None
    values = timestamps.read_like(column, formats)
    if (find_missing(values) & ~find_missing(column)).any():
        return None
    return timestamps.Times(values, "%z" in formats[0])


def _describe(violation: Violation) -> str:
    """Return what is wrong with a column, without what to do."""
    return str(violation).removesuffix(f"; {violation.remedy}") if violation.remedy else str(violation)


def _find_example(column: pa.ChunkedArray) -> str:
    present = column.drop_null()
    return repr(present[0].as_py()) if len(present) else "nothing at all"


def _warn_of_zones(where: str, data: DataTimes, *, has_offsets: bool) -> list[str]:
    if data.has_utc_times and not has_offsets and not data.time_zone:
        return [
            f"{where} has times without an offset from UTC, which are taken as UTC; if they are local times give "
            "time_zone"
        ]
    if has_offsets and not data.has_utc_times:
        return [
            f"{where} has times with an offset from UTC, and {data.column!r} of the data has none, so its times are "
            "taken as UTC; if they are local times give time_zone"
        ]
    return []


def find_days_only(where: str, times: pd.Series, data_times: pd.Series) -> list[str]:
    """Return a warning where failures have a day without a time of day, and rows have one."""
    if not pd.api.types.is_datetime64_dtype(times):
        return []
    if (times == times.dt.normalize()).all() and (data_times != data_times.dt.normalize()).any():
        return [f"{where} has days without a time of day: failures count from 00:00 on"]
    return []
