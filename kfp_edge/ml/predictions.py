"""Predictions of a scikit-learn estimator, in the form that metrics, parity and reports share."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from kfp_edge.ml.arrays import ClassLabel, Floats, Labels
from kfp_edge.ml.dataset import Dataset


@dataclass(frozen=True)
class Predictions:
    """What a model predicts for n rows.

    `label` has shape [n]. A classifier has `probabilities`, shape [n, classes], in the order of `classes`;
    an anomaly detector has `score`, shape [n], higher being more anomalous, and labels 1 above `threshold`.
    """

    label: Labels
    probabilities: Floats | None = None
    score: Floats | None = None
    classes: tuple[ClassLabel, ...] = ()
    threshold: float = 0.0

    @property
    def ranking_score(self) -> Floats:
        """The number that ranks rows: the probability of the last class, or the anomaly score; shape [n]."""
        if self.score is not None:
            return self.score
        assert self.probabilities is not None
        return self.probabilities[:, -1]


def predict(estimator: BaseEstimator, data: Dataset) -> Predictions:
    """Run a fitted classifier, or an isolation forest, alone or at the end of a Pipeline, on the rows of `data`."""
    rows = data.x()
    if data.roles.task == "classification":
        classes = to_class_labels(estimator.classes_)
        return Predictions(estimator.predict(rows), probabilities=estimator.predict_proba(rows), classes=classes)
    score = -estimator.score_samples(rows)
    threshold = -float(final_estimator(estimator).offset_)
    return Predictions((score > threshold).astype(np.int64), score=score, classes=(0, 1), threshold=threshold)


def final_estimator(estimator: BaseEstimator) -> BaseEstimator:
    """Return the last step of a Pipeline, or the estimator itself where it is none."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def to_class_labels(values: Iterable[ClassLabel | np.generic]) -> tuple[ClassLabel, ...]:
    """Return class labels as plain Python integers or strings."""
    return tuple(value.item() if isinstance(value, np.generic) else value for value in values)
