"""Labels of a failure log: whether the machine of a row fails within the horizon, or how long it still runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from kfp_edge.components.ingest.labelling.durations import Duration
from kfp_edge.components.ingest.labelling.failure_log import FailureList, FailureLog, MachineFailures
from kfp_edge.components.ingest.labelling.label_options import LabelOptions
from kfp_edge.components.ingest.labelling.life import Life, follow_life
from kfp_edge.components.ingest.labelling.log_times import DataTimes
from kfp_edge.components.ingest.labelling.made_labels import MadeLabels
from kfp_edge.components.ingest.labelling.remaining_life import RowEnds, label_remaining_life
from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import ClassLabel, Float64s, Mask
from kfp_edge.ml.dataset import Roles
from kfp_edge.ml.time_numbers import to_lengths, to_numbers, to_time
from kfp_edge.wording import count_of

_DOWN = "rows from a failure on until the machine runs again"


@dataclass(frozen=True)
class RowLives:
    """What the failures mean for n rows, in the order of the data."""

    times: Float64s
    next_failure: Float64s
    is_down: Mask
    known_until: Float64s
    #: Failures with rows before them, failures without, and machines that failed.
    used: int
    outside: int
    machines: int
    #: Whether times are numbers, and not timestamps.
    is_number: bool

    @property
    def until_failure(self) -> Float64s:
        """How long it is until the next failure, in hours or in units of the time column; NaN where none follows."""
        return to_lengths(self.next_failure - self.times, is_number=self.is_number)


@dataclass(frozen=True)
class FailureLogLabels:
    """Labels that a failure log gives."""

    log: FailureLog
    options: LabelOptions
    data_times: DataTimes
    #: Whether the task predicts a number: the remaining useful life.
    has_number_target: bool

    def label(self, frame: pd.DataFrame, roles: Roles) -> MadeLabels:
        """Label the rows of a frame by the failures of their machines."""
        times = frame[roles.time]
        is_number = not pd.api.types.is_datetime64_dtype(times)
        for name in ("horizon", "repair_time", "max_rul"):
            if duration := getattr(self.options, f"parsed_{name}"):
                duration.check_suits(name, roles.time, is_number=is_number)
        groups = frame[roles.group] if roles.group else None
        failures = self.log.find_failures(self.options.failure_columns, times, groups, self.data_times)
        for remark in failures.remarks:
            print(remark, flush=True)
        lives = self._follow(times, groups, failures)
        if not lives.used:
            raise DataError(self._describe_no_overlap(times, failures))
        warnings = [*failures.warnings, *self._warn(lives)]
        source = f"failure log {Path(self.log.name).name}: {count_of(lives.used, 'failure')}" + (
            f" of {count_of(lives.machines, 'machine')}" if groups is not None else ""
        )
        if self.has_number_target:
            ends = RowEnds(lives.times, lives.next_failure, lives.known_until, is_number)
            return label_remaining_life(ends, self.options.parsed_max_rul, {_DOWN: lives.is_down}, source, warnings)
        horizon = self.options.parsed_horizon
        assert horizon is not None
        return label_horizon(lives, horizon, source, warnings)

    def _follow(self, times: pd.Series, groups: pd.Series | None, failures: FailureList) -> RowLives:
        values, horizon, repair = to_numbers(times), self.options.parsed_horizon, self.options.parsed_repair_time
        nothing = MachineFailures(values[:0], values[:0])
        next_failure, known_until = values.copy(), values.copy()
        is_down = np.zeros(len(values), dtype=bool)
        lives: list[Life] = []
        for group, rows in _iterate_groups(groups, values):
            life = follow_life(
                values[rows],
                failures.by_group.get(group, nothing),
                reach=horizon.value if horizon else None,
                repair_time=repair.value if repair else None,
            )
            next_failure[rows], is_down[rows], known_until[rows] = life.next_failure, life.is_down, life.known_until
            lives.append(life)
        return RowLives(
            values,
            next_failure,
            is_down,
            known_until,
            sum(life.used for life in lives),
            sum(life.outside for life in lives),
            sum(bool(life.used) for life in lives),
            is_number=not pd.api.types.is_datetime64_dtype(times),
        )

    def _warn(self, lives: RowLives) -> Iterator[str]:
        if lives.outside:
            verb = "is" if lives.outside == 1 else "are"
            yield (
                f"{count_of(lives.outside, 'failure')} of the failure log {verb} outside the time of the rows of the "
                "machine, so that no row is before it"
            )

    def _describe_no_overlap(self, times: pd.Series, failures: FailureList) -> str:
        logged = [times for machine in failures.by_group.values() for times in machine.times]
        is_number = not pd.api.types.is_datetime64_dtype(times)
        first, last = (to_time(float(time), is_number=is_number) for time in (min(logged), max(logged)))
        within = f" within {self.options.horizon} after a row" if self.options.horizon else " after a row"
        return (
            f"no failure of the failure log {self.log.name} is{within} of its machine: the data covers {times.min()} "
            f"to {times.max()}, the log {first} to {last}; give a log of the time of the data."
        )


def label_horizon(lives: RowLives, horizon: Duration, source: str, warnings: list[str]) -> MadeLabels:
    """Label rows 1 where the machine fails within the horizon after them; the time of the row itself does not count.

    Args:
        lives: The next failure of each row.
        horizon: How long before a failure a row is positive.
        source: What the failures are from, in words.
        warnings: What a reviewer should know.

    Raises:
        DataError: all labels are equal.
    """
    until = lives.until_failure
    is_positive = lives.next_failure - lives.times <= horizon.value
    reach = lives.times + horizon.value
    is_censored = ~is_positive & ~lives.is_down & (reach > lives.known_until)
    labelled = ~(lives.is_down | is_censored)
    if is_positive[labelled].all() or not is_positive[labelled].any():
        raise DataError(_describe_one_label(is_positive, labelled, horizon, source))
    return MadeLabels(
        target=f"fails_within_{horizon}",
        values=is_positive.astype(np.int64),
        known_at=reach,
        known_later=f"rows within {horizon} before the test part begins, whose failure may be in it",
        description=f"1 where the machine fails within {horizon} after the row ({source})",
        left_out={
            _DOWN: lives.is_down,
            f"rows at the end of the data of a machine, of which the next {horizon} are not known": is_censored,
        },
        until_failure=np.where(is_positive, until, np.nan),
        horizon=horizon.length,
        has_positive=True,
        warnings=tuple(warnings),
    )


def _describe_one_label(is_positive: Mask, labelled: Mask, horizon: Duration, source: str) -> str:
    if not labelled.any():
        return (
            f"no row is left with horizon={horizon} ({source}): each is after a failure, or within {horizon} before "
            "the end of the data of its machine; give a shorter horizon or more data."
        )
    if is_positive[labelled].all():
        return (
            f"every row is within {horizon} before a failure ({source}), so there is nothing to compare it with; give "
            "a shorter horizon."
        )
    return f"no row is within {horizon} before a failure ({source}); give a longer horizon."


def _iterate_groups(groups: pd.Series | None, times: Float64s) -> Iterator[tuple[ClassLabel, npt.NDArray[np.intp]]]:
    """Yield each group and the numbers of its rows in the order of time; all rows are of the group "" without any."""
    order = np.argsort(times, kind="stable")
    if groups is None:
        yield "", order
        return
    codes, names = pd.factorize(groups)
    order = order[np.argsort(codes[order], kind="stable")]
    bounds = np.flatnonzero(np.diff(codes[order])) + 1
    for rows in np.split(order, bounds):
        yield names[codes[rows[0]]], rows
