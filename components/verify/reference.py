"""Feature statistics of the fitted training rows for the bundle, with which drift is measured."""

import numpy as np

from kfp_edge.ml.arrays import Float32s
from kfp_edge.ml.bundle import Frequencies, Histogram, Reference
from kfp_edge.ml.dataset import Dataset
from kfp_edge.tasks.registry import task_of

_BINS = 10
#: Some devices write it in place of a value; no number is larger.
_LARGEST = np.float32(np.finfo(np.float32).max)


def compute_reference(data: Dataset) -> Reference:
    """Return the statistics of every feature: histograms by deciles for numbers, counts for categories.

    They are those of the rows that the model learns from: for a detector the normal ones, since failures among the
    training rows are no part of what is normal at the edge.

    A number that fills more than a tenth of the rows has a bin of its own: within a wider one, nobody would see it
    move.
    """
    data = task_of(data).select_fitted_rows(data)
    features: dict[str, Histogram | Frequencies] = {}
    for name in data.roles.features:
        values = data.frame[name]
        missing = int(values.isna().sum())
        if name in data.roles.categorical:
            counts = values.value_counts().sort_index()
            features[name] = Frequencies(counts={str(key): int(n) for key, n in counts.items()}, missing=missing)
        else:
            features[name] = _compute_histogram(values.dropna().to_numpy(np.float32), missing)
    return Reference(rows=len(data.frame), features=features)


def _find_next(values: Float32s) -> Float32s:
    """Return the next larger numbers; the largest one has none and stays."""
    return np.nextafter(values, _LARGEST)


def _compute_histogram(values: Float32s, missing: int) -> Histogram:
    """Return a histogram whose edges are float32: the model's inputs are, so each value falls into the same bin."""
    if not len(values):
        return Histogram(edges=(), counts=(), missing=missing)
    # values of the data themselves, not numbers between them
    deciles = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1), method="inverted_cdf"))
    # a value of more than a tenth of the rows is a decile
    frequent = deciles[[np.count_nonzero(values == value) > len(values) / _BINS for value in deciles]]
    edges = np.unique(np.concatenate([deciles, _find_next(frequent)]))
    if len(edges) == 1:
        lower = np.minimum(edges, np.nextafter(_LARGEST, np.float32(0)))
        edges = np.concatenate([lower, _find_next(lower)])
    counts, _ = np.histogram(values, bins=edges)
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()), missing=missing)
