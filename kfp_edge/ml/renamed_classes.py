"""A fitted classifier whose classes have other names in the data than where it was trained, such as 0 and 1."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import Pipeline

from kfp_edge.ml.arrays import ClassLabel, Floats, Labels


class RenamedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Answers as a fitted classifier does, with other labels.

    Args:
        estimator: The fitted classifier.
        classes: The new label of each of its classes, in its order.
    """

    def __init__(self, estimator: BaseEstimator, classes: Sequence[ClassLabel]) -> None:
        self.estimator = estimator
        self.classes = classes

    @property
    def classes_(self) -> Labels:
        """The new labels in the order of the probabilities, shape [classes]."""
        return np.array(self.classes, object if isinstance(self.classes[0], str) else np.int64)

    def fit(self, rows: pd.DataFrame, labels: Labels) -> Self:
        """Return the classifier, which is fitted already."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, rows: pd.DataFrame) -> Labels:
        """Return the new label of each row, shape [rows]."""
        positions = np.searchsorted(self.estimator.classes_, self.estimator.predict(rows))
        renamed: Labels = self.classes_[positions]
        return renamed

    def predict_proba(self, rows: pd.DataFrame) -> Floats:
        """Return the probability of each class, shape [rows, classes]."""
        probabilities: Floats = self.estimator.predict_proba(rows)
        return probabilities


def rename_classes(estimator: BaseEstimator, classes: Sequence[ClassLabel]) -> BaseEstimator:
    """Return a fitted classifier, alone or at the end of a Pipeline, that gives other labels, in its classes' order.

    One that has these labels already, and an estimator without classes, stay as they are.
    """
    own = getattr(estimator, "classes_", None)
    if own is None or len(own) != len(classes) or list(own) == list(classes):
        return estimator
    if isinstance(estimator, Pipeline):  # whose first steps are looked at for missing texts
        name, final = estimator.steps[-1]
        return Pipeline([*estimator.steps[:-1], (name, rename_classes(final, classes))])
    return RenamedClassifier(estimator, classes)
