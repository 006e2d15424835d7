"""Whether a new model is better than the one in use, on the rows of each period, and how sure that is.

The difference of two metrics of the same rows has the variance of the delete-a-group jackknife (Kott, 2001, "The
delete-a-group jackknife", Journal of Official Statistics 17): rows of one machine or of one stretch of time are left
out together, since they resemble each other.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import stats

from kfp_edge.errors import ParameterError
from kfp_edge.metrics.catalog import Direction, Metric, find_metric
from kfp_edge.metrics.intervals import find_clusters
from kfp_edge.ml.arrays import Int64s, Mask
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.time_numbers import to_numbers
from kfp_edge.tasks.predictions import Predictions
from kfp_edge.tasks.registry import measure, task_of

#: Groups of rows that the jackknife leaves out, one after the other.
_MAX_GROUPS = 20
_MIN_GROUPS = 4
#: How sure it has to be that a new model is better.
CONFIDENCE = 0.95

#: Returns what a model predicts for rows.
Predictor = Callable[[Dataset], Predictions]


class Period(StrEnum):
    """A part of the held-out rows."""

    OLD = "before"
    RECENT = "recent"
    ALL = "all"


@dataclass(frozen=True)
class Values:
    """A metric of both models on the same rows.

    Attributes:
        champion: That of the model in use.
        challenger: That of the new one.
        gain: By how much the new model is better; negative where it is worse.
        low: Lower end of the one-sided 95 % confidence interval of the gain; None where there are too few rows.
    """

    champion: float
    challenger: float
    gain: float
    low: float | None


@dataclass(frozen=True)
class PeriodComparison:
    """Both models on the held-out rows of a period; `values` is None where the metric cannot be measured on them."""

    period: Period
    rows: int
    values: Values | None


@dataclass(frozen=True)
class Comparison:
    """The result: `metric` is what both models were compared by."""

    metric: str
    periods: tuple[PeriodComparison, ...]
    is_better: bool
    reason: str


def compare(champion: Predictor, challenger: Predictor, test: Dataset, margin: float, metric: str = "") -> Comparison:
    """Compare two models on held-out rows, of the recent period and of the time before where rows tell them apart.

    The new model is better if it gains on the recent rows, with a confidence of 95 %, and loses no more than `margin`
    on those before.

    Args:
        champion: The model in use.
        challenger: The new one.
        test: Held-out rows with labels.
        margin: By how much the metric may be worse on the rows before: absolute for shares, relative for metrics in
            units.
        metric: What is compared; "" for what the task is compared by.

    Raises:
        ParameterError: the metric is not measured of both models, or has no better direction.
    """
    name = metric or _choose_metric(challenger, test)
    known = find_compared_metric(name)
    difference = _Difference(champion, challenger, name, -1 if known.direction is Direction.LOWER else 1)
    periods = tuple(difference.measure(period, test, rows) for period, rows in _select_periods(test).items())
    is_better, reason = _judge(periods, name, margin, has_unit=known.has_unit)
    return Comparison(name, periods, is_better, reason)


def find_compared_metric(name: str) -> Metric:
    """Return what is known of the metric that models are to be compared by.

    Raises:
        ParameterError: there is none of this name, or it has no better direction.
    """
    known = find_metric(name)
    if known is None or known.direction is Direction.NONE:
        raise ParameterError(f"compared_metric is {name!r}, of which no value is better; name one such as roc_auc.")
    return known


def _choose_metric(challenger: Predictor, test: Dataset) -> str:
    measured = measure(challenger(test), test).metrics
    names = [name for name in task_of(test).compared_metrics if name in measured]
    if not names:
        raise ParameterError(
            "the held-out rows have no labels by which two models could be compared; name their column in target."
        )
    return names[0]


def _select_periods(test: Dataset) -> dict[Period, Mask]:
    since = test.preparation.recent_since
    everything = np.ones(len(test.frame), dtype=bool)
    if since is None or not test.roles.time:
        return {Period.ALL: everything}
    is_recent: Mask = to_numbers(test.frame[test.roles.time]) >= since
    if is_recent.all() or not is_recent.any():
        return {Period.ALL: everything}
    return {Period.OLD: ~is_recent, Period.RECENT: is_recent}


@dataclass(frozen=True)
class _Difference:
    champion: Predictor
    challenger: Predictor
    metric: str
    sign: int

    def measure(self, period: Period, test: Dataset, rows: Mask) -> PeriodComparison:
        data = _take(test, rows)
        both = self._measure_both(data)
        if both is None:
            return PeriodComparison(period, len(data.frame), None)
        gain = self._gain(both)
        return PeriodComparison(period, len(data.frame), Values(*both, gain, self._find_low(data, gain)))

    def _gain(self, both: tuple[float, float]) -> float:
        return self.sign * (both[1] - both[0])

    def _measure_both(self, data: Dataset) -> tuple[float, float] | None:
        values = [measure(model(data), data).metrics.get(self.metric) for model in (self.champion, self.challenger)]
        return None if values[0] is None or values[1] is None else (values[0], values[1])

    def _find_low(self, data: Dataset, gain: float) -> float | None:
        groups = _group_rows(data)
        count = int(groups.max()) + 1
        if count < _MIN_GROUPS:
            return None
        gains = []
        for group in range(count):
            both = self._measure_both(_take(data, groups != group))
            if both is None:
                return None
            gains.append(self._gain(both))
        variance = (count - 1) / count * float(((np.array(gains) - np.mean(gains)) ** 2).sum())
        return gain - float(stats.t.ppf(CONFIDENCE, count - 1)) * math.sqrt(variance)


def _group_rows(data: Dataset) -> Int64s:
    """Return the number of a group for each row: rows that depend on each other are in the same one."""
    clusters = find_clusters(data)
    if clusters is None:
        clusters = np.arange(len(data.frame))
    numbers = np.unique(clusters, return_inverse=True)[1]
    return np.asarray(numbers % _MAX_GROUPS, dtype=np.int64)


def _take(data: Dataset, rows: Mask) -> Dataset:
    return dataclasses.replace(data, frame=data.frame[rows].reset_index(drop=True))


def _judge(periods: tuple[PeriodComparison, ...], name: str, margin: float, *, has_unit: bool) -> tuple[bool, str]:
    """Return whether the new model is better, and why, in one sentence without a full stop."""
    decisive, values = periods[-1], periods[-1].values
    where = "the held-out rows" if decisive.period is Period.ALL else "the recent rows"
    if values is None:
        return False, f"{name} cannot be measured on {where}: they lack a class, or have no labels"
    numbers = f"{name} {values.challenger:.4g} after {values.champion:.4g} on {where}"
    if values.low is None:
        return False, f"there are too few of {where} to tell whether the new model is better ({numbers})"
    if values.low <= 0:
        return False, (
            f"the new model is not surely better than the one in use ({numbers}; the gain is at least "
            f"{values.low:.4g} with a confidence of {CONFIDENCE:.0%}, and has to be above 0)"
        )
    for before in (period.values for period in periods[:-1] if period.values is not None):
        if before.gain < -(margin * abs(before.champion) if has_unit else margin):
            return False, (
                f"the new model is worse on the rows before: {name} {before.challenger:.4g} after "
                f"{before.champion:.4g}, which is more than the margin of {margin:g}"
            )
    return True, f"the new model is better: {numbers}"
