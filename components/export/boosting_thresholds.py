"""Histogram boosting after scalers and imputers: its thresholds in the units of the raw columns.

A threshold of these trees often is the value of a row, or what an imputer fills in. Scaled values are double precision
in scikit-learn and float32 in ONNX, so that such a row may take the other branch. Scalers and imputers keep the order
of the values of a column: for each threshold there is a largest float32 below it, found with the fitted steps
themselves, and a missing value goes where the filled one went. The steps are then left out, and the trees are exact.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
)

from kfp_edge.ml.arrays import Float32s, Float64s, Int64s
from kfp_edge.ml.estimators import SCALERS, list_fitted_estimators

#: The largest float32 as an integer that is ordered as float32 are.
_LARGEST = int(np.finfo(np.float32).max.view(np.int32))


@dataclass(frozen=True)
class _ScaledColumns:
    """Columns that the trees see from `start` on, and the fitted step that made them of as many raw columns."""

    start: int
    count: int
    step: BaseEstimator

    def scale(self, values: Float64s) -> Float64s:
        """Return what the step makes of values, shape [n, count]."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it may have been fitted with names
            scaled: Float64s = self.step.transform(values)
        return scaled


def move_scaling_into_thresholds(pipeline: Pipeline) -> None:
    """Leave out the scalers and imputers before histogram boosting, whose thresholds are changed instead.

    The boosting may be calibrated, or its target transformed. Another estimator, or one with other steps before it,
    stays as it is.
    """
    boostings = list_fitted_estimators(pipeline[-1])
    if len(pipeline) == 1 or not all(isinstance(boosting, BaseHistGradientBoosting) for boosting in boostings):
        return
    *steps, last = pipeline.steps
    if all(_is_scaling(step) for _, step in steps):
        _change_thresholds(boostings, _ScaledColumns(0, boostings[0].n_features_in_, Pipeline(steps)))
        pipeline.steps = [last]
    elif len(steps) == 1 and isinstance(steps[0][1], ColumnTransformer):
        for columns in _list_scaled_columns(steps[0][1]):
            _change_thresholds(boostings, columns)
            _leave_out(columns.step, steps[0][1])


def _is_scaling(step: object) -> bool:
    """Return whether a step keeps all columns and the order of the values in each."""
    if isinstance(step, Pipeline):
        return all(_is_scaling(part) for _, part in step.steps)
    if isinstance(step, SimpleImputer):
        is_numeric = step._fit_dtype.kind in "fiu" and not step.add_indicator
        return bool(is_numeric and not np.isnan(step.statistics_.astype(np.float64)).any())
    return isinstance(step, SCALERS)


def _list_scaled_columns(transformer: ColumnTransformer) -> list[_ScaledColumns]:
    """Return the scaled columns; none where a step gives a number of columns that is not known here."""
    scaled, start = [], 0
    for _, step, columns in transformer.transformers_:
        count = len(columns)
        if not count or step == "drop":
            continue
        if _is_scaling(step):
            scaled.append(_ScaledColumns(start, count, step))
        elif step != "passthrough" and not (isinstance(step, FunctionTransformer) and step.func is None):
            encoder = step[-1] if isinstance(step, Pipeline) else step
            if not isinstance(encoder, OneHotEncoder | OrdinalEncoder):
                return []
            count = len(encoder.get_feature_names_out())
        start += count
    return scaled


def _change_thresholds(boostings: Iterable[BaseHistGradientBoosting], columns: _ScaledColumns) -> None:
    """Give the splits on some columns the thresholds of the raw values."""
    predictors = [predictor for boosting in boostings for stage in boosting._predictors for predictor in stage]
    for predictor in predictors:
        predictor.nodes = predictor.nodes.copy()
    filled = columns.scale(np.full((1, columns.count), np.nan))[0]
    splits = [_find_splits(predictor.nodes, columns) for predictor in predictors]
    positions = np.concatenate(
        [predictor.nodes["feature_idx"][at] for predictor, at in zip(predictors, splits, strict=True)]
    )
    thresholds = np.concatenate(
        [predictor.nodes["num_threshold"][at] for predictor, at in zip(predictors, splits, strict=True)]
    )
    raw = _find_raw_thresholds(positions - columns.start, thresholds, columns)
    ends = np.cumsum([len(at) for at in splits])
    for predictor, at, values in zip(predictors, splits, np.split(raw, ends[:-1]), strict=True):
        nodes = predictor.nodes
        fill = filled[nodes["feature_idx"][at] - columns.start]
        is_filled = ~np.isnan(fill)
        nodes["missing_go_to_left"][at[is_filled]] = (fill <= nodes["num_threshold"][at])[is_filled]
        nodes["num_threshold"][at] = values


def _find_splits(nodes: np.ndarray, columns: _ScaledColumns) -> Int64s:
    feature = nodes["feature_idx"]
    is_inside = (feature >= columns.start) & (feature < columns.start + columns.count)
    return np.flatnonzero(is_inside & (nodes["is_leaf"] == 0))


def _find_raw_thresholds(positions: Int64s, thresholds: Float64s, columns: _ScaledColumns) -> Float32s:
    """Return the largest float32 whose scaled value is not above each threshold, shape [thresholds].

    Args:
        positions: The column of each threshold, from 0.
        thresholds: The thresholds of scaled values.
        columns: The columns.
    """
    rows = _count_before(positions)
    limits = np.full((int(rows.max(initial=0)) + 1, columns.count), np.inf)
    limits[rows, positions] = thresholds
    low, high = np.full(limits.shape, -_LARGEST - 1), np.full(limits.shape, _LARGEST)
    while (low < high).any():  # all columns at once: a step takes nothing less
        middle = np.maximum(low + (high - low + 1) // 2, -_LARGEST)  # steps refuse what is infinite
        is_below = columns.scale(_to_float(middle).astype(np.float64)) <= limits
        low, high = np.where(is_below, middle, low), np.where(is_below, high, np.maximum(middle - 1, low))
    return _to_float(low)[rows, positions]


def _count_before(positions: Int64s) -> Int64s:
    """Return for each position how many equal ones are before it, shape [n]."""
    order = np.argsort(positions, kind="stable")
    ordered = positions[order]
    counts = np.empty(len(positions), np.int64)
    counts[order] = np.arange(len(positions)) - np.searchsorted(ordered, ordered)
    return counts


def _to_float(ordered: Int64s) -> Float32s:
    """Return the float32 at a position in their order: 0.0 is at 0, minus infinity after the most negative one."""
    bits = np.where(ordered < 0, (-ordered) | 0x80000000, ordered).astype(np.uint32)
    return bits.view(np.float32)


def _leave_out(step: BaseEstimator, transformer: ColumnTransformer) -> None:
    transformer.transformers_ = [
        (name, "passthrough" if other is step else other, columns) for name, other, columns in transformer.transformers_
    ]
