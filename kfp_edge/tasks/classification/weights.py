"""The weights of classes: those that balance rare ones, and those that a user gives."""

from collections.abc import Mapping

import numpy as np

from kfp_edge.errors import ParameterError
from kfp_edge.ml.arrays import ClassLabel, Float64s, Int64s, Labels
from kfp_edge.suggestions import suggest_or


def compute_weights(labels: Labels) -> Float64s:
    """Weight each row, shape [rows], by the square root of the inverse frequency of its class.

    The inverse frequency itself detects a few more failures, but with many more false alarms and probabilities that
    are far too high.
    """
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return _weight_classes(counts)[codes]


def compute_class_weights(labels: Labels) -> dict[ClassLabel, float]:
    """Return the same weights by class."""
    classes, counts = np.unique(labels, return_counts=True)
    return dict(zip(classes.tolist(), _weight_classes(counts).tolist(), strict=True))


def _weight_classes(counts: Int64s) -> Float64s:
    weights: Float64s = np.sqrt(counts.sum() / (len(counts) * counts))
    return weights


def name_classes(class_weight: object, labels: Labels) -> object:
    """Return the weights that a user gives with the labels of the data as keys, which are always text in JSON.

    Rows may lack a class, such as those of a fold; but an unknown name beside a class without a weight is a mistake.

    Raises:
        ParameterError: a key is no class of these rows, and one of their classes has no weight.
    """
    if not isinstance(class_weight, Mapping):
        return class_weight
    classes = {str(label): label for label in np.unique(labels).tolist()}
    names = [str(name) for name in class_weight]
    for name in names:
        if name not in classes and not classes.keys() <= set(names):
            hint = suggest_or(str(name), classes, f"its classes are {', '.join(classes)}.")
            raise ParameterError(f"class_weight has the class {name!r}, which the training rows do not have; {hint}")
    return {classes.get(name, name): weight for name, weight in zip(names, class_weight.values(), strict=True)}
