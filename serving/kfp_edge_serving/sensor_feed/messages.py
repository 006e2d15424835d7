"""From the payload of a message to a reading: values of columns with their group and time."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from kfp_edge_serving.sensor_feed.settings import SourceSettings
from kfp_edge_serving.timestamps import parse_timestamp

Value = str | int | float | bool | None

#: Characters of the name of a group that the server takes.
_MAX_GROUP_LENGTH = 256
#: Topics whose route is remembered.
_MAX_TOPICS = 10_000
_MISSING = frozenset({"nan", "null", "none", ""})
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1


class MessageError(Exception):
    """A message that is no reading; the message of the error is one sentence that says why."""


@dataclass(frozen=True)
class Reading:
    """Values of columns that were measured at one time, in nanoseconds since 1970; the group is empty if none is."""

    group: str
    time: int
    values: dict[str, Value]


class Route(NamedTuple):
    """What a topic says: its source, the group, and the column of a message that is one value; None if not there."""

    source: SourceSettings
    group: str | None
    column: str | None


class MessageReader:
    """Reads the messages of all sources."""

    def __init__(self, sources: tuple[SourceSettings, ...]) -> None:
        self._sources = sources
        self.find_route = lru_cache(_MAX_TOPICS)(self._find_route)

    def _find_route(self, topic: str) -> Route | None:
        """Return the route by the first source that has the topic, None if it is about no column."""
        for source in self._sources:
            levels = source.topic.match(topic)
            if levels is not None:
                column = source.columns.get(levels["column"]) if "column" in levels else source.column
                is_about_column = column is not None or "column" not in levels
                return Route(source, levels.get("group"), column) if is_about_column else None
        return None

    def read(self, topic: str, payload: bytes, arrival: int) -> Reading | None:
        """Return what a message says, None if it is about no column.

        Args:
            topic: Its topic.
            payload: Its content.
            arrival: When it arrived, in nanoseconds since 1970.

        Raises:
            MessageError: it cannot be read.
        """
        route = self.find_route(topic)
        if route is None:
            return None
        source, group, column = route
        if group is not None and len(group) > _MAX_GROUP_LENGTH:
            raise MessageError(f"its group, a level of the topic, has more than {_MAX_GROUP_LENGTH} characters.")
        if column is not None and source.value_field is None:
            return Reading(group or "", arrival, {column: _read_plain_value(payload)})
        content = _parse_object(payload)
        if column is not None:
            values = {column: find_field(content, source.value_field or "")}
        else:
            values = {name: find_field(content, field) for field, name in source.columns.items()}
        for name, value in values.items():
            if not isinstance(value, Value):
                raise MessageError(f"the value of '{name}' is neither a number nor a text.")
        if source.group_field is not None:
            group = _read_group(content, source.group_field)
        return Reading(group or "", _read_time(content, source, arrival), values)


def _read_plain_value(payload: bytes) -> Value:
    """Return a payload that is one value: a number, true or false, or a text with or without quotes."""
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        raise MessageError("it is neither a number nor text in UTF-8.") from None
    if text.lower() in _MISSING:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    if not isinstance(value, Value):
        raise MessageError("it is JSON, and not one value; name the field with the value in 'value_field'.")
    return value


def _parse_object(payload: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        content = _parse_with_nan(payload, error)
    if not isinstance(content, dict):
        raise MessageError("it is no JSON object.")
    return content


def _parse_with_nan(payload: bytes, error: orjson.JSONDecodeError) -> object:
    """Parse what Python and others write for missing values, which is not JSON; all else is as without them."""
    if b"NaN" not in payload:
        raise MessageError(f"it is not valid JSON: {error}.")
    try:
        content = json.loads(payload, parse_constant=_parse_constant, parse_int=_parse_integer)
        orjson.dumps(content)  # half a surrogate pair is no text
    except (ValueError, TypeError, RecursionError) as second:
        raise MessageError(f"it is not valid JSON: {second}.") from second
    return content


def _parse_integer(text: str) -> int | float:
    """Return an integer of 64 bits, which is what the server takes; a float if it is larger."""
    number = float(text)
    if not _MIN_INTEGER <= number <= _MAX_INTEGER:
        return number
    integer = int(text)
    return integer if _MIN_INTEGER <= integer <= _MAX_INTEGER else number


def _parse_constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is no number")


def find_field(content: Any, path: str) -> Any:
    """Return a field by its name, or by the names that lead to it, separated by dots; None if it is missing."""
    while isinstance(content, dict) and path not in content:
        name, _, path = path.partition(".")
        content = content.get(name)
    return content[path] if isinstance(content, dict) else None


def _read_group(content: dict[str, Any], path: str) -> str:
    value = find_field(content, path)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        raise MessageError(f"its group, '{path}', is neither text nor a number.")
    if len(str(value)) > _MAX_GROUP_LENGTH:
        raise MessageError(f"its group, '{path}', has more than {_MAX_GROUP_LENGTH} characters.")
    return str(value)


def _read_time(content: dict[str, Any], source: SourceSettings, arrival: int) -> int:
    if source.time_field is None:
        return arrival
    value = find_field(content, source.time_field)
    time: int | None = None
    if source.time_unit is None:
        time = parse_timestamp(value) if isinstance(value, str) else None
        form = "a timestamp such as '2024-01-31T13:00:00Z'"
    else:
        time = _scale(value, source.time_unit)
        form = "a number"
    if time is None or not _EARLIEST < time < _LATEST:
        raise MessageError(f"its time, '{source.time_field}', must be {form}.")
    return time


#: Nanoseconds of the years 1 and 9999, which a timestamp can have.
_EARLIEST, _LATEST = -62_135_596_800 * 10**9, 253_402_300_800 * 10**9


def _scale(value: object, unit: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value * unit
    # the whole part by itself, since a product of floats would round a time of today to 256 ns; microseconds are what a
    # float has of it
    if not abs(value) < _LATEST:
        return None
    whole = int(value)
    return whole * unit + round((value - whole) * unit / 1000) * 1000
