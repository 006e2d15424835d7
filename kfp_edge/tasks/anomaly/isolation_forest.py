"""Fit an isolation forest (Liu, Ting and Zhou, ICDM 2008) on normal rows, and set its threshold.

The threshold is a quantile of the scores of normal rows that the scoring forest has not seen.
"""

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import Float64s, Int64s
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.tasks.anomaly.threshold_rows import (
    check_false_alarm_rate,
    choose_threshold_method,
    count_max_threshold_rows,
    count_normal_rows_for,
    count_threshold_rows,
    find_normal_rows,
)
from kfp_edge.tasks.preprocessing import make_preprocessing

#: The detector's number of trees.
_TREES = 200
#: Number of parts, each scored by a forest of so many trees that was fitted on the others: measured, more of either
#: cost more time and do not bring the false-alarm rate nearer to the one asked for.
_FOLDS, _FOLD_TREES = 3, 100
#: Rows that a forest for scoring is fitted on at most.
_MAX_FITTED_ROWS = 100_000
#: A threshold needs rows of which, at the rate asked for, at least this many raise an alarm on average.
_MIN_ALARMS = 0.1


def fit_detector(data: Dataset, seed: int, false_alarm_rate: float) -> Pipeline:
    """Fit a Pipeline whose last step is the forest; its `offset_` is the threshold.

    Args:
        data: The training rows.
        seed: Random seed.
        false_alarm_rate: Share of normal rows that may raise an alarm.

    Raises:
        DataError: there are too few rows to set a threshold.
        ParameterError: the false-alarm rate is outside (0, 0.5].
    """
    check_false_alarm_rate(false_alarm_rate)
    is_normal, method = find_normal_rows(data), choose_threshold_method(data)
    normal, threshold_rows = data.x()[is_normal], count_threshold_rows(data)
    if threshold_rows * false_alarm_rate < _MIN_ALARMS:
        least = count_normal_rows_for(_MIN_ALARMS / false_alarm_rate, method)
        raise DataError(
            f"{len(normal):,} normal training rows are too few to set a threshold for a false-alarm rate of "
            f"{false_alarm_rate:g}; give at least {least:,} rows or a larger false_alarm_rate."
        )
    max_rows = count_max_threshold_rows(false_alarm_rate)
    if method == "latest":
        cut = len(normal) - threshold_rows
        detector = _fit_forest(data.roles, normal.iloc[:cut], seed)
        scores = detector.score_samples(_thin_out(normal.iloc[cut:], max_rows))
    else:
        detector = _fit_forest(data.roles, normal, seed)
        scores = _score_unseen(data.roles, normal, _assign_folds(data, len(normal), seed), seed, max_rows)
    detector[-1].offset_ = np.quantile(scores, false_alarm_rate)
    return detector


def _fit_forest(roles: Roles, rows: pd.DataFrame, seed: int, trees: int = _TREES) -> Pipeline:
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    forest = IsolationForest(n_estimators=trees, random_state=seed)
    return Pipeline([("prepare", make_preprocessing(roles, rows, imputer)), ("model", forest)]).fit(rows)


def _assign_folds(data: Dataset, rows: int, seed: int) -> Int64s:
    """Return the fold of each normal row, shape [rows]: whole groups drawn at random, or blocks of consecutive rows."""
    if choose_threshold_method(data) == "blocks":
        return np.arange(rows) * _FOLDS // rows
    codes, groups = pd.factorize(data.frame[data.roles.group][find_normal_rows(data)], sort=True)
    order = np.random.default_rng(seed).permutation(len(groups))
    return np.asarray(order[codes] % _FOLDS, dtype=np.int64)


def _score_unseen(roles: Roles, normal: pd.DataFrame, folds: Int64s, seed: int, max_rows: int) -> Float64s:
    """Return the scores of at most about `max_rows` rows, each by a forest that was fitted on the other folds.

    A single draw of groups would make the threshold theirs: machines differ more from each other than rows of one do.
    """
    scores = []
    for fold in np.unique(folds):
        is_scored = folds == fold
        detector = _fit_forest(roles, _thin_out(normal[~is_scored], _MAX_FITTED_ROWS), seed, _FOLD_TREES)
        rows = max(round(max_rows * is_scored.mean()), 1)
        scores.append(detector.score_samples(_thin_out(normal[is_scored], rows)))
    return np.concatenate(scores)


def _thin_out(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return at most `count` rows, evenly spaced."""
    return rows if len(rows) <= count else rows.iloc[np.linspace(0, len(rows) - 1, count).astype(int)]
