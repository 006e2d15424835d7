"""Counts of numbers in the bins of `reference.json`, and the bounds of these bins as Prometheus has them."""

from collections.abc import Sequence

import numpy as np

from kfp_edge_serving.codecs.tensors import Array, bounds, numpy_type
from kfp_edge_serving.models.bundle import TensorSpec


class BinCounts:
    """Counts the numbers of one column or output of a model.

    `counts[k]` counts the values in `[edges[k-1], edges[k])`; the first bin is below and the last above all edges. A
    value that equals the last edge belongs to the last bin of training, as in `reference.json`.

    `upper_bounds[k]` is the largest number that `counts[k]` counts, so that the values of the first k + 1 bins are at
    most that, as `le` has it. For an inner edge it is the number of the datatype just below.
    """

    def __init__(self, edges: Sequence[float], tensor: TensorSpec) -> None:
        """Count nothing so far.

        Args:
            edges: Those of the histogram of training; none if there is no histogram.
            tensor: The tensor with the numbers.
        """
        # rounded to the datatype of the model, so that a value of training that was an edge still equals it
        rounded = _keep_finite(bounds(edges, tensor))
        upper = _find_upper_bounds(rounded, tensor)
        #: Which of the given edges are used: no value lies between two with the same bound.
        self.is_used: Array = np.diff(upper, append=np.inf) > 0
        self.edges: Array = rounded[self.is_used]
        self.upper_bounds = tuple(map(_format_bound, upper[self.is_used].tolist()))
        self.counts: Array = np.zeros(len(self.edges) + 1, np.int64)

    def add(self, values: Array) -> None:
        """Count values of the datatype of the tensor, of which none is NaN."""
        bins = np.searchsorted(self.edges, values, side="right")
        if len(self.edges):
            bins[values == self.edges[-1]] -= 1
        self.counts += np.bincount(bins, minlength=len(self.counts))


def _keep_finite(edges: Array) -> Array:
    """Return edges with the largest number of their datatype for those that it cannot represent."""
    largest = np.finfo(edges.dtype).max
    return np.clip(edges, -largest, largest)


def _find_upper_bounds(edges: Array, tensor: TensorSpec) -> Array:
    """Return the largest value below each edge, and of the last one itself, in double precision.

    Of integers beyond 2^53 it is the largest that double precision has, as Prometheus reads it.
    """
    if numpy_type(tensor).kind == "f":
        below = np.nextafter(edges, edges.dtype.type(-np.inf)).astype(np.float64)
    else:
        whole = np.ceil(edges)
        below = np.minimum(whole - 1, np.nextafter(whole, -np.inf))
    return np.append(below[:-1], edges[-1:].astype(np.float64))


def _format_bound(bound: float) -> str:
    """Return a bound without an exponent.

    This is how the OpenTelemetry Collector and the OTLP endpoint of Prometheus write the bounds of a histogram that
    they got as numbers, so that they equal those in the labels of other metrics.
    """
    return np.format_float_positional(bound + 0.0, trim="-")
