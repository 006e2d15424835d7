"""Schedules: KFP's recurring runs, one per name."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

import kfp_server_api
from kfp_server_api import V2beta1RecurringRun, V2beta1Trigger

from kfp_edge.client.cron import Cron
from kfp_edge.client.kfp_api import KfpApi
from kfp_edge.errors import ParameterError

_NEXT_TIMES = 3
_PAGE_SIZE = 100
_CONCURRENCY = range(1, 11)  # what a backend accepts


@dataclass(frozen=True)
class Schedule:
    """A schedule as the server has it.

    Attributes:
        name: unique on the server.
        id: the id of the recurring run.
        enabled: False while it is paused.
        cron: six fields, seconds first; empty for an interval.
        every: seconds between two runs; 0 for cron.
        concurrency: how many of its runs may run at the same time.
        catch_up: whether missed runs are started afterwards, one by one.
        next_times: the next three times, in UTC (a server in another zone reads cron in that); none while it is paused.
    """

    name: str
    id: str
    enabled: bool
    cron: str
    every: int
    concurrency: int
    catch_up: bool
    next_times: tuple[datetime, ...]


@dataclass(frozen=True)
class Timing:
    """When a schedule runs: by cron or by an interval in seconds, and what happens when runs overlap or were missed."""

    cron: str = ""
    every: int = 0
    concurrency: int = 1
    catch_up: bool = False

    @classmethod
    def checked(cls, cron: str, every: int, concurrency: int, catch_up: bool) -> "Timing":
        """Check the values that a user gives.

        Raises:
            ParameterError: cron and interval are both given or neither, or a value is out of range.
        """
        if bool(cron) == bool(every):
            raise ParameterError(
                "a schedule needs either a cron expression or an interval in seconds; give one of them."
            )
        if every < 0:
            raise ParameterError(f"the interval of a schedule must be at least one second, not {every}.")
        if concurrency not in _CONCURRENCY:
            raise ParameterError(f"the concurrency of a schedule must be 1 to {_CONCURRENCY[-1]}, not {concurrency}.")
        return cls(Cron.parse(cron).text if cron else "", every, concurrency, catch_up)

    @classmethod
    def of(cls, recurring_run: V2beta1RecurringRun) -> "Timing":
        """Return the timing of a recurring run."""
        cron, interval = recurring_run.trigger.cron_schedule, recurring_run.trigger.periodic_schedule
        return cls(
            cron.cron if cron is not None else "",
            int(interval.interval_second) if interval is not None else 0,
            int(recurring_run.max_concurrency),
            not recurring_run.no_catchup,
        )

    def trigger(self) -> V2beta1Trigger:
        """Return KFP's trigger."""
        if self.cron:
            return V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=self.cron))
        interval = kfp_server_api.V2beta1PeriodicSchedule(interval_second=str(self.every))
        return V2beta1Trigger(periodic_schedule=interval)

    def after(self, moment: datetime, created: datetime) -> Iterator[datetime]:
        """Yield the times after `moment`; an interval counts from when the schedule was created."""
        if self.cron:
            return Cron.parse(self.cron).after(moment)
        elapsed = max(0, int((moment - created).total_seconds()) // self.every)
        return (created + timedelta(seconds=self.every * number) for number in count(elapsed + 1))


def list_all(api: KfpApi) -> list[V2beta1RecurringRun]:
    """Return every recurring run of the server, the oldest first."""
    recurring_runs: list[V2beta1RecurringRun] = []
    token = ""
    while True:
        page = api.call(
            "list the schedules",
            api.recurring_runs.recurring_run_service_list_recurring_runs,
            page_size=_PAGE_SIZE,
            page_token=token,
            sort_by="created_at",
        )
        recurring_runs += page.recurring_runs or []
        token = page.next_page_token
        if not token:
            return recurring_runs


def find_by_name(api: KfpApi, name: str) -> list[V2beta1RecurringRun]:
    """Return the recurring runs with a name: KFP allows several, this client creates one.

    Raises:
        ParameterError: there is none.
    """
    recurring_runs = list_all(api)
    matching = [recurring_run for recurring_run in recurring_runs if recurring_run.display_name == name]
    if not matching:
        known = ", ".join(sorted({recurring_run.display_name for recurring_run in recurring_runs})) or "none"
        raise ParameterError(f"there is no schedule {name!r}; the schedules are: {known}.")
    return matching


def create_or_replace(api: KfpApi, recurring_run: V2beta1RecurringRun) -> V2beta1RecurringRun:
    """Make `recurring_run` the only one of its name on the server, and return the server's copy.

    An equal one is left unchanged. A different one is replaced; the replacement of a paused one is paused, too.
    """
    existing = [other for other in list_all(api) if other.display_name == recurring_run.display_name]
    equal = [other for other in existing if _comparison_key(other) == _comparison_key(recurring_run)]
    if existing and existing[-1].mode == kfp_server_api.RecurringRunMode.DISABLE:
        recurring_run.mode = kfp_server_api.RecurringRunMode.DISABLE
    # create before deleting: if the new schedule cannot be created, the old one must remain
    kept = equal[0] if equal else _create(api, recurring_run)
    for other in existing:
        if other.recurring_run_id != kept.recurring_run_id:
            delete(api, other)
    return kept


def delete(api: KfpApi, recurring_run: V2beta1RecurringRun) -> None:
    """Delete a recurring run; the runs that it started remain."""
    service = api.recurring_runs
    api.call("delete the schedule", service.recurring_run_service_delete_recurring_run, recurring_run.recurring_run_id)


def set_enabled(api: KfpApi, recurring_run: V2beta1RecurringRun, enabled: bool) -> None:
    """Enable a recurring run, or pause it."""
    service = api.recurring_runs
    if enabled:
        method = service.recurring_run_service_enable_recurring_run
    else:
        method = service.recurring_run_service_disable_recurring_run
    api.call("resume the schedule" if enabled else "pause the schedule", method, recurring_run.recurring_run_id)


def to_schedule(recurring_run: V2beta1RecurringRun) -> Schedule:
    """Convert a recurring run to a schedule."""
    timing = Timing.of(recurring_run)
    enabled = recurring_run.mode != kfp_server_api.RecurringRunMode.DISABLE
    next_times = islice(timing.after(datetime.now(UTC), recurring_run.created_at), _NEXT_TIMES if enabled else 0)
    return Schedule(
        name=recurring_run.display_name,
        id=recurring_run.recurring_run_id,
        enabled=enabled,
        cron=timing.cron,
        every=timing.every,
        concurrency=timing.concurrency,
        catch_up=timing.catch_up,
        next_times=tuple(next_times),
    )


def _create(api: KfpApi, recurring_run: V2beta1RecurringRun) -> V2beta1RecurringRun:
    create = api.recurring_runs.recurring_run_service_create_recurring_run
    return api.call("create the schedule", create, recurring_run, is_idempotent=False)


def _comparison_key(recurring_run: V2beta1RecurringRun) -> tuple[Any, ...]:
    """Return everything in which two schedules of one name may differ."""
    version = recurring_run.pipeline_version_reference
    parameters = recurring_run.runtime_config.parameters if recurring_run.runtime_config is not None else None
    return (
        Timing.of(recurring_run),
        recurring_run.experiment_id,
        (version.pipeline_id, version.pipeline_version_id) if version is not None else None,
        parameters or {},
    )
