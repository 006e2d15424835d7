"""Quantiles in tenths of the rows by their prediction: they may hold on average, and nowhere in particular."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kfp_edge.metrics.intervals import Interval, measure_share
from kfp_edge.ml.arrays import Float64s, Int64s
from kfp_edge.reports.numbers import format_number
from kfp_edge.tasks.regression.evaluation import find_covered
from kfp_edge.tasks.regression.predictions import NumberPredictions

_TENTHS = 10
#: Fewer rows say nothing about a share.
_MIN_ROWS = 30
#: A tenth is reported where for certain this many times as many true values are beyond a quantile as asked for, or this
#: many times fewer.
_FAR = 2.0


@dataclass(frozen=True)
class Outside:
    """The share of the true values beyond a quantile, with 95 % intervals: without and with those that are equal to it.

    A true quantile has the share that was asked for between the two.
    """

    share: float
    strict: Interval
    closed: Interval


@dataclass(frozen=True)
class Tenth:
    """Rows whose predicted numbers are next to each other, and what their quantiles are worth."""

    rows: int
    #: The lowest and the highest predicted number.
    ends: tuple[float, float]
    #: The share of the true values from the lowest to the highest quantile, with its 95 % interval.
    covered: float
    interval: Interval
    #: The true values below the lowest quantile, and those above the highest one.
    below: Outside
    above: Outside
    #: The mean distance of the two.
    width: float

    @property
    def range(self) -> str:
        """The predicted numbers in words."""
        return " to ".join(format_number(end) for end in self.ends)


def divide(values: Float64s) -> list[Int64s]:
    """Return the numbers of the rows in ten parts of about the same size, by ascending value, shape [n]."""
    return [part for part in np.array_split(np.argsort(values, kind="stable"), _TENTHS) if len(part)]


def measure_tenths(predictions: NumberPredictions, truth: Float64s, clusters: Int64s | None) -> list[Tenth]:
    """Return what the quantiles are worth in each tenth of the predicted numbers.

    Args:
        predictions: What the model predicts, with quantiles.
        truth: The true numbers, shape [n].
        clusters: A number for each row, shape [n], the same for rows that depend on each other.
    """
    value, low, high = predictions.value.astype(np.float64), predictions.quantiles[:, 0], predictions.quantiles[:, -1]
    covered = find_covered(predictions, truth)
    tenths = []
    for rows in divide(value):
        of_rows = None if clusters is None else clusters[rows]
        tenths.append(
            Tenth(
                rows=len(rows),
                ends=(float(value[rows].min()), float(value[rows].max())),
                covered=float(covered[rows].mean()),
                interval=measure_share(covered[rows], of_rows),
                below=_measure_outside((low - truth)[rows], of_rows),
                above=_measure_outside((truth - high)[rows], of_rows),
                width=float((high - low)[rows].mean()),
            )
        )
    return tenths


def _measure_outside(excess: Float64s, clusters: Int64s | None) -> Outside:
    """Return the share of the rows that are beyond a quantile by more than 0, with that of 0 as the closed one."""
    strict, closed = np.asarray(excess > 0), np.asarray(excess >= 0)
    return Outside(float(strict.mean()), measure_share(strict, clusters), measure_share(closed, clusters))


def warn_of_tenths(tenths: Sequence[Tenth], levels: Sequence[float]) -> list[str]:
    """Return the outer quantiles that are far from true ones in tenths of the predictions, each in one sentence.

    Args:
        tenths: What the quantiles are worth in each.
        levels: The share of the true values that should lie below each quantile, ascending.
    """
    large = [tenth for tenth in tenths if tenth.rows >= _MIN_ROWS]
    sides = (
        (levels[0], "below", [(tenth, tenth.below) for tenth in large]),
        (1 - levels[-1], "above", [(tenth, tenth.above) for tenth in large]),
    )
    warnings = []
    for (asked, side, shares), level in zip(sides, (levels[0], levels[-1]), strict=True):
        often = [each for each in shares if each[1].strict.low > _FAR * asked]
        rarely = [each for each in shares if each[1].closed.high < asked / _FAR]
        if often:
            warnings.append(_describe(level, side, asked, max(often, key=lambda each: each[1].share), len(often)))
        if rarely:
            warnings.append(_describe(level, side, asked, min(rarely, key=lambda each: each[1].share), len(rarely)))
    return warnings


def _describe(level: float, side: str, asked: float, worst: tuple[Tenth, Outside], count: int) -> str:
    tenth, outside = worst
    more = "" if count == 1 else f", as far off in {count} of 10 tenths of the rows"
    return (
        f"quantile {level:g} is far from a true one where {tenth.range} is predicted{more}: {outside.share:.3g} of the "
        f"true values are {side} it (95 % interval {outside.strict}), and {asked:.4g} were to be"
    )
