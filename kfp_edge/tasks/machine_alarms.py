"""The table of what alarms are worth at each machine, where labels say what fails within a horizon."""

from collections.abc import Iterable, Sequence

import numpy as np

from kfp_edge.metrics.measurement import MachineAlarms, Measurement
from kfp_edge.ml.dataset import Roles
from kfp_edge.reports.numbers import format_number
from kfp_edge.reports.section import Section

#: Machines beyond these are counted together.
_MAX_MACHINES = 30
_NOTE = (
    "Lead time: from the first alarm within the horizon to the failure. False alarm: no failure of the machine follows "
    "within the horizon; alarms within one horizon count once."
)


def describe_machines(measurement: Measurement, roles: Roles) -> list[Section]:
    """Return the table, those with the most missed failures and then with the most false alarms first."""
    machines = sorted(
        measurement.machines, key=lambda count: (count.detected - count.failures, -count.false_alarms, str(count.group))
    )
    if not machines:
        return []
    has_clock = any(count.weeks for count in machines)
    header = (
        roles.group or "rows",
        "failures",
        "with an alarm before",
        f"median lead time{' [h]' if has_clock else ''}",
        "false alarms",
        *(("false alarms per week",) if has_clock else ()),
    )
    return [Section("Failures", header, list(_describe(machines, has_clock=has_clock)), _NOTE)]


def _describe(machines: Sequence[MachineAlarms], *, has_clock: bool) -> Iterable[tuple[str, ...]]:
    listed, rest = machines[:_MAX_MACHINES], machines[_MAX_MACHINES:]
    for count in listed:
        yield str(count.group) or "all", *_sum([count], has_clock=has_clock)
    if rest:
        yield f"{len(rest):,} more", *_sum(rest, has_clock=has_clock)
    if len(machines) > 1:
        yield "all", *_sum(machines, has_clock=has_clock)


def _sum(machines: Sequence[MachineAlarms], *, has_clock: bool) -> tuple[str, ...]:
    lead_times = [lead for count in machines for lead in count.lead_times]
    weeks, false_alarms = sum(count.weeks for count in machines), sum(count.false_alarms for count in machines)
    rate = format_number(false_alarms / weeks) if weeks else ""
    return (
        f"{sum(count.failures for count in machines):,}",
        f"{len(lead_times):,}",
        format_number(float(np.median(lead_times))) if lead_times else "",
        f"{false_alarms:,}",
        *((rate,) if has_clock else ()),
    )
