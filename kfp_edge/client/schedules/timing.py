"""When a schedule runs: by cron or by an interval, from a start to an end, and how many runs at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

import kfp_server_api
from kfp_server_api import V2beta1RecurringRun, V2beta1Trigger

from kfp_edge.cron import Cron, parse_every
from kfp_edge.errors import ParameterError

_CONCURRENCY = range(1, 11)  # what a backend accepts
#: Five years, as far as a backend looks for the next time of a cron expression.
_LONGEST_INTERVAL = 5 * 365 * 24 * 3600


@dataclass(frozen=True)
class Timing:
    """The trigger of a recurring run, and what happens when its runs overlap or were missed.

    Attributes:
        cron: the expression; empty for an interval.
        every: seconds between two runs; 0 for cron. With neither, there is one run, at the start.
        start: no run is started before; None if it is not limited.
        end: no run is started after; None if it is not limited.
        concurrency: how many of its runs may run at the same time.
        catch_up: whether missed runs are started afterwards, one by one.
    """

    cron: str = ""
    every: int = 0
    start: datetime | None = None
    end: datetime | None = None
    concurrency: int = 1
    catch_up: bool = False

    @classmethod
    def checked(cls, cron: str, every: int, concurrency: int, catch_up: bool) -> "Timing":
        """Check the values that a user gives.

        Raises:
            ParameterError: cron and interval are both given or neither, or a value is out of range.
        """
        if bool(cron) == bool(every):
            given = "has both a cron expression and" if cron else "needs either a cron expression or"
            remedy = "leave one of them out" if cron else "give one of them"
            raise ParameterError(f"a schedule {given} an interval; {remedy}.")
        if every < 0:
            raise ParameterError(f"the interval of a schedule must be at least one second, not {every}.")
        if every > _LONGEST_INTERVAL:
            raise ParameterError(
                f"the interval of a schedule must be at most {_LONGEST_INTERVAL} seconds (five years), not {every}."
            )
        if concurrency not in _CONCURRENCY:
            raise ParameterError(f"the concurrency of a schedule must be 1 to {_CONCURRENCY[-1]}, not {concurrency}.")
        return cls(Cron.parse(cron).text if cron else "", every, concurrency=concurrency, catch_up=catch_up)

    @classmethod
    def of(cls, recurring_run: V2beta1RecurringRun) -> "Timing":
        """Return the timing of any recurring run, also of one that others have made."""
        trigger = recurring_run.trigger or V2beta1Trigger()
        cron, interval = trigger.cron_schedule, trigger.periodic_schedule
        limits = cron or interval
        return cls(
            cron=cron.cron if cron is not None else "",
            every=int(interval.interval_second) if interval is not None else 0,
            start=limits.start_time if limits is not None else None,
            end=limits.end_time if limits is not None else None,
            concurrency=int(recurring_run.max_concurrency or 1),
            catch_up=not recurring_run.no_catchup,
        )

    def trigger(self) -> V2beta1Trigger:
        """Return KFP's trigger."""
        limits = {"start_time": self.start, "end_time": self.end}
        if self.cron:
            return V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=self.cron, **limits))
        interval = kfp_server_api.V2beta1PeriodicSchedule(interval_second=str(self.every), **limits)
        return V2beta1Trigger(periodic_schedule=interval)

    def times(self, after: datetime, last: datetime) -> Iterator[datetime]:
        """Yield the times after `after`, between start and end, as a backend's controller computes them.

        Args:
            after: The moment before the first time that is wanted.
            last: Where an interval counts from: the time of the last run or, before the first one, the start or, if
                there is none, when the schedule was created.

        Raises:
            ParameterError: the cron expression is not one that a KFP 2.16 backend accepts.
        """
        for time in self._unlimited(max(after, self.start or after), last):
            if self.end is not None and time > self.end:
                return
            yield time

    def _unlimited(self, after: datetime, last: datetime) -> Iterator[datetime]:
        every = self.every or parse_every(self.cron)
        if every:
            return _multiples(every, after, last)
        return Cron.read(self.cron).after(after) if self.cron else iter(())


def _multiples(every: int, after: datetime, last: datetime) -> Iterator[datetime]:
    elapsed = max(0, int((after - last).total_seconds()) // every)
    for number in count(elapsed + 1):
        try:
            yield last + timedelta(seconds=every * number)
        except OverflowError:
            return  # beyond the year 9999, which others' intervals may reach
