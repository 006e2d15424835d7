"""How long each row of one machine is before its next failure, and which rows are of a machine that does not run."""

from dataclasses import dataclass

import numpy as np

from kfp_edge.components.ingest.labelling.failure_log import MachineFailures
from kfp_edge.ml.arrays import Float64s, Int64s, Mask

#: A step between rows of this many times the usual one is a gap, in which a machine does not run.
_GAP = 10


@dataclass(frozen=True)
class Life:
    """What the failures of a machine mean for its n rows."""

    #: The time of the next failure, shape [n]; missing where none follows.
    next_failure: Float64s
    #: Rows from a failure on until the machine runs again, shape [n].
    is_down: Mask
    #: The last time of which it is known whether the machine had failed.
    known_until: float
    #: Number of failures with rows of the machine before them, and of all others.
    used: int
    outside: int


def follow_life(
    times: Float64s,
    failures: MachineFailures,
    *,
    reach: float | None,
    repair_time: float | None,
) -> Life:
    """Relate the rows of one machine to its failures.

    Args:
        times: The time of each row, sorted, shape [n].
        failures: Its failures; the log may have none of them.
        reach: Up to how long before a failure rows are looked at; None for any time.
        repair_time: How long it does not run after a failure of which the log has no end of the repair; None where its
            next gap shows it.
    """
    count = len(failures.times)
    if not count:
        return Life(np.full(len(times), np.nan), np.zeros(len(times), dtype=bool), float(times[-1]), 0, 0)
    ends = _find_ends(times, failures, reach, repair_time)
    latest_end = np.maximum.accumulate(ends)
    following = np.searchsorted(failures.times, times, side="right")
    before = np.maximum(following - 1, 0)
    has_failed = following > 0
    is_down = has_failed & ((times < latest_end[before]) | (times == failures.times[before]))
    next_failure = np.append(failures.times, np.nan)[following]
    outside = _count_outside(times, failures, reach)
    return Life(next_failure, is_down, float(max(times[-1], failures.times[-1])), count - outside, outside)


def _count_outside(times: Float64s, failures: MachineFailures, reach: float | None) -> int:
    """Return how many failures are before the rows of a machine or too long after them to say anything about one."""
    is_outside = failures.times <= times[0]
    if reach is not None:
        is_outside = is_outside | (failures.times - times[-1] > reach)
    return int(is_outside.sum())


def _find_ends(
    times: Float64s,
    failures: MachineFailures,
    reach: float | None,
    repair_time: float | None,
) -> Float64s:
    """Return the time at which the machine runs again after each failure."""
    ends = failures.repaired.copy()
    open_ends = np.isnan(ends)
    if repair_time is not None:
        ends[open_ends] = failures.times[open_ends] + repair_time
        return ends
    gap_starts = _find_gaps(times)
    for number in np.flatnonzero(open_ends):
        ends[number] = _find_end(times, gap_starts, failures.times, int(number), reach)
    return ends


def _find_gaps(times: Float64s) -> Int64s:
    """Return the numbers of the rows after which a gap begins."""
    steps = np.diff(times)
    steps_taken = steps[steps > 0]
    return np.flatnonzero(steps > _GAP * np.median(steps_taken)) if len(steps_taken) else np.zeros(0, np.int64)


def _find_end(times: Float64s, gap_starts: Int64s, failed: Float64s, number: int, reach: float | None) -> float:
    """Return the end of the first gap after a failure; the failure itself where none follows soon.

    A gap is that of the failure if it begins before the next failure, and within the horizon.
    """
    failure = float(failed[number])
    for start in gap_starts:
        if times[start + 1] <= failure:
            continue
        is_before_next = number + 1 == len(failed) or times[start] < failed[number + 1]
        is_soon = reach is None or times[start] - failure <= reach
        return float(times[start + 1]) if is_before_next and is_soon else failure
    return failure
