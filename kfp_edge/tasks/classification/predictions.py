"""Predictions of a classifier."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from kfp_edge.errors import DataError, ModelError
from kfp_edge.ml.arrays import ClassLabel, Float64s, Floats, Labels
from kfp_edge.ml.decision import Decision
from kfp_edge.tasks.predictions import Answers, Predictions

#: How far the probabilities of a row may miss the sum 1: more than rounding in half precision, less than any scores.
_SUM_TOLERANCE = 0.01
#: How far below 0 the single-precision sum of a forest's votes may be.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class ClassPredictions(Predictions):
    """The labels of n rows, shape [n], and the probability of every class, shape [n, classes]."""

    label: Labels
    probabilities: Floats
    #: The classes in the order of the probabilities.
    classes: tuple[ClassLabel, ...]
    #: The class that metrics of two classes describe; None stands for the last one.
    positive: ClassLabel | None = field(default=None, kw_only=True)
    #: By which threshold the labels were decided; None where they are the most probable classes.
    decision: Decision | None = field(default=None, kw_only=True)

    @cached_property
    def normalized_probabilities(self) -> Float64s:
        """The probabilities in double precision, shape [n, classes], every row divided by its sum.

        In single precision, as ONNX and forests compute them, a row misses the sum 1 by rounding.

        Raises:
            ModelError: they are no probabilities: missing, negative, or with another sum than 1.
        """
        rows = self.probabilities.astype(np.float64)
        sums = rows.sum(axis=1, keepdims=True)
        is_negative = (rows < -_ROUNDING).any(axis=1)
        wrong = ~np.isfinite(sums[:, 0]) | is_negative | (np.abs(sums[:, 0] - 1) > _SUM_TOLERANCE)
        if wrong.any():
            example = ", ".join(f"{value:g}" for value in rows[np.argmax(wrong)][:5])
            raise ModelError(
                f"the model gives no valid probabilities for {int(wrong.sum()):,} of {len(rows):,} rows, such as "
                f"{example}: they must be numbers from 0 to 1 with the sum 1; train or export the model again."
            )
        normalized: Float64s = rows.clip(0, None) / rows.clip(0, None).sum(axis=1, keepdims=True)
        return normalized

    @property
    def positive_class(self) -> ClassLabel:
        """The class that metrics of two classes describe.

        Raises:
            DataError: the model knows no such class.
        """
        positive = self.classes[-1] if self.positive is None else self.positive
        if positive not in self.classes:
            known = ", ".join(repr(name) for name in self.classes)
            raise DataError(f"the positive class is {positive!r}, which the model does not know; its classes: {known}.")
        return positive

    @property
    def numbers(self) -> Floats:
        """The probabilities, shape [n, classes]."""
        return self.probabilities

    @property
    def answers(self) -> Mapping[str, Answers]:
        """The probability of the positive class of two.

        Raises:
            DataError: the model knows no such class.
        """
        if len(self.classes) != 2:
            return {}
        index = self.classes.index(self.positive_class)
        return {"probability": Answers("probabilities", self.probabilities[:, index], str(self.positive_class))}

    @property
    def margin(self) -> Floats:
        """The lead of the most probable class over the next one, or the distance from the threshold; shape [n]."""
        if self.decision is not None:
            probability = self.probabilities[:, self.classes.index(self.decision.positive)]
            distance: Floats = np.abs(probability - self.decision.threshold)
            return distance
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
        """The probability of the positive class, by which rows are ranked, shape [n].

        It is in single precision: rows that differ only in the rounding of double precision are equal at the edge.

        Raises:
            ModelError: the numbers are no probabilities.
        """
        return self.positive_probability.astype(np.float32)

    def describe_row(self, row: int) -> str:
        """Return the label of one row with its probability, such as `1 (0.93)`."""
        label = self.label.reshape(-1)[row]
        return f"{label} ({float(self.probabilities[row, self.classes.index(label)]):.6g})"


def to_class_labels(values: Iterable[ClassLabel | np.generic]) -> tuple[ClassLabel, ...]:
    """Return class labels as plain Python integers or strings."""
    return tuple(value.item() if isinstance(value, np.generic) else value for value in values)
