"""Predictions of a model, in the form that metrics, parity and reports share."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from kfp_edge.errors import DataError, ModelError
from kfp_edge.ml.arrays import ClassLabel, Float64s, Floats, Labels
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.missing_text import mark_missing_text

#: How far the probabilities of a row may miss the sum 1: more than rounding in half precision, less than any scores.
_SUM_TOLERANCE = 0.01


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
    #: The class that metrics of two classes describe; None stands for the last one.
    positive: ClassLabel | None = None

    @cached_property
    def normalized_probabilities(self) -> Float64s:
        """The probabilities in double precision, shape [n, classes], every row divided by its sum.

        In single precision, as ONNX and forests compute them, a row misses the sum 1 by rounding.

        Raises:
            ModelError: they are no probabilities: missing, negative, or with another sum than 1.
        """
        assert self.probabilities is not None
        rows = self.probabilities.astype(np.float64)
        sums = rows.sum(axis=1, keepdims=True)
        wrong = ~np.isfinite(sums[:, 0]) | (rows < 0).any(axis=1) | (np.abs(sums[:, 0] - 1) > _SUM_TOLERANCE)
        if wrong.any():
            example = ", ".join(f"{value:g}" for value in rows[np.argmax(wrong)][:5])
            raise ModelError(
                f"the model gives no valid probabilities for {int(wrong.sum()):,} of {len(rows):,} rows, such as "
                f"{example}: they must be numbers from 0 to 1 with the sum 1; train or export the model again."
            )
        normalized: Float64s = rows / sums
        return normalized

    @property
    def positive_class(self) -> ClassLabel:
        """The class that metrics of two classes describe; of a detector it is 1, an anomaly.

        Raises:
            DataError: the model knows no such class.
        """
        positive = self.classes[-1] if self.positive is None else self.positive
        if positive not in self.classes:
            known = ", ".join(repr(name) for name in self.classes)
            raise DataError(f"the positive class is {positive!r}, which the model does not know; its classes: {known}.")
        return positive

    @property
    def margin(self) -> Floats:
        """How far each row's number is from another label, shape [n].

        It is the lead of the most probable class over the next one, or the distance of the score from the threshold.
        """
        if self.score is not None:
            distance: Floats = np.abs(self.score - self.threshold)
            return distance
        assert self.probabilities is not None
        second, first = np.partition(self.probabilities, (-2, -1), axis=1)[:, -2:].T
        lead: Floats = first - second
        return lead

    @property
    def positive_probability(self) -> Float64s:
        """The probability of the positive class, shape [n].

        Raises:
            ModelError: the numbers are no probabilities.
        """
        return self.normalized_probabilities[:, self.classes.index(self.positive_class)]

    @property
    def ranking_score(self) -> Floats:
        """The number that ranks rows: the probability of the positive class, or the anomaly score; shape [n].

        It is in single precision: rows that differ only in the rounding of double precision are equal at the edge.

        Raises:
            ModelError: the numbers are no probabilities, or the score is missing.
        """
        if self.score is None:
            return self.positive_probability.astype(np.float32)
        missing = int(np.isnan(self.score).sum())
        if missing:
            raise ModelError(
                f"the model's score is missing (NaN) in {missing:,} of {len(self.score):,} rows; "
                "train or export the model again."
            )
        return self.score.astype(np.float32)


def predict(estimator: BaseEstimator, data: Dataset) -> Predictions:
    """Run a fitted classifier, or an isolation forest, alone or at the end of a Pipeline, on the rows of `data`.

    A missing text is what it was where the estimator was trained.
    """
    rows = mark_missing_text(estimator, data.x())
    if data.roles.task == "classification":
        return Predictions(
            estimator.predict(rows),
            probabilities=estimator.predict_proba(rows),
            classes=to_class_labels(estimator.classes_),
            positive=data.roles.positive,
        )
    score = -estimator.score_samples(rows)
    threshold = -float(final_estimator(estimator).offset_)
    return Predictions((score > threshold).astype(np.int64), score=score, classes=(0, 1), threshold=threshold)


def final_estimator(estimator: BaseEstimator) -> BaseEstimator:
    """Return the last step of a Pipeline, or the estimator itself where it is none."""
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def to_class_labels(values: Iterable[ClassLabel | np.generic]) -> tuple[ClassLabel, ...]:
    """Return class labels as plain Python integers or strings."""
    return tuple(value.item() if isinstance(value, np.generic) else value for value in values)
