"""Fit a scikit-learn Pipeline, preprocessing included, and measure it on held-out rows.

Classification: gradient-boosted trees with histograms (scikit-learn's HistGradientBoostingClassifier, after
LightGBM: Ke et al., NeurIPS 2017), rare classes given more weight.
Anomaly: an isolation forest (Liu, Ting and Zhou, ICDM 2008) fitted on normal rows, its threshold set on the
normal rows' own score quantile.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from threadpoolctl import threadpool_limits

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.metrics import Predictions, classes_of, evaluate

#: Share of the normal rows, the latest, that sets the threshold and is not used for fitting.
_CALIBRATION = 0.2
#: Rows from which a second thread pays.
_PARALLEL_ROWS = 100_000
#: KFP keeps a ROC curve in its metadata, so it must stay small.
_ROC_POINTS = 200


@dataclass(frozen=True)
class Evaluation:
    """What a model does on held-out rows.

    `roc` is (false positive rate, true positive rate, thresholds), each of at most 200 points; `confusion` is
    (class names, matrix[true][predicted]). Both are None where there are no labels of two kinds.
    """

    predictions: Predictions
    metrics: dict[str, float]
    roc: tuple[list[float], list[float], list[float]] | None
    confusion: tuple[list[str], list[list[int]]] | None


def threads_for(data: Dataset) -> AbstractContextManager[object]:
    """Return a context in which small data is worked on by one thread.

    OpenMP's threads spin while they wait for each other: on a machine with other work, small steps take many
    times longer with two threads than with one, and on an idle machine they gain nothing.
    """
    return threadpool_limits(1, user_api="openmp") if len(data.frame) < _PARALLEL_ROWS else nullcontext()


def fit(data: Dataset, *, seed: int, false_alarm_rate: float) -> Pipeline:
    """Fit the Pipeline that the data's task asks for.

    Raises:
        KfpEdgeError: too few rows, or a false-alarm rate outside (0, 0.5].
    """
    if data.roles.task == "classification":
        return _fit_classifier(data, seed)
    return _fit_detector(data, seed, false_alarm_rate)


def measure(estimator: Pipeline, data: Dataset) -> Evaluation:
    """Measure a fitted Pipeline on held-out rows."""
    predictions = predict(estimator, data)
    labels = data.y() if data.roles.target else None
    found = evaluate(predictions, labels)
    if labels is None or len(np.unique(labels)) < 2:
        return Evaluation(predictions, found, None, None)
    return Evaluation(predictions, found, _roc(predictions, labels), _confusion(predictions, labels))


def predict(estimator: Pipeline, data: Dataset) -> Predictions:
    """Return what a Pipeline made by `fit` says of the rows of `data`."""
    if data.roles.task == "classification":
        probabilities = estimator.predict_proba(data.x())
        classes = classes_of(estimator.classes_)
        return Predictions(estimator.predict(data.x()), probabilities=probabilities, classes=classes)
    score = -estimator.score_samples(data.x())
    threshold = -float(estimator[-1].offset_)
    return Predictions((score > threshold).astype(np.int64), score=score, classes=(0, 1), threshold=threshold)


def _fit_classifier(data: Dataset, seed: int) -> Pipeline:
    model = HistGradientBoostingClassifier(random_state=seed)
    steps = [("prepare", _prepare(data.roles, "passthrough"))] if data.roles.categorical else []
    return Pipeline([*steps, ("model", model)]).fit(data.x(), data.y(), model__sample_weight=_weights(data.y()))


def _weights(labels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Weigh a row by the square root of its class's inverse frequency.

    The full inverse finds a few more failures, at many more false alarms and with probabilities far too high.
    """
    _, kind, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights: npt.NDArray[np.float64] = np.sqrt(len(labels) / (len(counts) * counts))
    return weights[kind]


def _fit_detector(data: Dataset, seed: int, false_alarm_rate: float) -> Pipeline:
    if not 0 < false_alarm_rate <= 0.5:
        raise KfpEdgeError(f"false_alarm_rate is {false_alarm_rate:g}; give a share above 0 and at most 0.5.")
    normal = data.x()[data.y() == 0] if data.roles.target else data.x()
    held_back = round(len(normal) * _CALIBRATION)
    if held_back * false_alarm_rate < 0.1:
        raise KfpEdgeError(
            f"{len(normal)} normal training rows are too few to set a threshold for a false-alarm rate of "
            f"{false_alarm_rate:g}; give at least {int(0.1 / (_CALIBRATION * false_alarm_rate)) + 1} rows "
            "or a larger false_alarm_rate."
        )
    forest = IsolationForest(n_estimators=200, random_state=seed)
    estimator = Pipeline([("prepare", _prepare(data.roles, SimpleImputer(strategy="median"))), ("model", forest)])
    estimator.fit(normal.iloc[:-held_back])
    forest.offset_ = np.quantile(estimator.score_samples(normal.iloc[-held_back:]), false_alarm_rate)
    return estimator


def _prepare(roles: Roles, numeric: Any) -> Any:
    if not roles.categorical:
        return numeric
    known = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [("numeric", numeric, list(roles.numeric)), ("categorical", known, list(roles.categorical))]
    )


def _roc(predictions: Predictions, labels: npt.NDArray[Any]) -> tuple[list[float], list[float], list[float]] | None:
    if len(predictions.classes) != 2:
        return None
    rates = sk.roc_curve(labels == predictions.classes[-1], predictions.positive)
    kept = np.unique(np.linspace(0, len(rates[0]) - 1, _ROC_POINTS).astype(int))
    false, true, thresholds = (np.asarray(rate, dtype=float)[kept] for rate in rates)
    # scikit-learn starts with an infinite threshold, which JSON cannot hold
    thresholds = np.where(np.isfinite(thresholds), thresholds, predictions.positive.max() + 1)
    return false.tolist(), true.tolist(), thresholds.tolist()


def _confusion(predictions: Predictions, labels: npt.NDArray[Any]) -> tuple[list[str], list[list[int]]]:
    matrix = sk.confusion_matrix(labels, predictions.label, labels=list(predictions.classes))
    return [str(name) for name in predictions.classes], matrix.tolist()
