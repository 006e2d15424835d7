"""Durations in parameters: `24h`, `7d`, `30min`, or a number in the units of a time column that holds numbers."""

import re
from dataclasses import dataclass

from kfp_edge.errors import ParameterError

_UNITS = {
    "s": ("s", "sec", "second", "seconds"),
    "min": ("min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "wk", "week", "weeks"),
}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>[A-Za-z]*)")


@dataclass(frozen=True)
class Duration:
    """A length of time, or of a time column that holds numbers, such as cycles."""

    number: float
    #: s, min, h, d or w; "" for a number in the units of the time column.
    unit: str

    def __str__(self) -> str:
        return f"{self.number:g}{self.unit}"

    @property
    def value(self) -> float:
        """The duration as what is added to a time: microseconds, or units of the time column."""
        return float(round(self.number * _SECONDS[self.unit] * 1_000_000)) if self.unit else self.number

    @property
    def length(self) -> float:
        """The duration in hours, or in the units of the time column."""
        return self.number * _SECONDS[self.unit] / 3600 if self.unit else self.number

    def check_suits(self, parameter: str, time_column: str, *, is_number: bool) -> None:
        """Check that the duration can be added to the times of a column.

        Raises:
            ParameterError: it is a number and the column holds timestamps, or the other way round.
        """
        if is_number and self.unit:
            raise ParameterError(
                f"{parameter}={self} is a duration, and {time_column!r} holds numbers; give a number in their units, "
                f"such as {parameter}=30."
            )
        if not is_number and not self.unit:
            raise ParameterError(
                f"{parameter}={self} is a number without a unit, and {time_column!r} holds timestamps; give a "
                f"duration, such as {parameter}=24h."
            )


def parse_duration(parameter: str, text: str) -> Duration:
    """Parse the value of a parameter.

    Raises:
        ParameterError: it is neither a number nor a duration, or it is zero.
    """
    match = _DURATION.fullmatch(text.strip())
    unit = None
    if match:
        unit = next((unit for unit, names in _UNITS.items() if match["unit"].lower() in names), None)
        unit = "" if not match["unit"] else unit
    if match is None or unit is None or not float(match["number"]):
        raise ParameterError(
            f"{parameter} is {text!r}; give a duration such as 30min, 24h or 7d, or a number above 0 in the units of "
            "the time column."
        )
    return Duration(float(match["number"]), unit)
