"""Evaluates a query, at many times at once: a subquery has hundreds of steps.

The rules are those of Prometheus 2: https://prometheus.io/docs/prometheus/latest/querying/.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np

from kfp_edge.fleet.simulation.metrics.expressions import (
    Aggregation,
    Binary,
    Call,
    Expression,
    Number,
    QueryError,
    Selector,
    Subquery,
)
from kfp_edge.fleet.simulation.metrics.store import MetricStore, Numbers, Series

#: How long the last sample of a series counts, in seconds.
_LOOKBACK = 300
#: Sorted pairs of name and value.
Labels: TypeAlias = tuple[tuple[str, str], ...]
#: A value for each time; NaN where there is none.
Vector: TypeAlias = dict[Labels, Numbers]


def evaluate(store: MetricStore, expression: Expression, time: float) -> dict[Labels, float]:
    """Return the instant vector of a query.

    Args:
        store: The samples.
        expression: What to evaluate.
        time: Seconds since 1970.

    Raises:
        QueryError: the query has no vector as its result.
    """
    vector = _Evaluation(store).evaluate(expression, np.array([time]))
    return {labels: float(values[0]) for labels, values in vector.items() if not np.isnan(values[0])}


class _Evaluation:
    def __init__(self, store: MetricStore) -> None:
        self._store = store

    def evaluate(self, expression: Expression, times: Numbers) -> Vector:
        match expression:
            case Selector(window=0):
                return self._per_series(expression, lambda series: _last_samples(series, times - expression.offset)[1])
            case Call():
                return self._call(expression, times)
            case Aggregation():
                return self._aggregate(expression, times)
            case Binary():
                return self._combine(expression, times)
            case _:
                raise QueryError("a number, or samples over a time, are no vector")

    def _per_series(self, selector: Selector, compute: Callable[[Series], Numbers]) -> Vector:
        return {
            _sorted(series.labels): compute(series)
            for series in self._store.named(selector.name)
            if all(matcher.matches(series.labels) for matcher in selector.matchers)
        }

    def _call(self, call: Call, times: Numbers) -> Vector:
        argument = call.argument
        if call.function == "timestamp" and isinstance(argument, Selector):
            return self._per_series(argument, lambda series: _last_samples(series, times - argument.offset)[0])
        if call.function == "timestamp":
            present = self.evaluate(argument, times)
            return {labels: np.where(np.isnan(values), np.nan, times) for labels, values in present.items()}
        if call.function == "increase" and isinstance(argument, Selector) and argument.window:
            return self._per_series(argument, lambda series: _increase(series, argument.window, times))
        if call.function.endswith("_over_time") and isinstance(argument, Subquery):
            return self._over_time(call.function, argument, times)
        if call.function == "max_over_time" and isinstance(argument, Selector) and argument.window:
            return self._per_series(argument, lambda series: _largest(series, argument.window, times))
        raise QueryError(f"{call.function} of this argument is not known here")

    def _over_time(self, function: str, subquery: Subquery, times: Numbers) -> Vector:
        if len(times) != 1:
            raise QueryError("a subquery inside another one is not known here")
        # multiples of the step, whatever the time of the query
        first = np.ceil((times[0] - subquery.window) / subquery.step)
        steps = np.arange(first, np.floor(times[0] / subquery.step) + 1) * subquery.step
        reduce = _REDUCE[function]
        inner = self.evaluate(subquery.expression, steps)
        present = ((labels, values[~np.isnan(values)]) for labels, values in inner.items())
        return {labels: np.array([reduce(values)]) for labels, values in present if len(values)}

    def _aggregate(self, aggregation: Aggregation, times: Numbers) -> Vector:
        groups: dict[Labels, list[Numbers]] = defaultdict(list)
        for labels, values in self.evaluate(aggregation.argument, times).items():
            groups[_sorted(dict(labels), aggregation.by)].append(values)
        return {labels: _AGGREGATE[aggregation.operation](np.stack(rows)) for labels, rows in groups.items()}

    def _combine(self, binary: Binary, times: Numbers) -> Vector:
        left = self.evaluate(binary.left, times)
        if isinstance(binary.right, Number):
            if binary.operator == "and":
                raise QueryError("and has vectors on both sides")
            factor = binary.right.value
            return {labels: values * factor for labels, values in left.items()}
        others: dict[Labels, Numbers] = {}
        for labels, values in self.evaluate(binary.right, times).items():
            key = _sorted(dict(labels), binary.on)
            others[key] = np.where(np.isnan(values), others.get(key, np.full(len(times), np.nan)), values)
        combined: Vector = {}
        for labels, values in left.items():
            other = others.get(_sorted(dict(labels), binary.on))
            if other is None:
                continue
            is_and = binary.operator == "and"
            combined[labels] = np.where(np.isnan(other), np.nan, values) if is_and else values * other
        return combined


def _sorted(labels: dict[str, str], keep: Iterable[str] | None = None) -> Labels:
    """Return the labels to be kept, in pairs: all of them if `keep` is None."""
    names = labels if keep is None else [name for name in keep if labels.get(name)]
    return tuple(sorted((name, labels[name]) for name in names))


def _last_samples(series: Series, times: Numbers) -> tuple[Numbers, Numbers]:
    """Return time and value of the last sample at each time; NaN where it is too old, or its series has ended."""
    sampled, values = series.arrays()
    index = np.searchsorted(sampled, times, side="right") - 1
    is_known = (index >= 0) & (times - sampled[index] <= _LOOKBACK) & ~np.isnan(values[index])
    return np.where(is_known, sampled[index], np.nan), np.where(is_known, values[index], np.nan)


def _windows(series: Series, window: int, times: Numbers) -> tuple[Numbers, Numbers, np.ndarray, np.ndarray]:
    """Return times and values of a series, and which of them are in the window before each time: from, and up to."""
    sampled, values = series.arrays()
    kept = ~np.isnan(values)
    sampled, values = sampled[kept], values[kept]
    start = np.searchsorted(sampled, times - window, side="left")
    return sampled, values, start, np.searchsorted(sampled, times, side="right")


def _largest(series: Series, window: int, times: Numbers) -> Numbers:
    _, values, start, end = _windows(series, window, times)
    pairs = zip(start, end, strict=True)
    return np.array([values[first:last].max() if last > first else np.nan for first, last in pairs])


def _increase(series: Series, window: int, times: Numbers) -> Numbers:
    """Return how much a counter grew, extrapolated to the whole window; a counter that falls began anew."""
    sampled, values, start, end = _windows(series, window, times)
    counts = end - start
    result = np.full(len(times), np.nan)
    enough = counts >= 2
    if not enough.any():
        return result
    first, last, number = start[enough], end[enough] - 1, counts[enough]
    lost = np.concatenate([[0.0], np.cumsum(np.where(np.diff(values) < 0, values[:-1], 0.0))])
    grown = (values + lost)[last] - (values + lost)[first]
    covered = sampled[last] - sampled[first]
    apart = covered / (number - 1)
    before = sampled[first] - (times[enough] - window)
    after = times[enough] - sampled[last]
    with np.errstate(divide="ignore", invalid="ignore"):
        since_zero = np.where((grown > 0) & (values[first] >= 0), covered * values[first] / grown, np.inf)
    before = np.minimum(before, since_zero)
    before = np.where(before < 1.1 * apart, before, apart / 2)
    after = np.where(after < 1.1 * apart, after, apart / 2)
    result[enough] = grown * (covered + before + after) / covered
    return result


def _sum(rows: Numbers) -> Numbers:
    return np.where(np.isnan(rows).all(axis=0), np.nan, np.nansum(rows, axis=0))


def _max(rows: Numbers) -> Numbers:
    largest = np.where(np.isnan(rows), -np.inf, rows).max(axis=0)
    return np.where(np.isnan(rows).all(axis=0), np.nan, largest)


def _count(rows: Numbers) -> Numbers:
    counts = (~np.isnan(rows)).sum(axis=0).astype(float)
    return np.where(counts == 0, np.nan, counts)


_REDUCE: dict[str, Callable[[Numbers], float]] = {
    "max_over_time": lambda values: float(values.max()),
    "sum_over_time": lambda values: float(values.sum()),
    "count_over_time": lambda values: float(len(values)),
}
_AGGREGATE: dict[str, Callable[[Numbers], Numbers]] = {"sum": _sum, "max": _max, "count": _count}
