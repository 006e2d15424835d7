"""Fit a detector on normal rows, and set its threshold.

The threshold is a quantile of the scores of normal rows that the scoring detector has not seen.
"""

import dataclasses

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from kfp_edge.errors import DataError
from kfp_edge.estimators.estimator import Estimator
from kfp_edge.estimators.registry import choose_estimator
from kfp_edge.ml.arrays import Float64s, Int64s, Mask
from kfp_edge.ml.dataset import Dataset
from kfp_edge.tasks.anomaly.threshold_rows import (
    check_false_alarm_rate,
    choose_threshold_method,
    count_max_threshold_rows,
    count_normal_rows_for,
    count_threshold_rows,
    select_normal_rows,
)
from kfp_edge.tasks.task import TrainingOptions

#: Number of parts, each scored by a detector that was fitted on the others: measured, more of them cost more time and
#: do not bring the false-alarm rate nearer to the one asked for.
_FOLDS = 3
#: Rows that a detector for scoring is fitted on at most.
_MAX_FITTED_ROWS = 100_000
#: A threshold needs rows of which, at the rate asked for, at least this many raise an alarm on average.
_MIN_ALARMS = 0.1
#: The least distance of the threshold from the nearest scores, relative to it: float32 rounds scores by less.
_MARGIN = 1e-5


def fit_detector(data: Dataset, options: TrainingOptions) -> Pipeline:
    """Fit a Pipeline whose last step is the detector; its `offset_` is the negative threshold.

    Args:
        data: The training rows.
        options: The estimator, the seed, and the share of normal rows that may raise an alarm.

    Raises:
        DataError: there are too few rows to set a threshold.
        ParameterError: the false-alarm rate is outside (0, 0.5], or there is no such estimator.
    """
    rate = options.false_alarm_rate
    check_false_alarm_rate(rate)
    estimator = choose_estimator(options.estimator, "anomaly")
    normal, method = select_normal_rows(data), choose_threshold_method(data)
    rows, threshold_rows = len(normal.frame), count_threshold_rows(data)
    if threshold_rows * rate < _MIN_ALARMS:
        least = count_normal_rows_for(_MIN_ALARMS / rate, method)
        raise DataError(
            f"{rows:,} normal training rows are too few to set a threshold for a false-alarm rate of {rate:g}; give at "
            f"least {least:,} rows or a larger false_alarm_rate."
        )
    max_rows = count_max_threshold_rows(rate)
    if method == "latest":
        is_scored = np.arange(rows) >= rows - threshold_rows
        detector = _fit(estimator, _take(normal, ~is_scored), options)
        scores = _score(detector, _thin_out(_take(normal, is_scored), max_rows))
    else:
        detector = _fit(estimator, normal, options)
        if not options.sets_threshold:
            estimator.set_threshold(detector[-1], 0.0)
            return detector
        scores = _score_unseen(estimator, normal, _assign_folds(normal, seed=options.seed), options, max_rows)
    estimator.set_threshold(detector[-1], _find_threshold(scores, rate))
    return detector


def _fit(estimator: Estimator, data: Dataset, options: TrainingOptions) -> Pipeline:
    rows = data if estimator.max_rows is None else _thin_out(data, estimator.max_rows)
    return estimator.fit(rows, options.seed, options.hyperparameters)


def _score(detector: Pipeline, data: Dataset) -> Float64s:
    return np.asarray(-detector.score_samples(data.x()))


def _find_threshold(scores: Float64s, rate: float) -> float:
    """Return a number above which the share `rate` of the scores lies, in the middle of the gap between two of them.

    On a score itself, rounding would decide about every row that has it.
    """
    quantile = float(np.quantile(scores, 1 - rate))
    below = float(scores[scores <= quantile].max())
    above = scores[scores > below + _MARGIN * max(1.0, abs(below))]
    return (below + float(above.min())) / 2 if len(above) else below + _MARGIN * max(1.0, abs(below))


def _assign_folds(normal: Dataset, seed: int) -> Int64s:
    """Return the fold of each normal row, shape [rows]: whole groups drawn at random, or blocks of consecutive rows."""
    rows = len(normal.frame)
    if choose_threshold_method(normal) == "blocks":
        return np.arange(rows) * _FOLDS // rows
    codes, groups = pd.factorize(normal.frame[normal.roles.group], sort=True)
    order = np.random.default_rng(seed).permutation(len(groups))
    return np.asarray(order[codes] % _FOLDS, dtype=np.int64)


def _score_unseen(
    estimator: Estimator, normal: Dataset, folds: Int64s, options: TrainingOptions, max_rows: int
) -> Float64s:
    """Return the scores of at most about `max_rows` rows, each by a detector that was fitted on the other folds.

    A single draw of groups would make the threshold theirs: machines differ more from each other than rows of one do.
    """
    hyperparameters = {**estimator.scoring_defaults, **options.hyperparameters}
    scoring_options = dataclasses.replace(options, hyperparameters=hyperparameters)
    scores = []
    for fold in np.unique(folds):
        is_scored = folds == fold
        detector = _fit(estimator, _thin_out(_take(normal, ~is_scored), _MAX_FITTED_ROWS), scoring_options)
        rows = max(round(max_rows * is_scored.mean()), 1)
        scores.append(_score(detector, _thin_out(_take(normal, is_scored), rows)))
    return np.concatenate(scores)


def _take(data: Dataset, selected: Mask) -> Dataset:
    return dataclasses.replace(data, frame=data.frame[selected])


def _thin_out(data: Dataset, count: int) -> Dataset:
    """Return at most `count` rows, evenly spaced."""
    rows = len(data.frame)
    if rows <= count:
        return data
    is_kept = np.zeros(rows, dtype=bool)
    is_kept[np.linspace(0, rows - 1, count).astype(int)] = True
    return _take(data, is_kept)
