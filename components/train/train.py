"""Fit a scikit-learn Pipeline, preprocessing included, and measure it on held-out rows.

Classification: gradient-boosted trees with histograms (scikit-learn's HistGradientBoostingClassifier, after
LightGBM: Ke et al., NeurIPS 2017), rare classes given more weight.
Anomaly: an isolation forest (Liu, Ting and Zhou, ICDM 2008) fitted on normal rows; its threshold is a quantile
of the scores of later normal rows.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from sklearn import metrics as sk
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from threadpoolctl import threadpool_limits

from kfp_edge.components.train.options import check_false_alarm_rate
from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import Float64s, Labels
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.evaluation import evaluate
from kfp_edge.ml.predictions import Predictions, predict

#: Share of the normal rows, the latest, that set the threshold and are not used for fitting.
_CALIBRATION_SHARE = 0.2
#: Number of rows from which a second thread makes fitting faster.
_PARALLEL_ROWS = 100_000
#: KFP keeps a ROC curve in its metadata store, so it must stay small.
_MAX_ROC_POINTS = 200


@dataclass(frozen=True)
class Evaluation:
    """Predictions and metrics on held-out rows.

    `roc` is (false positive rate, true positive rate, thresholds), each of at most 200 points; `confusion` is
    (class names, matrix[true][predicted]). Both are None where the labels are missing or all equal.
    """

    predictions: Predictions
    metrics: dict[str, float]
    roc: tuple[list[float], list[float], list[float]] | None
    confusion: tuple[list[str], list[list[int]]] | None


def limit_threads(data: Dataset) -> AbstractContextManager[object]:
    """Return a context that limits OpenMP to one thread where `data` is small.

    OpenMP's threads spin while they wait for each other: on a busy machine, small steps take many times longer with
    two threads than with one, and on an idle machine they gain nothing.
    """
    return threadpool_limits(1, user_api="openmp") if len(data.frame) < _PARALLEL_ROWS else nullcontext()


def fit(data: Dataset, *, seed: int, false_alarm_rate: float) -> Pipeline:
    """Fit the Pipeline for the data's task.

    Args:
        data: The training rows.
        seed: Random seed; the same data and seed give the same Pipeline.
        false_alarm_rate: Anomaly only: share of normal rows that may raise an alarm.

    Raises:
        DataError: there are too few rows to set a threshold.
        ParameterError: the false-alarm rate is outside (0, 0.5].
    """
    if data.roles.task == "classification":
        return _fit_classifier(data, seed)
    return _fit_detector(data, seed, false_alarm_rate)


def measure(estimator: Pipeline, data: Dataset) -> Evaluation:
    """Measure a fitted Pipeline on held-out rows."""
    predictions = predict(estimator, data)
    labels = data.y() if data.roles.target else None
    metrics = evaluate(predictions, labels)
    if labels is None or len(np.unique(labels)) < 2:
        return Evaluation(predictions, metrics, None, None)
    return Evaluation(predictions, metrics, _compute_roc(predictions, labels), _compute_confusion(predictions, labels))


def _fit_classifier(data: Dataset, seed: int) -> Pipeline:
    model = HistGradientBoostingClassifier(random_state=seed)
    steps = [("prepare", _make_preprocessing(data.roles, "passthrough"))] if data.roles.categorical else []
    return Pipeline([*steps, ("model", model)]).fit(data.x(), data.y(), model__sample_weight=_compute_weights(data.y()))


def _compute_weights(labels: Labels) -> Float64s:
    """Weight each row by the square root of the inverse frequency of its class.

    The inverse frequency itself detects a few more failures, but with many more false alarms and probabilities that
    are far too high.
    """
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    class_weights: Float64s = np.sqrt(len(labels) / (len(counts) * counts))
    return class_weights[codes]


def _fit_detector(data: Dataset, seed: int, false_alarm_rate: float) -> Pipeline:
    check_false_alarm_rate(false_alarm_rate)
    normal = data.x()[data.y() == 0] if data.roles.target else data.x()
    calibration_rows = round(len(normal) * _CALIBRATION_SHARE)
    if calibration_rows * false_alarm_rate < 0.1:
        raise DataError(
            f"{len(normal)} normal training rows are too few to set a threshold for a false-alarm rate of "
            f"{false_alarm_rate:g}; give at least {int(0.1 / (_CALIBRATION_SHARE * false_alarm_rate)) + 1} rows "
            "or a larger false_alarm_rate."
        )
    forest = IsolationForest(n_estimators=200, random_state=seed)
    estimator = Pipeline(
        [("prepare", _make_preprocessing(data.roles, SimpleImputer(strategy="median"))), ("model", forest)]
    )
    estimator.fit(normal.iloc[:-calibration_rows])
    forest.offset_ = np.quantile(estimator.score_samples(normal.iloc[-calibration_rows:]), false_alarm_rate)
    return estimator


def _make_preprocessing(roles: Roles, numeric: SimpleImputer | str) -> ColumnTransformer | SimpleImputer | str:
    if not roles.categorical:
        return numeric
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [("numeric", numeric, list(roles.numeric)), ("categorical", one_hot, list(roles.categorical))]
    )


def _compute_roc(predictions: Predictions, labels: Labels) -> tuple[list[float], list[float], list[float]] | None:
    if len(predictions.classes) != 2:
        return None
    rates = sk.roc_curve(labels == predictions.classes[-1], predictions.ranking_score)
    indices = np.unique(np.linspace(0, len(rates[0]) - 1, _MAX_ROC_POINTS).astype(int))
    false, true, thresholds = (np.asarray(rate, dtype=float)[indices] for rate in rates)
    # scikit-learn's first threshold is infinite, which JSON cannot represent
    thresholds = np.where(np.isfinite(thresholds), thresholds, predictions.ranking_score.max() + 1)
    return false.tolist(), true.tolist(), thresholds.tolist()


def _compute_confusion(predictions: Predictions, labels: Labels) -> tuple[list[str], list[list[int]]]:
    matrix = sk.confusion_matrix(labels, predictions.label, labels=list(predictions.classes))
    return [str(name) for name in predictions.classes], matrix.tolist()
