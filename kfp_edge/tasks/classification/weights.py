"""The weights of classes: those that balance rare ones, and those that a user gives."""

from collections.abc import Mapping

import numpy as np

from kfp_edge.ml.arrays import Float64s, Labels


def compute_weights(labels: Labels) -> Float64s:
    """Weight each row, shape [rows], by the square root of the inverse frequency of its class.

    The inverse frequency itself detects a few more failures, but with many more false alarms and probabilities that
    are far too high.
    """
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    class_weights: Float64s = np.sqrt(counts.sum() / (len(counts) * counts))
    return class_weights[codes]


def name_classes(class_weight: object, labels: Labels) -> object:
    """Return the weights that a user gives with the labels of the data as keys, which are always text in JSON."""
    if not isinstance(class_weight, Mapping):
        return class_weight
    classes = {str(label): label for label in np.unique(labels).tolist()}
    return {classes.get(str(name), name): weight for name, weight in class_weight.items()}
