"""From readings to rows: each reading is one, or a row comes with a column, or at a fixed interval.

What comes out depends on the readings and the clock that are put in and on nothing else, so that a feed that was
killed gets the same rows from the same log.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from kfp_edge_serving.sensor_feed.messages import Reading, Value
from kfp_edge_serving.sensor_feed.settings import SECOND, RowSettings

Group = TypeVar("Group")

#: Groups whose last values are kept; of more, the one that was silent for the longest is forgotten.
_MAX_GROUPS = 10_000
#: How long a row at an interval waits for messages that are on their way.
_GRACE = SECOND


@dataclass(frozen=True)
class Row:
    """The values of one row of a group, by column; the time is in nanoseconds since 1970."""

    group: str
    time: int
    values: dict[str, Value]


class Assembler(Protocol):
    """Makes rows of readings."""

    #: Rows that were left out because a column had no value.
    skipped: int

    def add(self, reading: Reading, clock: int) -> list[Row]:
        """Return the rows that a reading completes; `clock` is the feed's own, in nanoseconds."""

    def advance(self, clock: int) -> list[Row]:
        """Return the rows that are due without another reading."""

    @property
    def due(self) -> int | None:
        """The clock from which on `advance` may return rows, None if another reading has to come first."""


def create_assembler(settings: RowSettings) -> Assembler:
    """Return what the settings ask for."""
    if settings.every is not None:
        return IntervalRows(settings, settings.every)
    if settings.trigger is not None:
        return TriggeredRows(settings, settings.trigger)
    return ReadingRows(settings)


class _Groups(Generic[Group]):
    """Something for each group, of those that were heard of last."""

    def __init__(self, create: Callable[[], Group]) -> None:
        self._create = create
        self._groups: OrderedDict[str, Group] = OrderedDict()

    def get(self, name: str) -> Group:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = self._create()
            if len(self._groups) > _MAX_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(name)
        return group

    def items(self) -> list[tuple[str, Group]]:
        return list(self._groups.items())


class _Assembler:
    """What all three have: columns, of which some may have no value."""

    def __init__(self, settings: RowSettings) -> None:
        self._columns = settings.columns
        self._required = frozenset(settings.columns) - settings.optional
        self._max_age = settings.max_age
        self.skipped = 0

    def advance(self, clock: int) -> list[Row]:
        return []

    @property
    def due(self) -> int | None:
        return None

    def _make_row(self, group: str, time: int, values: dict[str, Value]) -> list[Row]:
        """Return the row, or none if a column that needs a value has none."""
        if any(values.get(column) is None for column in self._required):
            self.skipped += 1
            return []
        return [Row(group, time, {column: values.get(column) for column in self._columns})]


class ReadingRows(_Assembler):
    """Each reading is a row."""

    def add(self, reading: Reading, clock: int) -> list[Row]:
        return self._make_row(reading.group, reading.time, reading.values)


@dataclass
class _LastValues:
    """The last value of each column and its time."""

    values: dict[str, tuple[Value, int]] = field(default_factory=dict)

    def update(self, reading: Reading) -> None:
        for column, value in reading.values.items():
            self.values[column] = (value, reading.time)

    def at(self, time: int, max_age: int) -> dict[str, Value]:
        """Return the values that count at a time."""
        return {column: value for column, (value, at) in self.values.items() if 0 <= time - at <= max_age}


class TriggeredRows(_Assembler):
    """A value of one column makes a row with the last values of the others."""

    def __init__(self, settings: RowSettings, trigger: str) -> None:
        super().__init__(settings)
        self._trigger = trigger
        self._groups = _Groups(_LastValues)

    def add(self, reading: Reading, clock: int) -> list[Row]:
        last = self._groups.get(reading.group)
        last.update(reading)
        if reading.values.get(self._trigger) is None:
            return []
        return self._make_row(reading.group, reading.time, last.at(reading.time, self._max_age))


@dataclass
class _Interval(_LastValues):
    """The last values of a group, and how far its rows have come.

    Attributes:
        time: The time of its last reading.
        clock: The clock when that came.
        passed: The time of its last interval that is over.
        emitted: The time of its last row, None if there is none.
    """

    time: int = 0
    clock: int = 0
    passed: int | None = None
    emitted: int | None = None


class IntervalRows(_Assembler):
    """A row at each multiple of an interval, with the last values that were measured until then.

    Time is that of the readings: what waited at a broker gives the rows that it would have given at once. Where no
    reading comes, a group's time goes on with the clock of the feed, which stands still without a connection.
    """

    def __init__(self, settings: RowSettings, every: int) -> None:
        super().__init__(settings)
        self._every = every
        self._grace = min(_GRACE, every // 2)
        self._groups = _Groups(_Interval)
        self._due: int | None = None

    def add(self, reading: Reading, clock: int) -> list[Row]:
        group = self._groups.get(reading.group)
        self._go_back(group, reading.time)
        rows = self._pass_until(reading.group, group, reading.time - 1)
        group.update(reading)
        group.time, group.clock = reading.time, clock
        due = self._find_due(group)
        if due is not None:
            self._due = due if self._due is None else min(due, self._due)
        return rows

    def advance(self, clock: int) -> list[Row]:
        if self._due is None or clock < self._due:
            return []
        rows = []
        self._due = None
        for name, group in self._groups.items():
            rows += self._pass_until(name, group, group.time + clock - group.clock - self._grace)
            due = self._find_due(group)
            if due is not None:
                self._due = due if self._due is None else min(due, self._due)
        return rows

    @property
    def due(self) -> int | None:
        return self._due

    def _go_back(self, group: _Interval, time: int) -> None:
        """Go back to the interval of an earlier reading, but not behind the last row.

        Intervals without rows pass while messages wait elsewhere, such as at a bridge. A reading that is earlier than
        all values of the last row means that somebody has set back the clock of the machine.
        """
        if group.emitted is not None and time < group.emitted - self._max_age:
            group.emitted = None
            group.values.clear()
        before = (time - 1) // self._every * self._every
        if group.passed is None or group.emitted is None:
            group.passed = before if group.passed is None else min(group.passed, before)
        else:
            group.passed = min(group.passed, max(group.emitted, before))

    def _pass_until(self, name: str, group: _Interval, end: int) -> list[Row]:
        """Return the rows of the intervals until `end`, the last of which may be at `end` itself."""
        assert group.passed is not None
        rows: list[Row] = []
        last = end // self._every * self._every
        complete_until, some_until = self._freshness(group)
        time = group.passed + self._every
        while time <= min(last, complete_until):
            row = self._make_row(name, time, group.at(time, self._max_age))
            group.emitted = time if row else group.emitted
            rows += row
            time += self._every
        # of what is left, no row can be complete; where all sensors are silent, none is missed either
        self.skipped += max(0, min(last, some_until) // self._every - time // self._every + 1)
        group.passed = max(group.passed, last)
        return rows

    def _freshness(self, group: _Interval) -> tuple[int, int]:
        """Return until when all columns that need a value have one, and until when any column has one."""
        times = [at + self._max_age for value, at in group.values.values() if value is not None]
        if not times:
            return -(2**63), -(2**63)
        if any(group.values.get(column, (None, 0))[0] is None for column in self._required):
            return -(2**63), max(times)
        required = [group.values[column][1] + self._max_age for column in self._required]
        return min(required, default=max(times)), max(times)

    def _find_due(self, group: _Interval) -> int | None:
        """Return the clock at which the next row of a group is due, None if a reading has to come first."""
        assert group.passed is not None
        time = group.passed + self._every
        if time > self._freshness(group)[0]:
            return None
        return group.clock + time - group.time + self._grace
