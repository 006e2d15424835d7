"""Choose the decision threshold of a classifier of two classes, on rows that the scoring models have not seen.

A threshold lies in a gap between two scores: no row of those that set it is near it, where rounding could decide.
"""

from collections.abc import Mapping

import numpy as np

from kfp_edge.errors import DataError, ParameterError
from kfp_edge.metrics.costs import Costs, read_costs
from kfp_edge.ml.arrays import Float32s, Float64s, Int64s, Mask
from kfp_edge.suggestions import suggest

_COSTS: dict[str, tuple[float, float]] = {"missed_cost": (0, np.inf), "false_alarm_cost": (0, np.inf)}
#: What may be asked for: the names that stand together, each with its lower and upper bound.
_CHOICES: tuple[dict[str, tuple[float, float]], ...] = (
    _COSTS,
    {"recall": (0, 1)},
    {"false_alarm_rate": (0, 1)},
    {"probability": (0, 1)},
)
_BOUNDS = {name: bounds for choice in _CHOICES for name, bounds in choice.items()}
_EXAMPLE_OF_COSTS = "{missed_cost: 2000, false_alarm_cost: 200}"
_EXAMPLES = f"{_EXAMPLE_OF_COSTS}, {{recall: 0.9}}, {{false_alarm_rate: 0.01}} or {{probability: 0.3}}"


def parse_threshold(threshold: Mapping[str, object]) -> dict[str, float]:
    """Return what a user asks of the decision threshold, as numbers; empty for none.

    Raises:
        ParameterError: it is none of the choices, or a number is out of range.
    """
    if not isinstance(threshold, Mapping):
        is_share = isinstance(threshold, float) and 0 < threshold < 1
        hint = f"did you mean {{probability: {threshold:g}}}?" if is_share else f"give {_EXAMPLES}."
        raise ParameterError(f"threshold is {threshold!r}; {hint}")
    lacking = threshold.keys() ^ _COSTS.keys()
    if len(threshold) == len(lacking) == 1:
        name = min(lacking)
        raise ParameterError(f"threshold has {min(threshold)} without {name}; give both, such as {_EXAMPLE_OF_COSTS}.")
    for name in threshold:
        if name not in _BOUNDS:
            similar = suggest(str(name), _BOUNDS)
            hint = f"did you mean {similar}?" if similar else f"give {_EXAMPLES}."
            raise ParameterError(f"threshold has {name!r}, by which none can be chosen; {hint}")
    if threshold and not any(threshold.keys() == choice.keys() for choice in _CHOICES):
        names = " and ".join(threshold)
        raise ParameterError(f"threshold has {names}, of which only one can be met; give one of {_EXAMPLES}.")
    return {name: _parse_number(name, value) for name, value in threshold.items()}


def choose_threshold(asked: Mapping[str, float], truth: Mask, score: Float32s) -> float:
    """Return the threshold that serves best what was asked for; a row with a score above it is predicted positive.

    With costs it is the one with the least cost, of several the one in the widest gap; with a recall the highest one
    that reaches it; with a false-alarm rate the lowest one that stays within it.

    Args:
        asked: What `parse_threshold` returns, not empty.
        truth: Whether a row is of the positive class, shape [n].
        score: The probability of that class, shape [n], from models that have not seen the row.

    Raises:
        DataError: all rows are of one class.
    """
    if "probability" in asked:
        return float(np.float32(asked["probability"]))
    if truth.all() or not truth.any():
        raise DataError("a threshold cannot be chosen: all training rows are of one class; give rows of both.")
    lows = np.unique(np.concatenate([score, np.array([0, 1], dtype=np.float32)]))
    highs = np.append(lows[1:], np.float32(1))  # no score is above the last one
    missed, false = _count_mistakes(lows, truth, score)
    costs = read_costs(asked)
    if costs is not None:
        gap = _find_least_cost(costs, missed, false, highs - lows)
    elif "recall" in asked:
        recognized = truth.sum() - missed  # 1 - 45 / 50 would be less than 0.1
        gap = int(np.flatnonzero(recognized / truth.sum() >= asked["recall"]).max(initial=0))
    else:
        is_within = false / (~truth).sum() <= asked["false_alarm_rate"]
        gap = int(np.flatnonzero(is_within)[0])
    low, high = lows[gap], highs[gap]
    middle = np.float32((float(low) + float(high)) / 2)
    return float(middle if middle < high else low)


def measure_at(threshold: float, truth: Mask, score: Float32s) -> tuple[float, float]:
    """Return recall and false-alarm rate of a threshold; both classes occur."""
    alarm = score > np.float32(threshold)
    return float(alarm[truth].mean()), float(alarm[~truth].mean())


def _count_mistakes(lows: Float32s, truth: Mask, score: Float32s) -> tuple[Int64s, Int64s]:
    """Return missed positives and false alarms of each threshold in `lows`, both of shape [lows]."""
    missed = np.searchsorted(np.sort(score[truth]), lows, side="right")
    false = (~truth).sum() - np.searchsorted(np.sort(score[~truth]), lows, side="right")
    return missed.astype(np.int64), false.astype(np.int64)


def _find_least_cost(costs: Costs, missed: Int64s, false: Int64s, widths: Float32s) -> int:
    total: Float64s = costs.missed * missed + costs.false_alarm * false
    is_least = np.isclose(total, total.min(), rtol=1e-12, atol=0)
    return int(np.argmax(np.where(is_least, widths, -1)))


def _parse_number(name: str, value: object) -> float:
    low, high = _BOUNDS[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value <= high or value == np.inf:
        limits = "a number above 0" if np.isinf(high) else f"a share above {low:g} and at most {high:g}"
        hint = f"; did you mean {value / 100:g}?" if high == 1 and isinstance(value, int | float) and value > 1 else "."
        raise ParameterError(f"threshold has {name}={value!r}; give {limits}{hint}")
    return float(value)
