"""The weights of classes: those that balance rare ones, and those that a user gives."""

from collections.abc import Mapping

import numpy as np

from kfp_edge.ml.arrays import ClassLabel, Float64s, Int64s, Labels


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
    """Return the weights that a user gives with the labels of the data as keys, which are always text in JSON."""
    if not isinstance(class_weight, Mapping):
        return class_weight
    classes = {str(label): label for label in np.unique(labels).tolist()}
    return {classes.get(str(name), name): weight for name, weight in class_weight.items()}
