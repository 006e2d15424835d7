"""Feature statistics of the training data for the bundle, with which drift is measured."""

import numpy as np

from kfp_edge.ml.arrays import Float64s
from kfp_edge.ml.bundle import Frequencies, Histogram, Reference
from kfp_edge.ml.dataset import Dataset

_BINS = 10


def compute_reference(data: Dataset) -> Reference:
    """Return the statistics of every feature: histograms by deciles for numbers, counts for categories."""
    features: dict[str, Histogram | Frequencies] = {}
    for name in data.roles.features:
        values = data.frame[name]
        missing = int(values.isna().sum())
        if name in data.roles.categorical:
            counts = values.value_counts().sort_index()
            features[name] = Frequencies(counts={str(key): int(n) for key, n in counts.items()}, missing=missing)
        else:
            features[name] = _compute_histogram(values.dropna().to_numpy(np.float64), missing)
    return Reference(rows=len(data.frame), features=features)


def _compute_histogram(values: Float64s, missing: int) -> Histogram:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)))
    if len(edges) == 1:
        edges = np.array([edges[0], np.nextafter(edges[0], np.inf)])
    counts, _ = np.histogram(values, bins=edges)
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()), missing=missing)
