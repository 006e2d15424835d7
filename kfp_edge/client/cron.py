"""Cron expressions as a KFP backend reads them: six fields, seconds first.

The rules are those of the Go package `github.com/robfig/cron` 1.2, which the backend uses: `*`, `?`, lists, ranges,
steps, names of months and weekdays; Sunday is 0 and 7 is no day. Where both day fields are restricted, either of them
suffices. That package also takes five fields, and reads the first as the second: a crontab's line would then mean
something else than its author thinks, so five are refused here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, product

from kfp_edge.errors import KfpEdgeError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
#: The backend gives up on a schedule that has no time within so many years.
_YEARS = 5


@dataclass(frozen=True)
class _Field:
    name: str
    least: int
    most: int
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
    """A checked expression: the numbers that each field allows, and whether either of the day fields suffices."""

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
        """Read an expression.

        Raises:
            KfpEdgeError: it has not six fields, a field is wrong, or no time ever fits.
        """
        fields = text.split()
        if len(fields) != len(_FIELDS):
            hint = f"; is it a crontab's line? then write '0 {' '.join(fields)}'" if len(fields) == 5 else ""
            raise KfpEdgeError(
                f"the cron expression {text!r} has {len(fields)} fields, and needs six (second, minute, hour, "
                f"day of month, month, day of week){hint}."
            )
        numbers = [_numbers(part, field, text) for part, field in zip(fields, _FIELDS, strict=True)]
        open_days = any(_is_open(fields[index]) for index in (3, 5))
        seconds, minutes, hours, days, months, weekdays = numbers
        found = cls(" ".join(fields), seconds, minutes, hours, days, months, weekdays, either_day=not open_days)
        if not list(islice(found.after(datetime.now(UTC)), 1)):
            raise KfpEdgeError(f"the cron expression {text!r} names no day within {_YEARS} years; correct it.")
        return found

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after `moment`, in UTC, the earliest first, as far as the backend looks ahead."""
        moment = moment.astimezone(UTC)
        clock = [time(*parts) for parts in product(sorted(self.hours), sorted(self.minutes), sorted(self.seconds))]
        day = moment.date()
        while day.year <= moment.year + _YEARS:
            if self._fits(day):
                times = (datetime.combine(day, part, UTC) for part in clock)
                yield from (found for found in times if found > moment)
            day += timedelta(days=1)

    def _fits(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        fits = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        return any(fits) if self.either_day else all(fits)


def _is_open(text: str) -> bool:
    return any(part[:1] in ("*", "?") for part in text.split(","))


def _numbers(text: str, field: _Field, whole: str) -> frozenset[int]:
    try:
        return frozenset(number for part in text.split(",") for number in _range(part, field))
    except ValueError as error:
        raise KfpEdgeError(
            f"the {field.name} {text!r} of the cron expression {whole!r} is wrong: it must be within "
            f"{field.least}-{field.most}, * or ?, or a list, range or step of these."
        ) from error


def _range(part: str, field: _Field) -> range:
    """Read `*`, `5`, `1-5`, or one of them with a `/step`."""
    bounds, slash, step = part.partition("/")
    low, dash, high = bounds.partition("-")
    if low in ("*", "?") and not dash:
        start, end = field.least, field.most
    else:
        start = _number(low, field)
        end = _number(high, field) if dash else field.most if slash else start
    width = _digits(step) if slash else 1
    if not field.least <= start <= end <= field.most or width == 0:
        raise ValueError(part)
    return range(start, end + 1, width)


def _number(text: str, field: _Field) -> int:
    named = field.names.get(text.lower())
    return _digits(text) if named is None else named


def _digits(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)
