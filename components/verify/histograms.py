"""Histograms of the bundle: deciles of the values, and a bin for each value that is frequent."""

import numpy as np

from kfp_edge.ml.arrays import Floats
from kfp_edge.ml.bundle import Datatype, Histogram

_BINS = 10
#: The numbers that a tensor holds; integers are compared in double precision.
_TYPES: dict[Datatype, type[np.floating]] = {"FP16": np.float16, "FP32": np.float32}


def compute_histogram(values: Floats, datatype: Datatype) -> Histogram:
    """Return a histogram whose edges are numbers of a datatype, so that each value falls into the same bin at the edge.

    A number that fills more than a tenth of the values has a bin of its own: within a wider one, nobody would see it
    move. Missing values (NaN) are counted beside it.
    """
    present = values[~np.isnan(values)].astype(_TYPES.get(datatype, np.float64))
    missing = len(values) - len(present)
    if not len(present):
        return Histogram(edges=(), counts=(), missing=missing)
    # some devices write the largest number in place of a value, and a model may answer infinity
    largest = present.dtype.type(np.finfo(present.dtype).max)
    present = np.clip(present, -largest, largest)
    edges = _find_edges(present, largest).astype(np.float64)
    counts, _ = np.histogram(present.astype(np.float64), bins=edges)
    return Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist()), missing=missing)


def _find_edges(values: Floats, largest: np.floating) -> Floats:
    """Return the edges for values, none of which is above the largest number."""
    # values of the data themselves, not numbers between them
    deciles = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1), method="inverted_cdf"))
    # a value of more than a tenth of the rows is a decile
    frequent = deciles[[np.count_nonzero(values == value) > len(values) / _BINS for value in deciles]]
    edges: Floats = np.unique(np.concatenate([deciles, np.nextafter(frequent, largest)]))
    if len(edges) == 1:
        lower = np.minimum(edges, np.nextafter(largest, np.zeros_like(largest)))
        edges = np.concatenate([lower, np.nextafter(lower, largest)])
    return edges
