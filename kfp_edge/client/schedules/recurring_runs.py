"""Schedules: KFP's recurring runs, one per name.

The Argo Workflow of each run that a recurring run starts belongs to it in Kubernetes, so deleting the recurring run
deletes the Workflow, and the API shows the run as running forever. (From KFP 2.16 on, a deletion can spare them; an
earlier server ignores that it should.) So one whose runs have not all ended is paused and kept.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import kfp_server_api
from kfp_server_api import V2beta1RecurringRun, V2beta1Run

from kfp_edge.client.runs.reasons import ClusterReader
from kfp_edge.client.schedules.timing import Timing
from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.errors import KfpApiError, ParameterError, UnfinishedRunsError
from kfp_edge.storage.files import JsonObject

_NEXT_TIMES = 3
_PAGE_SIZE = 100
#: The states of a run that has not ended.
_UNFINISHED_STATES = ("RUNTIME_STATE_UNSPECIFIED", "PENDING", "RUNNING", "PAUSED", "CANCELING")
#: What the description of a replacement begins with; the ids of what it replaces follow.
_REPLACES = "Replaces the recurring run "


@dataclass(frozen=True)
class Schedule:
    """A schedule as the server has it; those of others have forms that this client does not create.

    Attributes:
        name: unique among the schedules that this client creates.
        id: the id of the recurring run.
        enabled: False while it is paused.
        cron: six fields, seconds first; others may have written five, or `@daily`; empty for an interval.
        every: seconds between two runs; 0 for cron. With neither, it runs once.
        concurrency: how many of its runs may run at the same time.
        catch_up: whether missed runs are started afterwards, one by one.
        next_times: the next three times, in UTC (a server in another zone reads cron in that); none while it is paused.
            An interval counts from the start or the creation; after a missed time, a server counts from the late run.
        start: no run is started before; None if it is not limited.
        end: no run is started after; None if it is not limited.
        missed: for `Client.resume`, the first time that passed while it was paused, because of which a run starts as
            soon as its concurrency allows; else None.
        replaced: whether a newer schedule has replaced it; it stays, paused, for the runs that it has started.
        unfinished_runs: ids of runs that have not ended: for `Client.schedule`, those for which the schedule that it
            replaced stays; for `Client.resume`, its own, if a time was missed.
        error: why the server or this client cannot read it; empty if they can.
        change: for `Client.schedule`, what it did: `added`, `replaced`, or `unchanged`; else empty.
    """

    name: str
    id: str
    enabled: bool
    cron: str
    every: int
    concurrency: int
    catch_up: bool
    next_times: tuple[datetime, ...]
    start: datetime | None = None
    end: datetime | None = None
    missed: datetime | None = None
    replaced: bool = False
    unfinished_runs: tuple[str, ...] = ()
    error: str = ""
    change: str = ""


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


def list_schedules(api: KfpApi) -> list[Schedule]:
    """Return all schedules of the server, by name."""
    recurring_runs = list_all(api)
    replaced = _replaced_ids(recurring_runs)
    schedules = [replace(to_schedule(each), replaced=each.recurring_run_id in replaced) for each in recurring_runs]
    return sorted(schedules, key=lambda schedule: schedule.name)


def find(api: KfpApi, name: str) -> list[V2beta1RecurringRun]:
    """Return the recurring runs with a name or an id: KFP allows several of one name, this client creates one.

    Raises:
        ParameterError: there is none.
    """
    recurring_runs = list_all(api)
    matching = [each for each in recurring_runs if each.display_name == name]
    matching = matching or [each for each in recurring_runs if each.recurring_run_id == name]
    if not matching:
        known = ", ".join(sorted({each.display_name or each.recurring_run_id for each in recurring_runs})) or "none"
        raise ParameterError(f"there is no schedule {name!r}; the schedules are: {known}.")
    return matching


def create_or_replace(api: KfpApi, recurring_run: V2beta1RecurringRun) -> Schedule:
    """Make `recurring_run` the only one of its name that starts runs, and return it as the server has it.

    An equal one is left unchanged. A different one is replaced: it is paused, and deleted if all its runs have ended,
    else by the next call for this name. The replacement of a paused one is paused, too.
    """
    existing = [other for other in list_all(api) if other.display_name == recurring_run.display_name]
    replaced = _replaced_ids(existing)
    equal = [
        other
        for other in existing
        if other.recurring_run_id not in replaced and _comparison_key(other) == _comparison_key(recurring_run)
    ]
    is_paused = bool(existing) and not any(map(_is_enabled, existing))
    current = equal[-1] if equal else _create(api, recurring_run, existing)
    others = [other for other in existing if other.recurring_run_id != current.recurring_run_id]
    pause(api, others)
    if not is_paused and not _is_enabled(current):
        _set_enabled(api, current, enabled=True)
    change = "unchanged" if equal else "replaced" if existing else "added"
    return replace(to_schedule(current), unfinished_runs=_delete_unless_running(api, others), change=change)


def pause(api: KfpApi, recurring_runs: Iterable[V2beta1RecurringRun]) -> None:
    """Pause recurring runs: they start no more runs."""
    for recurring_run in filter(_is_enabled, recurring_runs):
        _set_enabled(api, recurring_run, enabled=False)


def resume(api: KfpApi, recurring_runs: Sequence[V2beta1RecurringRun]) -> list[Schedule]:
    """Resume recurring runs, except those that were replaced, and return their schedules.

    For the last time that was missed, or for all of them with `catch_up`, a backend starts a run as soon as the
    concurrency allows.
    """
    replaced = _replaced_ids(recurring_runs)
    schedules = []
    for recurring_run in recurring_runs:
        if recurring_run.recurring_run_id not in replaced:
            missed = None if _is_enabled(recurring_run) else _first_missed_time(api, recurring_run)
            unfinished = tuple(run.run_id for run in _unfinished_runs(api, recurring_run)) if missed else ()
            if not _is_enabled(recurring_run):
                _set_enabled(api, recurring_run, enabled=True)
            schedules.append(replace(to_schedule(recurring_run), missed=missed, unfinished_runs=unfinished))
    return schedules


def delete(api: KfpApi, recurring_runs: Sequence[V2beta1RecurringRun], *, force: bool) -> tuple[str, ...]:
    """Delete recurring runs; without `force`, one of whose runs some have not ended is only paused.

    Returns:
        With `force`, the ids of the runs that had not ended.

    Raises:
        UnfinishedRunsError: a recurring run was only paused.
    """
    pause(api, recurring_runs)
    if force:
        unfinished = tuple(run.run_id for each in recurring_runs for run in _unfinished_runs(api, each))
        for recurring_run in recurring_runs:
            _delete(api, recurring_run)
        return unfinished
    if unfinished := _delete_unless_running(api, recurring_runs):
        raise UnfinishedRunsError(
            f"the schedule {recurring_runs[0].display_name!r} is paused, but not deleted, because that would kill runs "
            f"that have not ended: {', '.join(unfinished)}; delete it again later, or now with --force (force=True).",
            unfinished,
        )
    return ()


def to_schedule(recurring_run: V2beta1RecurringRun) -> Schedule:
    """Convert any recurring run to a schedule."""
    timing = Timing.of(recurring_run)
    error = recurring_run.error.message if recurring_run.error is not None else ""
    next_times: tuple[datetime, ...] = ()
    if _is_enabled(recurring_run) and not error:
        times = timing.times(datetime.now(UTC), timing.start or recurring_run.created_at)
        try:
            next_times = tuple(islice(times, _NEXT_TIMES))
        except ParameterError as unreadable:
            error = str(unreadable)
    return Schedule(
        name=recurring_run.display_name or recurring_run.recurring_run_id,
        id=recurring_run.recurring_run_id,
        enabled=_is_enabled(recurring_run),
        cron=timing.cron,
        every=timing.every,
        concurrency=timing.concurrency,
        catch_up=timing.catch_up,
        next_times=next_times,
        start=timing.start,
        end=timing.end,
        error=error,
    )


def _create(
    api: KfpApi, recurring_run: V2beta1RecurringRun, replaced: Sequence[V2beta1RecurringRun]
) -> V2beta1RecurringRun:
    """Create a recurring run, paused if it replaces others: no time may start a run of both."""
    if replaced:
        recurring_run.mode = kfp_server_api.RecurringRunMode.DISABLE
        recurring_run.description = _REPLACES + ", ".join(other.recurring_run_id for other in replaced)
    create = api.recurring_runs.recurring_run_service_create_recurring_run
    try:
        return api.call("create the schedule", create, recurring_run, is_idempotent=False)
    except KfpApiError as error:
        if 400 <= error.status < 500:
            raise
        known = {other.recurring_run_id for other in replaced}
        for other in list_all(api):
            is_new = other.display_name == recurring_run.display_name and other.recurring_run_id not in known
            if is_new and _comparison_key(other) == _comparison_key(recurring_run):
                return other  # only the response was lost
        raise


def _delete_unless_running(api: KfpApi, recurring_runs: Iterable[V2beta1RecurringRun]) -> tuple[str, ...]:
    """Delete those whose runs have all ended, and return the ids of the runs that have not."""
    unfinished: list[str] = []
    for recurring_run in recurring_runs:
        if runs := _unfinished_runs(api, recurring_run):
            unfinished += [run.run_id for run in runs]
        else:
            _delete(api, recurring_run)
    return tuple(unfinished)


def _delete(api: KfpApi, recurring_run: V2beta1RecurringRun) -> None:
    service = api.recurring_runs
    try:
        api.call(
            "delete the schedule",
            service.recurring_run_service_delete_recurring_run,
            recurring_run.recurring_run_id,
            # spares the Workflows, and with them the logs, from KFP 2.16 on; an earlier server ignores it
            propagation_policy="ORPHAN",
        )
    except KfpApiError as error:
        # it was there a moment ago: an attempt whose response was lost, or someone else, has deleted it
        if error.status != 404:
            raise


def _set_enabled(api: KfpApi, recurring_run: V2beta1RecurringRun, *, enabled: bool) -> None:
    service, mode = api.recurring_runs, kfp_server_api.RecurringRunMode
    if enabled:
        method = service.recurring_run_service_enable_recurring_run
    else:
        method = service.recurring_run_service_disable_recurring_run
    api.call("resume the schedule" if enabled else "pause the schedule", method, recurring_run.recurring_run_id)
    recurring_run.mode = mode.ENABLE if enabled else mode.DISABLE


def _is_enabled(recurring_run: V2beta1RecurringRun) -> bool:
    return bool(recurring_run.mode != kfp_server_api.RecurringRunMode.DISABLE)


def _replaced_ids(recurring_runs: Iterable[V2beta1RecurringRun]) -> set[str]:
    """Return the ids of the recurring runs that others say to have replaced."""
    descriptions = [each.description or "" for each in recurring_runs]
    return {
        replaced
        for description in descriptions
        if description.startswith(_REPLACES)
        for replaced in description.removeprefix(_REPLACES).split(", ")
    }


def _first_missed_time(api: KfpApi, recurring_run: V2beta1RecurringRun) -> datetime | None:
    """Return the first time since the last run that has passed; None if there is none."""
    timing = Timing.of(recurring_run)
    created: datetime = recurring_run.created_at
    latest = _runs(api, recurring_run, page_size=1)
    if not timing.cron and not timing.every:
        return None if latest else created
    last: datetime = latest[0].created_at if latest else timing.start or created
    try:
        first = next(timing.times(last, last), None)
    except ParameterError:
        return None  # `to_schedule` reports that the times cannot be computed
    return first if first is not None and first <= datetime.now(UTC) else None


def _unfinished_runs(api: KfpApi, recurring_run: V2beta1RecurringRun) -> list[V2beta1Run]:
    """Return the runs that have not ended, at most a page of them, without those whose Workflow is gone."""
    in_unfinished_state = {"operation": "IN", "key": "state", "stringValues": {"values": _UNFINISHED_STATES}}
    runs = _runs(api, recurring_run, in_unfinished_state, page_size=_PAGE_SIZE)
    return [run for run in runs if not _is_lost(api, run)]


def _is_lost(api: KfpApi, run: V2beta1Run) -> bool:
    """Whether the Workflow of a run is gone, so that nothing of it is left to end; False if we cannot know."""
    reader = ClusterReader(api, run.run_id)
    in_cluster = reader.read()
    return in_cluster is not None and reader.is_lost(in_cluster)


def _runs(api: KfpApi, recurring_run: V2beta1RecurringRun, *predicates: JsonObject, page_size: int) -> list[V2beta1Run]:
    """Return the latest runs that a recurring run has started, the newest first."""
    started = {"operation": "EQUALS", "key": "recurring_run_id", "stringValue": recurring_run.recurring_run_id}
    page = api.call(
        "list the runs of the schedule",
        api.runs.run_service_list_runs,
        page_size=page_size,
        filter=json.dumps({"predicates": [started, *predicates]}),
        sort_by="created_at desc",
    )
    return page.runs or []


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
