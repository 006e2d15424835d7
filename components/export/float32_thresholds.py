"""Thresholds of trees in float32, as ONNX has them, that send every float32 value the way the float64 ones do."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

from kfp_edge.ml.arrays import Float32s, Float64s
from kfp_edge.ml.estimators import iterate_parts


def round_down_to_float32(thresholds: Float64s) -> Float32s:
    """Return the largest float32 not above each float64, so that `x <= threshold` is the same for every float32 x."""
    # above the largest float32 it becomes infinite, then the largest float32; below the lowest one negative infinity
    with np.errstate(over="ignore"):
        rounded = thresholds.astype(np.float32)
        return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def round_thresholds(estimator: BaseEstimator) -> None:
    """Make the thresholds of gradient-boosted trees with histograms exact in float32; the estimator is changed.

    skl2onnx rounds them to the nearest float32, which moves half of them up, past values that are equal in float32.
    Those of all other trees it rounds down itself.
    """
    for part in iterate_parts(estimator):
        if isinstance(part, TreePredictor):
            part.nodes = part.nodes.copy()
            part.nodes["num_threshold"] = round_down_to_float32(part.nodes["num_threshold"])
