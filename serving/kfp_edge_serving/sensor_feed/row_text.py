"""Rows as the server takes them, and predictions as they are published."""

from typing import Any

import orjson

from kfp_edge_serving.sensor_feed.rows import Row
from kfp_edge_serving.sensor_feed.settings import RowSettings
from kfp_edge_serving.timestamps import format_timestamp

#: Whole numbers below it have 64 bits at most.
_INTEGERS = 2**63


class RowEncoder:
    """Writes rows with the columns of time and group that a model has."""

    def __init__(self, settings: RowSettings) -> None:
        self._settings = settings

    def encode(self, row: Row) -> bytes:
        """Return a row as a JSON object."""
        settings = self._settings
        content: dict[str, Any] = {}
        if settings.time_column is not None:
            content[settings.time_column] = self.format_time(row)
        if settings.group_column is not None:
            content[settings.group_column] = row.group
        return orjson.dumps(content | row.values)

    def format_time(self, row: Row) -> str | int | float:
        """Return the time of a row as its column has it."""
        unit = self._settings.time_unit
        if unit is None:
            return format_timestamp(row.time)
        whole, rest = divmod(row.time, unit)
        # a time of the year 9000 in nanoseconds is no integer that JSON has here
        return whole if rest == 0 and abs(whole) < _INTEGERS else row.time / unit
