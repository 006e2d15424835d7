"""Predictions of a model, in the form that metrics, parity and reports share; every task has its own kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kfp_edge.ml.arrays import ClassLabel, Floats, Labels


@dataclass(frozen=True)
class Answers:
    """One number of each of n rows, shape [n], as the output tensor `tensor` has it."""

    tensor: str
    values: Floats
    #: The class whose probability it is, if it is one.
    positive: str | None = None


class Predictions(ABC):
    """What a model predicts for n rows."""

    #: What the model decides for each row, shape [n]; None where its answer is a number.
    label: Labels | None
    #: The classes of which a label is one; none where labels are no classes.
    classes: Sequence[ClassLabel]

    @property
    @abstractmethod
    def numbers(self) -> Floats:
        """The numbers behind the decisions, shape [n, k], which two models of the same data are compared by."""

    @property
    @abstractmethod
    def margin(self) -> Floats:
        """How far the numbers of each row are from another decision, shape [n]."""

    @property
    @abstractmethod
    def answers(self) -> Mapping[str, Answers]:
        """The numbers whose distribution is watched at the edge, by what they are; none of three or more classes."""

    @property
    def strata(self) -> Labels:
        """The kind of each answer, shape [n]: recorded samples have some rows of every kind."""
        assert self.label is not None
        return self.label.reshape(-1)

    def measure_difference(self, other: "Predictions") -> Floats:
        """Return how far the numbers of another model for the same rows are from these: the largest of each row, [n].

        Raises:
            ModelError: the other model gives other numbers.
        """
        difference: Floats = np.abs(self.numbers - other.numbers).max(axis=1)
        return difference

    @abstractmethod
    def describe_row(self, row: int) -> str:
        """Return the answer for one row in words, such as `1 (0.93)`."""
