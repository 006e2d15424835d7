"""What alarms are worth to the people at a machine: failures announced, how early, and false alarms a week.

Labels are of the kind "fails within the horizon". An alarm announces a failure within the horizon after it, so that
further alarms of the machine within one horizon are the same alarm; where no failure follows, it is one false alarm.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kfp_edge.metrics.certainty import find_few_failures
from kfp_edge.metrics.intervals import compute_exact_interval, compute_exact_rate_interval
from kfp_edge.metrics.measurement import MachineAlarms, Measurement, round_metrics
from kfp_edge.ml.arrays import Float64s, Int64s, Labels, Mask
from kfp_edge.ml.dataset import Dataset

_MICROSECONDS_PER_HOUR = 3_600_000_000
_HOURS_PER_WEEK = 168
#: Times of failures that differ by less are one failure, in hours or units of the time column: they were rounded.
_SAME_TIME = 1e-6


@dataclass(frozen=True)
class _Rows:
    """The held-out rows of one machine, in order of time, each array of shape [n]."""

    #: In hours, or in units of the time column.
    times: Float64s
    #: How long it is until the failure; NaN where none follows within the horizon.
    until_failure: Float64s
    alarms: Mask


def add_alarm_metrics(measurement: Measurement, data: Dataset, alarms: Mask) -> Measurement:
    """Return a measurement with what its alarms, shape [rows], are worth, where labels say what fails within a horizon.

    Metrics are events, event_recall, median_lead_time of the failures that were announced, and, where the times are
    timestamps, false_alarms_per_week.
    """
    if not data.roles.until_failure:
        return measurement
    machines = count_alarms(data, alarms)
    failures, detected = sum(count.failures for count in machines), sum(count.detected for count in machines)
    metrics: dict[str, float] = {}
    intervals = dict(measurement.intervals)
    if failures:
        metrics |= {"events": failures, "event_recall": detected / failures}
        intervals["event_recall"] = compute_exact_interval(detected, failures)
    lead_times = [lead for count in machines for lead in count.lead_times]
    if lead_times:
        metrics["median_lead_time"] = float(np.median(lead_times))
    weeks = sum(count.weeks for count in machines)
    if weeks:
        false_alarms = sum(count.false_alarms for count in machines)
        metrics["false_alarms_per_week"] = false_alarms / weeks
        intervals["false_alarms_per_week"] = compute_exact_rate_interval(false_alarms, weeks)
    return dataclasses.replace(
        measurement,
        metrics=measurement.metrics | round_metrics(metrics),
        intervals=intervals,
        events=(),
        machines=tuple(machines),
        warnings=(*measurement.warnings, *find_few_failures(failures, intervals.get("event_recall"))),
    )


def count_alarms(data: Dataset, alarms: Mask) -> list[MachineAlarms]:
    """Return for each machine, or for all rows where there are no groups, what its alarms, shape [rows], are worth."""
    roles, frame = data.roles, data.frame
    has_clock = pd.api.types.is_datetime64_dtype(frame[roles.time])
    rows = _Rows(_to_lengths(frame[roles.time]), frame[roles.until_failure].to_numpy(np.float64), alarms)
    order = np.argsort(rows.times, kind="stable")
    by_machine = [(name, _select(rows, order[members])) for name, members in _group(data.groups(), order)]
    usual_step = _find_usual_step([machine for _, machine in by_machine])
    return [
        _count(name, machine, data.preparation.horizon, usual_step if has_clock else 0.0)
        for name, machine in by_machine
    ]


def _to_lengths(times: pd.Series) -> Float64s:
    """Return times in hours, or in the units of the column."""
    if not pd.api.types.is_datetime64_dtype(times):
        return times.to_numpy(np.float64)
    hours: Float64s = times.to_numpy().astype("datetime64[us]").astype(np.int64) / _MICROSECONDS_PER_HOUR
    return hours


def _group(groups: Labels | None, order: Int64s) -> list[tuple[int | str, Int64s]]:
    """Return each group and the positions of its rows in `order`; all rows are of "" where there are no groups."""
    if groups is None:
        return [("", np.arange(len(order)))]
    codes, names = pd.factorize(groups[order], sort=True)
    return [(name, np.flatnonzero(codes == code)) for code, name in enumerate(names.tolist())]


def _select(rows: _Rows, numbers: Int64s) -> _Rows:
    return _Rows(rows.times[numbers], rows.until_failure[numbers], rows.alarms[numbers])


def _find_usual_step(machines: Sequence[_Rows]) -> float:
    """Return the median time from one row of a machine to its next one; 0 where no machine has two times."""
    steps = np.concatenate([np.diff(machine.times) for machine in machines])
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 0.0


def _count(name: int | str, rows: _Rows, horizon: float, step: float) -> MachineAlarms:
    is_before = ~np.isnan(rows.until_failure)
    lead_times, failures = _measure_lead_times(rows, is_before)
    return MachineAlarms(
        name,
        failures,
        tuple(lead_times),
        _count_false_alarms(rows.times[rows.alarms & ~is_before], horizon),
        float((~is_before).sum()) * step / _HOURS_PER_WEEK,
    )


def _measure_lead_times(rows: _Rows, is_before: Mask) -> tuple[list[float], int]:
    """Return how long before each failure that was announced the first alarm was, and the number of failures."""
    until, alarms = rows.until_failure[is_before], rows.alarms[is_before]
    if not len(until):
        return [], 0
    starts = np.flatnonzero(np.diff(rows.times[is_before] + until, prepend=-np.inf) > _SAME_TIME)
    parts = zip(np.split(until, starts[1:]), np.split(alarms, starts[1:]), strict=True)
    return [float(left[alarmed].max()) for left, alarmed in parts if alarmed.any()], len(starts)


def _count_false_alarms(times: Float64s, horizon: float) -> int:
    """Return the number of alarms at some times, sorted, those within one horizon counted once."""
    count, position = 0, 0
    while position < len(times):
        count += 1
        position = int(np.searchsorted(times, times[position] + horizon, side="right"))
    return count
