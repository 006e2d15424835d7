"""Times and groups in the rows of a client."""

import math
import re
from datetime import UTC, datetime, timedelta

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.features.definition import FeatureDefinition
from kfp_edge_serving.features.row_history import NewRow, Time
from kfp_edge_serving.json_types import JsonObject

#: Characters of the name of a group; longer ones would make the memory for groups unbounded.
_MAX_GROUP_LENGTH = 256
#: The largest integer up to which a number of JSON is exact.
_LARGEST_EXACT = 2**53
_FRACTION = re.compile(r"(:\d{2})[.,](\d{1,9})(?=[Z+-]|$)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def read_time_and_group(row: JsonObject, number: int, definition: FeatureDefinition) -> NewRow:
    """Return the group and the time of a row.

    Args:
        row: The row.
        number: Its position in the request.
        definition: The definition of the model's features.

    Raises:
        RequestError: one of them is missing or has another form.
    """
    name = definition.time_column
    value = row.get(name)
    time = _read_number(value) if definition.is_numeric_time else _read_timestamp(value)
    if time is None:
        form = "a number" if definition.is_numeric_time else "a timestamp such as '2024-01-31T13:00:00Z'"
        raise RequestError(f"row {number} needs its time in column '{name}', {form}; got {_describe(value)}.")
    return NewRow(_read_group(row, number, definition.group_column), time)


def format_time(time: Time, definition: FeatureDefinition) -> str | Time:
    """Return a time as clients send it."""
    if definition.is_numeric_time:
        return time
    seconds, nanoseconds = divmod(int(time), 10**9)
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat().removesuffix("+00:00")
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    return f"{text}{fraction}Z"


def _read_number(value: object) -> Time | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def _read_timestamp(value: object) -> Time | None:
    """Return nanoseconds since 1970, None if it is no timestamp; one without an offset is in UTC."""
    if not isinstance(value, str):
        return None
    match = _FRACTION.search(value)
    nanoseconds = 0
    if match:
        nanoseconds = int(match[2].ljust(9, "0"))
        value = value[: match.end(1)] + value[match.end(2) :]
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return (moment - _EPOCH) // _MICROSECOND * 1000 + nanoseconds


def _read_group(row: JsonObject, number: int, column: str | None) -> str:
    if column is None:
        return ""
    value = row.get(column)
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_EXACT:
        value = int(value)
    if not isinstance(value, int | float | str) or value != value:  # noqa: PLR0124 - NaN is not itself
        problem = f"needs its group in column '{column}', text or a number; got {_describe(value)}"
        raise RequestError(f"row {number} {problem}.")
    name = str(value)
    if len(name) > _MAX_GROUP_LENGTH:
        raise RequestError(f"row {number} has a group of {len(name)} characters; send at most {_MAX_GROUP_LENGTH}.")
    return name


def _describe(value: object) -> str:
    if value is None:
        return "nothing"
    return repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}..."
