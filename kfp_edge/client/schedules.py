"""Schedules: KFP's recurring runs, kept one for each name."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any

import kfp_server_api

from kfp_edge.client.cron import Cron
from kfp_edge.client.kfp_api import KfpApi
from kfp_edge.errors import KfpEdgeError

_SHOWN_TIMES = 3
_PAGE = 100
_CONCURRENCY = range(1, 11)  # what a backend takes


@dataclass(frozen=True)
class Schedule:
    """A schedule as the server has it.

    Attributes:
        cron: Six fields, seconds first; empty for an interval.
        every: Seconds between two runs; 0 for cron.
        concurrency: How many of its runs may run at the same time.
        catch_up: Whether runs that were missed are made up for, one by one.
        next_times: The next three times, in UTC (a server in another zone reads cron in that); none while it is paused.
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
        """Check what a user asks for.

        Raises:
            KfpEdgeError: cron and interval are both given or neither, or one of the values is wrong.
        """
        if bool(cron) == bool(every):
            raise KfpEdgeError("a schedule needs either a cron expression or an interval in seconds; give one of them.")
        if every < 0:
            raise KfpEdgeError(f"the interval of a schedule must be at least one second, not {every}.")
        if concurrency not in _CONCURRENCY:
            raise KfpEdgeError(f"the concurrency of a schedule must be 1 to {_CONCURRENCY[-1]}, not {concurrency}.")
        return cls(Cron.parse(cron).text if cron else "", every, concurrency, catch_up)

    @classmethod
    def of(cls, found: Any) -> "Timing":
        """Return the timing of a recurring run."""
        cron, interval = found.trigger.cron_schedule, found.trigger.periodic_schedule
        return cls(
            cron.cron if cron is not None else "",
            int(interval.interval_second) if interval is not None else 0,
            int(found.max_concurrency),
            not found.no_catchup,
        )

    def trigger(self) -> Any:
        """Return KFP's trigger."""
        if self.cron:
            return kfp_server_api.V2beta1Trigger(cron_schedule=kfp_server_api.V2beta1CronSchedule(cron=self.cron))
        interval = kfp_server_api.V2beta1PeriodicSchedule(interval_second=str(self.every))
        return kfp_server_api.V2beta1Trigger(periodic_schedule=interval)

    def after(self, moment: datetime, created: datetime) -> Iterator[datetime]:
        """Yield the times after `moment`; an interval counts from when the schedule was created."""
        if self.cron:
            return Cron.parse(self.cron).after(moment)
        passed = max(0, int((moment - created).total_seconds()) // self.every)
        return (created + timedelta(seconds=self.every * turn) for turn in count(passed + 1))


def list_all(session: KfpApi) -> list[Any]:
    """Return every recurring run of the server, the oldest first."""
    found: list[Any] = []
    token = ""
    while True:
        page = session.call(
            "list the schedules",
            session.recurring_runs.recurring_run_service_list_recurring_runs,
            page_size=_PAGE,
            page_token=token,
            sort_by="created_at",
        )
        found += page.recurring_runs or []
        token = page.next_page_token
        if not token:
            return found


def named(session: KfpApi, name: str) -> list[Any]:
    """Return the recurring runs of a name: KFP allows several, we make one.

    Raises:
        KfpEdgeError: there is none.
    """
    everything = list_all(session)
    found = [each for each in everything if each.display_name == name]
    if not found:
        known = ", ".join(sorted({each.display_name for each in everything})) or "none"
        raise KfpEdgeError(f"there is no schedule {name!r}; the schedules are: {known}.")
    return found


def put(session: KfpApi, wanted: Any) -> Any:
    """Make the server have exactly one recurring run of this name: this one.

    One that is equal already is left as it is. One that differs is replaced; a new one of a paused one is paused, too.
    """
    before = [each for each in list_all(session) if each.display_name == wanted.display_name]
    equal = [each for each in before if _meaning(each) == _meaning(wanted)]
    if before and before[-1].mode == kfp_server_api.RecurringRunMode.DISABLE:
        wanted.mode = kfp_server_api.RecurringRunMode.DISABLE
    # the new one first: a schedule that cannot be made must not cost the old one
    kept = equal[0] if equal else _create(session, wanted)
    for each in before:
        if each.recurring_run_id != kept.recurring_run_id:
            delete(session, each)
    return kept


def delete(session: KfpApi, found: Any) -> None:
    """Delete a recurring run; its runs stay."""
    service = session.recurring_runs
    session.call("delete the schedule", service.recurring_run_service_delete_recurring_run, found.recurring_run_id)


def enable(session: KfpApi, found: Any, enabled: bool) -> None:
    """Let a recurring run start runs, or pause it."""
    service = session.recurring_runs
    if enabled:
        call = service.recurring_run_service_enable_recurring_run
    else:
        call = service.recurring_run_service_disable_recurring_run
    session.call("resume the schedule" if enabled else "pause the schedule", call, found.recurring_run_id)


def described(found: Any) -> Schedule:
    """Return what there is to know of a recurring run."""
    timing = Timing.of(found)
    enabled = found.mode != kfp_server_api.RecurringRunMode.DISABLE
    times = islice(timing.after(datetime.now(UTC), found.created_at), _SHOWN_TIMES if enabled else 0)
    return Schedule(
        name=found.display_name,
        id=found.recurring_run_id,
        enabled=enabled,
        cron=timing.cron,
        every=timing.every,
        concurrency=timing.concurrency,
        catch_up=timing.catch_up,
        next_times=tuple(times),
    )


def _create(session: KfpApi, wanted: Any) -> Any:
    service = session.recurring_runs
    return session.call(
        "create the schedule", service.recurring_run_service_create_recurring_run, wanted, repeatable=False
    )


def _meaning(found: Any) -> tuple[Any, ...]:
    version = found.pipeline_version_reference
    parameters = found.runtime_config.parameters if found.runtime_config is not None else None
    return (
        Timing.of(found),
        found.experiment_id,
        (version.pipeline_id, version.pipeline_version_id) if version is not None else None,
        parameters or {},
    )
