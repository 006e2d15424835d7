"""Fit gradient-boosted trees on more rows than fit into memory several times.

scikit-learn's HistGradientBoosting works on one byte per value, but gets there by copies of all rows in
double precision: the preprocessed rows, then the part of them that it trains on. Here the rows of each part are
preprocessed in chunks into a matrix of their own, and the frame they come from is freed before the trees are fitted.
The trees are the same.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from kfp_edge.estimators.estimator import Estimator, Hyperparameters, read_labels, refuse_unsuitable_rows
from kfp_edge.estimators.preprocessing import make_preprocessing
from kfp_edge.estimators.weighted_bins import fast_weighted_bins
from kfp_edge.ml.arrays import Float64s, Int64s, Labels
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.memory import return_freed_memory

#: From here on a part of the rows decides when to stop; scikit-learn's own limit.
_EARLY_STOPPING_ROWS = 10_000
_CHUNK_ROWS = 100_000


@dataclass(frozen=True)
class _Part:
    """Preprocessed rows, shape [rows, columns], with the label of each, and its weight where they have weights."""

    x: Float64s | pd.DataFrame
    labels: Labels | Float64s
    weights: Float64s | None


@dataclass(frozen=True)
class _Samples:
    """The rows to fit trees on, the rows that decide when to stop (None for none), and the fitted preprocessing."""

    fitting: _Part
    stopping: _Part | None
    preprocessing: ColumnTransformer | None


def fit_boosted_trees(
    estimator: Estimator, data: Dataset, seed: int, hyperparameters: Hyperparameters, weights: Float64s | None
) -> Pipeline:
    """Fit histogram-based boosted trees, as `kfp_edge.estimators.estimator.Fit` describes it."""
    model = estimator.build_model(seed, hyperparameters)
    samples = _make_samples(data, model, seed, weights)
    del data  # where the caller does not hold the rows either, they are freed before the trees need memory
    return_freed_memory()
    with refuse_unsuitable_rows(estimator):
        return _fit_trees(samples, model)


def _make_samples(data: Dataset, model: BaseEstimator, seed: int, weights: Float64s | None) -> _Samples:
    """Preprocess the rows of `data`; the result does not refer to them."""
    rows, labels = data.x(), read_labels(data, model)
    preprocessing = None
    if data.roles.categorical:
        preprocessing = make_preprocessing(data.roles, rows, "raw")
        assert isinstance(preprocessing, ColumnTransformer)
        # it has the categories already, and numbers pass through: fitting on all rows would only transform them
        preprocessing.fit(rows.iloc[:1])

    def select(indices: Int64s) -> _Part:
        selected = None if weights is None else weights[indices]
        return _Part(_preprocess(rows, indices, preprocessing), labels[indices], selected)

    if not _needs_stopping_rows(model, len(rows)):
        return _Samples(select(np.arange(len(rows))), None, preprocessing)
    fitting, stopping = _split(labels, model, seed)
    return _Samples(select(fitting), select(stopping), preprocessing)


def _needs_stopping_rows(model: BaseEstimator, rows: int) -> bool:
    """Return whether a part of the rows decides when to stop, as scikit-learn does."""
    stops_early = rows > _EARLY_STOPPING_ROWS if model.early_stopping == "auto" else model.early_stopping
    return bool(stops_early) and model.validation_fraction is not None


def _fit_trees(samples: _Samples, model: BaseEstimator) -> Pipeline:
    """Fit the trees and return them as a Pipeline with their preprocessing."""
    fitting, stopping = samples.fitting, samples.stopping
    if model.early_stopping == "auto":
        model.early_stopping = stopping is not None
    validation = {}
    if stopping is not None:
        validation = {"X_val": stopping.x, "y_val": stopping.labels, "sample_weight_val": stopping.weights}
    with fast_weighted_bins():
        model.fit(fitting.x, fitting.labels, sample_weight=fitting.weights, **validation)
    # the number of threads that fitted it is of this machine; the trees do not depend on it
    model._bin_mapper.n_threads = None
    steps = [("prepare", samples.preprocessing)] if samples.preprocessing is not None else []
    return Pipeline([*steps, ("model", model)])


def _split(labels: Labels | Float64s, model: BaseEstimator, seed: int) -> tuple[Int64s, Int64s]:
    """Split the rows as scikit-learn's own trees do; a class of a single row, which they refuse, is fitted."""
    random_seed = int(np.random.RandomState(seed).randint(np.iinfo(np.uint32).max, dtype=np.uint64))
    is_divisible, strata = np.ones(len(labels), dtype=bool), None
    if is_classifier(model):
        _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
        is_divisible = counts[codes] > 1
        strata = codes[is_divisible]
    fitting, stopping = train_test_split(
        np.flatnonzero(is_divisible),
        test_size=model.validation_fraction,
        stratify=strata,
        random_state=random_seed,
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
