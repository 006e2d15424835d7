"""Cron expressions as a KFP backend reads them: six fields, seconds first.

The syntax is that of the Go package `github.com/robfig/cron` 1.2, which the backend uses: `*`, `?`, lists, ranges,
steps, names of months and weekdays, `@daily` and the like; Sunday is 0, and 7 is not a weekday. If both day fields are
restricted, a match of either suffices. That package also accepts five fields, and reads the first as seconds: a line
from a crontab would then mean something other than its author intended. So `Cron.parse`, for what a user gives, refuses
five fields, and whatever else is more likely a mistake; `Cron.read`, for what a server has, reads all that it accepts.
The sync windows of Argo CD are of a later version of that package: the five fields of a crontab, in which the rest is
the same.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice, product

from kfp_edge.errors import ParameterError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: The backend gives up on a schedule that matches no time within so many years.
_YEARS = 5
_DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_EVERY = "@every "
#: A part of a list that means the same to everybody.
_PLAIN_PART = re.compile(r"([*?]|\w+(-\w+)?)(/\d+)?", re.ASCII)
_NUMBER = re.compile(r"\+?[0-9]+")
#: A duration as Go writes it, such as 1h30m.
_DURATION = re.compile(r"\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"([0-9.]+)([a-z\u00b5\u03bc]+)")
_UNIT_SECONDS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "\u00b5s": Decimal("1e-6"),
    "\u03bcs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}


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
        """Parse an expression that a user gives.

        Raises:
            ParameterError: it does not have six fields, a field is invalid, or no time ever matches.
        """
        text = " ".join(text.split())
        if (seconds := parse_every(text)) is not None:
            raise ParameterError(
                f"the cron expression {text!r} is an interval; give it in seconds, as --every {seconds} "
                f"(every={seconds}), instead of cron."
            )
        fields = _split(text)
        if len(fields) != len(_FIELDS):
            hint = f"; is it a line from a crontab? then write '0 {' '.join(fields)}'" if len(fields) == 5 else ""
            raise ParameterError(
                f"the cron expression {text!r} has {len(fields)} fields, and needs six (second, minute, hour, "
                f"day of month, month, day of week){hint}."
            )
        for part, field in zip(fields, _FIELDS, strict=True):
            if not all(map(_PLAIN_PART.fullmatch, part.split(","))):
                raise _field_error(part, field, text)
        cron = cls._of_fields(text, fields)
        if not list(islice(cron.after(datetime.now(UTC)), 1)):
            raise ParameterError(f"the cron expression {text!r} matches no day within {_YEARS} years; correct it.")
        return cron

    @classmethod
    def read(cls, text: str) -> "Cron":
        """Read an expression that a backend has accepted, except `@every`; of five fields, the first is seconds.

        Raises:
            ParameterError: it is not one that a KFP 2.16 backend accepts.
        """
        fields = _split(text)
        if len(fields) not in (5, 6):
            raise ParameterError(f"the cron expression {text!r} is not one that a KFP 2.16 backend accepts.")
        return cls._of_fields(text, [*fields, "*"][: len(_FIELDS)])

    @classmethod
    def _of_fields(cls, text: str, fields: list[str]) -> "Cron":
        numbers = [_parse_field(part, field, text) for part, field in zip(fields, _FIELDS, strict=True)]
        has_open_day = any(_is_open(fields[index]) for index in (3, 5))
        seconds, minutes, hours, days, months, weekdays = numbers
        return cls(text, seconds, minutes, hours, days, months, weekdays, not has_open_day)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after `moment`, in UTC, the earliest first, until the backend would find no next one."""
        moment = moment.astimezone(UTC)
        times_of_day = [
            time(*parts) for parts in product(sorted(self.hours), sorted(self.minutes), sorted(self.seconds))
        ]
        day, last_year = moment.date(), moment.year + _YEARS
        while day.year <= min(last_year, MAXYEAR - 1):
            if self._matches(day):
                for time_of_day in times_of_day:
                    if (each := datetime.combine(day, time_of_day, UTC)) > moment:
                        yield each
                        last_year = day.year + _YEARS
            day += timedelta(days=1)

    def _matches(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        matches = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        return any(matches) if self.either_day else all(matches)


def parse_every(text: str) -> int | None:
    """Return the seconds of `@every 1h30m`, as a backend counts them; None for any other text."""
    if not text.startswith(_EVERY):
        return None
    duration = text.removeprefix(_EVERY)
    if duration.startswith("-") and _DURATION.fullmatch(duration[1:]):
        return 1
    if _DURATION.fullmatch(duration) is None:
        return 1 if duration in ("0", "+0", "-0") else None
    parts = _DURATION_PART.findall(duration)
    return max(1, int(sum(Decimal(number) * _UNIT_SECONDS[unit] for number, unit in parts)))


def _split(text: str) -> list[str]:
    return _DESCRIPTORS.get(text, text).split()


def _is_open(text: str) -> bool:
    return any(part[:1] in ("*", "?") for part in text.split(","))


def _field_error(text: str, field: _Field, expression: str) -> ParameterError:
    return ParameterError(
        f"the {field.name} {text!r} of the cron expression {expression!r} is invalid: it must be within "
        f"{field.minimum}-{field.maximum}, * or ?, or a list, range or step of these."
    )


def _parse_field(text: str, field: _Field, expression: str) -> frozenset[int]:
    try:
        return frozenset(number for part in text.split(",") if part for number in _parse_range(part, field))
    except ValueError as error:
        raise _field_error(text, field, expression) from error


def _parse_range(part: str, field: _Field) -> range:
    """Parse `*`, `5`, `1-5`, or one of them with a `/step`."""
    bounds, slash, step = part.partition("/")
    low, *high = bounds.split("-")
    if low in ("*", "?"):
        # a backend ignores what follows the dash here
        start, end = field.minimum, field.maximum
    else:
        start = _parse_number(low, field)
        end = _parse_number("-".join(high), field) if high else field.maximum if slash else start
    step_width = _parse_digits(step) if slash else 1
    if not field.minimum <= start <= end <= field.maximum or step_width == 0:
        raise ValueError(part)
    return range(start, end + 1, step_width)


def _parse_number(text: str, field: _Field) -> int:
    number = field.names.get(text.lower())
    return _parse_digits(text) if number is None else number


def _parse_digits(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    return int(text)
