"""Fit gradient-boosted trees on more rows than fit into memory several times.

scikit-learn's HistGradientBoostingClassifier works on one byte per value, but gets there by copies of all rows in
double precision: the preprocessed rows, then the part of them that it trains on. Here the rows of each part are
preprocessed in chunks into a matrix of their own, and the frame they come from is freed before the trees are fitted.
The trees are the same.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from kfp_edge.ml.arrays import Float64s, Int64s, Labels
from kfp_edge.ml.dataset import Dataset
from kfp_edge.tasks.classification.weighted_bins import fast_weighted_bins
from kfp_edge.tasks.preprocessing import make_preprocessing

#: From here on a part of the rows decides when to stop; scikit-learn's own limit and share.
_EARLY_STOPPING_ROWS = 10_000
_VALIDATION_SHARE = 0.1
_CHUNK_ROWS = 100_000


@dataclass(frozen=True)
class Part:
    """Preprocessed rows, shape [rows, columns], with the label and the weight of each."""

    x: Float64s | pd.DataFrame
    labels: Labels
    weights: Float64s


@dataclass(frozen=True)
class Samples:
    """The rows to fit trees on, the rows that decide when to stop (None for few rows), and the fitted preprocessing."""

    fitting: Part
    stopping: Part | None
    preprocessing: ColumnTransformer | None


def make_samples(data: Dataset, seed: int) -> Samples:
    """Preprocess the rows of `data`; the result does not refer to them."""
    rows, labels = data.x(), data.y()
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights = _compute_weights(codes, counts)
    preprocessing = None
    if data.roles.categorical:
        preprocessing = make_preprocessing(data.roles, rows, "passthrough")
        assert isinstance(preprocessing, ColumnTransformer)
        # it has the categories already, and numbers pass through: fitting on all rows would only transform them
        preprocessing.fit(rows.iloc[:1])

    def select(indices: Int64s) -> Part:
        return Part(_preprocess(rows, indices, preprocessing), labels[indices], weights[indices])

    if len(rows) <= _EARLY_STOPPING_ROWS:
        return Samples(select(np.arange(len(rows))), None, preprocessing)
    fitting, stopping = _split(codes, counts, seed)
    return Samples(select(fitting), select(stopping), preprocessing)


def fit_trees(samples: Samples, seed: int) -> Pipeline:
    """Fit the trees and return them as a Pipeline with their preprocessing."""
    fitting, stopping = samples.fitting, samples.stopping
    model = HistGradientBoostingClassifier(random_state=seed, early_stopping=stopping is not None)
    validation = {}
    if stopping is not None:
        validation = {"X_val": stopping.x, "y_val": stopping.labels, "sample_weight_val": stopping.weights}
    with fast_weighted_bins():
        model.fit(fitting.x, fitting.labels, sample_weight=fitting.weights, **validation)
    # the number of threads that fitted it is of this machine; the trees do not depend on it
    model._bin_mapper.n_threads = None
    steps = [("prepare", samples.preprocessing)] if samples.preprocessing is not None else []
    return Pipeline([*steps, ("model", model)])


def _compute_weights(codes: Int64s, counts: Int64s) -> Float64s:
    """Weight each row by the square root of the inverse frequency of its class.

    The inverse frequency itself detects a few more failures, but with many more false alarms and probabilities that
    are far too high.
    """
    class_weights: Float64s = np.sqrt(counts.sum() / (len(counts) * counts))
    return class_weights[codes]


def _split(codes: Int64s, counts: Int64s, seed: int) -> tuple[Int64s, Int64s]:
    """Split the rows as HistGradientBoostingClassifier does; a class of a single row, which it refuses, is fitted."""
    random_seed = np.random.RandomState(seed).randint(np.iinfo(np.uint32).max, dtype=np.uint64)
    is_divisible = counts[codes] > 1
    divisible = np.flatnonzero(is_divisible)
    fitting, stopping = train_test_split(
        divisible, test_size=_VALIDATION_SHARE, stratify=codes[divisible], random_state=int(random_seed)
    )
    return np.concatenate([fitting, np.flatnonzero(~is_divisible)]), stopping


def _preprocess(
    rows: pd.DataFrame, indices: Int64s, preprocessing: ColumnTransformer | None
) -> Float64s | pd.DataFrame:
    width = rows.shape[1] if preprocessing is None else len(preprocessing.get_feature_names_out())
    matrix = np.empty((len(indices), width))
    for start in range(0, len(indices), _CHUNK_ROWS):
        chunk = rows.iloc[indices[start : start + _CHUNK_ROWS]]
        matrix[start : start + _CHUNK_ROWS] = chunk if preprocessing is None else preprocessing.transform(chunk)
    # without preprocessing the trees are given the names of the columns, which `export` compares
    return pd.DataFrame(matrix, columns=rows.columns, copy=False) if preprocessing is None else matrix
