"""Times and groups in the rows of a client."""

import math

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.features.definition import FeatureDefinition
from kfp_edge_serving.features.row_history import NewRow, Time
from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.timestamps import format_timestamp, parse_timestamp

#: Characters of the name of a group; longer ones would make the memory for groups unbounded.
_MAX_GROUP_LENGTH = 256
#: The largest integer up to which a number of JSON is exact.
_LARGEST_EXACT = 2**53


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
    time: Time | None
    if definition.is_numeric_time:
        time = _read_number(value)
    else:
        time = parse_timestamp(value) if isinstance(value, str) else None
    if time is None:
        form = "a number" if definition.is_numeric_time else "a timestamp such as '2024-01-31T13:00:00Z'"
        raise RequestError(f"row {number} needs its time in column '{name}', {form}; got {_describe(value)}.")
    return NewRow(_read_group(row, number, definition.group_column), time)


def format_time(time: Time, definition: FeatureDefinition) -> str | Time:
    """Return a time as clients send it."""
    return time if definition.is_numeric_time else format_timestamp(int(time))


def _read_number(value: object) -> Time | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


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
