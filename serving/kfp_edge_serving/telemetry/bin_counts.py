"""Counts of numbers in the bins of `reference.json`, and the bounds of these bins as Prometheus has them."""

from collections.abc import Sequence

import numpy as np

from kfp_edge_serving.codecs.tensors import Array, bounds, limits, numpy_type
from kfp_edge_serving.models.bundle import TensorSpec

#: Rows that are compared at a time: their number fits into a byte, and so does every count of them.
_MAX_ROWS = 255


class BinCounts:
    """The bins of one column or output of a model, and how many numbers are in each.

    A value that equals the last edge belongs to the last bin of training, as in `reference.json`.

    Attributes:
        edges: The edges, rounded to the datatype of the model, so that a value of training that was one equals it.
        is_used: Which of the given edges they are: of two with the same bound, between which no value lies, the last.
        upper_bounds: For each edge the largest number up to it, as `le` has it: of an inner edge, which belongs to the
            next bin, the number of the datatype just below.
    """

    def __init__(self, edges: Sequence[float], tensor: TensorSpec) -> None:
        """Count nothing so far; there is one bin of all numbers if there are no edges."""
        rounded = _keep_finite(bounds(edges, tensor))
        upper = _find_upper_bounds(rounded, tensor)
        self.is_used: Array = np.diff(upper, append=np.inf) > 0
        self.edges: Array = rounded[self.is_used]
        self.upper_bounds = tuple(map(_format_bound, upper[self.is_used].tolist()))
        #: How many values are at most each bound, and how many there are.
        self.cumulative: Array = np.zeros(len(self.edges) + 1, np.int64)

    @property
    def counts(self) -> Array:
        """How many values are below the first edge, in `[edges[k-1], edges[k])` and so on, and above the last edge."""
        return np.diff(self.cumulative, prepend=0)

    @property
    def steps(self) -> Array:
        """The smallest number above each of the bounds."""
        last = self.edges[-1:]
        with np.errstate(over="ignore"):  # nothing is above the largest number
            return np.append(self.edges[:-1], np.nextafter(last, last.dtype.type(np.inf)))


class TableCounts:
    """Counts the numbers of all columns of a tensor at once, which takes a fraction of the time of each by itself."""

    def __init__(
        self,
        tensor: TensorSpec,
        edges: Sequence[Sequence[float]],
        ranges: Sequence[tuple[float, float] | None] = (),
    ) -> None:
        """Count nothing so far.

        Args:
            tensor: The tensor.
            edges: The edges of the bins of each column.
            ranges: The ranges outside of which values are counted, None for a column without one; none for all.
        """
        self.bins = [BinCounts(each, tensor) for each in edges]
        self.missing: Array = np.zeros(len(edges), np.int64)
        self.out_of_range: Array = np.zeros(len(edges), np.int64)
        self._present: Array = np.zeros(len(edges), np.int64)
        # float16 is slow, and integers are compared with edges that are none
        self._type = np.float32 if numpy_type(tensor).kind == "f" and numpy_type(tensor).itemsize < 8 else np.float64
        self._steps = self._align([each.steps for each in self.bins])
        self._reached: Array = np.zeros(self._steps.shape[:2], np.int64)
        self.counts_out_of_range = any(ranges)
        self._limits: tuple[Array, Array] | None = None
        if self.counts_out_of_range:
            unlimited = (-np.inf, np.inf)
            low, high = zip(*(each or unlimited for each in ranges), strict=True)
            lowest, highest = limits(low, high, tensor)
            self._limits = lowest[:, None], highest[:, None]

    def _align(self, steps: Sequence[Array]) -> Array:
        """Return the steps of all columns as an array of shape [steps, columns, 1]; infinity is no step."""
        aligned = np.full((max(map(len, steps), default=0), len(steps), 1), np.inf, self._type)
        for column, each in enumerate(steps):
            aligned[: len(each), column, 0] = each
        return aligned

    def add(self, table: Array) -> None:
        """Count a table of shape [rows, columns]; NaN is a missing value."""
        for start in range(0, len(table), _MAX_ROWS):
            self._add(np.ascontiguousarray(table[start : start + _MAX_ROWS].T))

    def update(self) -> None:
        """Bring the counts of the bins up to date."""
        for column, each in enumerate(self.bins):
            present = self._present[column]
            each.cumulative[:-1] = present - self._reached[: len(each.edges), column]
            each.cumulative[-1] = present

    def _add(self, columns: Array) -> None:
        values = columns.astype(self._type, copy=False)
        missing: Array | int = 0
        if columns.dtype.kind == "f":
            missing = _count_true(np.isnan(values))
            self.missing += missing
        self._present += columns.shape[1] - missing
        if self._limits is not None:
            low, high = self._limits
            self.out_of_range += _count_true((columns < low) | (columns > high))
        self._reached += _count_true(values >= self._steps)


def _count_true(flags: Array) -> Array:
    """Return how many of at most 255 flags are true, along the last dimension."""
    counts: Array = np.add.reduce(flags.view(np.uint8), axis=-1, dtype=np.uint8)
    return counts


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
