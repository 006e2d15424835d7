"""Cron expressions as a KFP backend reads them: six fields, seconds first.

The syntax is that of the Go package `github.com/robfig/cron` 1.2, which the backend uses: `*`, `?`, lists, ranges,
steps, names of months and weekdays; Sunday is 0, and 7 is not a weekday. If both day fields are restricted, a match of
either suffices. That package also accepts five fields, and reads the first as seconds: a line from a crontab would then
mean something other than its author intended, so five fields are refused here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, product

from kfp_edge.errors import ParameterError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: The backend gives up on a schedule that matches no time within so many years.
_YEARS = 5


@dataclass(frozen=True)
class _Field:
    name: str
    minimum: int
    maximum: int
    names: Mapping[str, int]


_FIELDS = (
    _Field("second", 0, 59, {}),
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    _Field("day of week", 0, 6, {name: number for number, name in enumerate(_WEEKDAYS)}),
)


@dataclass(frozen=True)
class Cron:
    """A parsed expression: the numbers that each field matches, and whether a match of either day field suffices."""

    text: str
    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @classmethod
    def parse(cls, text: str) -> "Cron":
        """Parse an expression.

        Raises:
            ParameterError: it does not have six fields, a field is invalid, or no time ever matches.
        """
        fields = text.split()
        if len(fields) != len(_FIELDS):
            hint = f"; is it a line from a crontab? then write '0 {' '.join(fields)}'" if len(fields) == 5 else ""
            raise ParameterError(
                f"the cron expression {text!r} has {len(fields)} fields, and needs six (second, minute, hour, "
                f"day of month, month, day of week){hint}."
            )
        numbers = [_parse_field(part, field, text) for part, field in zip(fields, _FIELDS, strict=True)]
        has_open_day = any(_is_open(fields[index]) for index in (3, 5))
        seconds, minutes, hours, days, months, weekdays = numbers
        cron = cls(" ".join(fields), seconds, minutes, hours, days, months, weekdays, either_day=not has_open_day)
        if not list(islice(cron.after(datetime.now(UTC)), 1)):
            raise ParameterError(f"the cron expression {text!r} matches no day within {_YEARS} years; correct it.")
        return cron

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after `moment`, in UTC, the earliest first, as far as the backend looks ahead."""
        moment = moment.astimezone(UTC)
        times_of_day = [
            time(*parts) for parts in product(sorted(self.hours), sorted(self.minutes), sorted(self.seconds))
        ]
        day = moment.date()
        while day.year <= moment.year + _YEARS:
            if self._matches(day):
                times = (datetime.combine(day, time_of_day, UTC) for time_of_day in times_of_day)
                yield from (each for each in times if each > moment)
            day += timedelta(days=1)

    def _matches(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        matches = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        return any(matches) if self.either_day else all(matches)


def _is_open(text: str) -> bool:
    return any(part[:1] in ("*", "?") for part in text.split(","))


def _parse_field(text: str, field: _Field, expression: str) -> frozenset[int]:
    try:
        return frozenset(number for part in text.split(",") for number in _parse_range(part, field))
    except ValueError as error:
        raise ParameterError(
            f"the {field.name} {text!r} of the cron expression {expression!r} is invalid: it must be within "
            f"{field.minimum}-{field.maximum}, * or ?, or a list, range or step of these."
        ) from error


def _parse_range(part: str, field: _Field) -> range:
    """Parse `*`, `5`, `1-5`, or one of them with a `/step`."""
    bounds, slash, step = part.partition("/")
    low, dash, high = bounds.partition("-")
    if low in ("*", "?") and not dash:
        start, end = field.minimum, field.maximum
    else:
        start = _parse_number(low, field)
        end = _parse_number(high, field) if dash else field.maximum if slash else start
    step_width = _parse_digits(step) if slash else 1
    if not field.minimum <= start <= end <= field.maximum or step_width == 0:
        raise ValueError(part)
    return range(start, end + 1, step_width)


def _parse_number(text: str, field: _Field) -> int:
    number = field.names.get(text.lower())
    return _parse_digits(text) if number is None else number


def _parse_digits(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)
