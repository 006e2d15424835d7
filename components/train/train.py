"""Fit a scikit-learn Pipeline, preprocessing included, and measure it on held-out rows.

Classification: gradient-boosted trees with histograms (scikit-learn's HistGradientBoostingClassifier, after
LightGBM: Ke et al., NeurIPS 2017), rare classes given more weight (`classifier.py`).
Anomaly: an isolation forest (`detector.py`).
"""

from dataclasses import dataclass

import numpy as np
from sklearn import metrics as sk
from sklearn.pipeline import Pipeline

from kfp_edge.components.train.classifier import fit_trees, make_samples
from kfp_edge.components.train.detector import fit_detector
from kfp_edge.ml.arrays import Labels
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.evaluation import count_confusion
from kfp_edge.ml.measurement import Measurement, measure_predictions
from kfp_edge.ml.memory import return_freed_memory
from kfp_edge.ml.predictions import Predictions, predict
from kfp_edge.ml.threads import limit_threads

#: KFP keeps a ROC curve in its metadata store, so it must stay small.
_MAX_ROC_POINTS = 200


@dataclass(frozen=True)
class Evaluation:
    """Predictions on held-out rows, and what was measured on them.

    `roc` is (false positive rate, true positive rate, thresholds), each of at most 200 points; `confusion` is
    (class names, matrix[true][predicted]), of two classes the positive one last. Both are None where the labels are
    missing or all equal.
    """

    predictions: Predictions
    measurement: Measurement
    roc: tuple[list[float], list[float], list[float]] | None
    confusion: tuple[list[str], list[list[int]]] | None

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by name."""
        return self.measurement.metrics


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
    with limit_threads(data):
        if data.roles.task != "classification":
            return fit_detector(data, seed, false_alarm_rate)
        samples = make_samples(data, seed)
        del data  # where the caller does not hold the rows either, they are freed before the trees need memory
        return_freed_memory()
        return fit_trees(samples, seed)


def measure(estimator: Pipeline, data: Dataset) -> Evaluation:
    """Measure a fitted Pipeline on held-out rows."""
    predictions = predict(estimator, data)
    measurement = measure_predictions(predictions, data)
    labels = data.y() if data.roles.target else None
    if labels is None or len(np.unique(labels)) < 2:
        return Evaluation(predictions, measurement, None, None)
    roc, confusion = _compute_roc(predictions, labels), _compute_confusion(predictions, labels)
    return Evaluation(predictions, measurement, roc, confusion)


def _compute_roc(predictions: Predictions, labels: Labels) -> tuple[list[float], list[float], list[float]] | None:
    if len(predictions.classes) != 2:
        return None
    rates = sk.roc_curve(labels == predictions.positive_class, predictions.ranking_score)
    indices = np.unique(np.linspace(0, len(rates[0]) - 1, _MAX_ROC_POINTS).astype(int))
    false, true, thresholds = (np.asarray(rate, dtype=float)[indices] for rate in rates)
    # scikit-learn's first threshold is infinite, which JSON cannot represent
    thresholds = np.where(np.isfinite(thresholds), thresholds, predictions.ranking_score.max() + 1)
    return false.tolist(), true.tolist(), thresholds.tolist()


def _compute_confusion(predictions: Predictions, labels: Labels) -> tuple[list[str], list[list[int]]]:
    classes = predictions.classes
    order = list(range(len(classes)))
    if len(classes) == 2:
        order.sort(key=lambda code: classes[code] == predictions.positive_class)
    matrix = count_confusion(predictions, labels)[np.ix_(order, order)]
    return [str(classes[code]) for code in order], matrix.tolist()
