"""Counts of the values of one input column, and of one number that a model answers."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from kfp_edge_serving.codecs.tensors import Array, limits
from kfp_edge_serving.models.bundle import ColumnSpec, TensorSpec
from kfp_edge_serving.telemetry.bin_counts import BinCounts
from kfp_edge_serving.telemetry.series import HistogramSeries


class ValueCounts:
    """Counts numbers in bins, and missing ones."""

    def __init__(self, metric: str, labels: Mapping[str, str], edges: Sequence[float], tensor: TensorSpec) -> None:
        """Count nothing so far.

        Args:
            metric: The name of the histogram, and its labels.
            labels: Its labels but `le`.
            edges: The edges of the bins.
            tensor: The tensor with the numbers.
        """
        self.bins = BinCounts(edges, tensor)
        self.missing = 0
        self._series = HistogramSeries(metric, labels, self.bins.upper_bounds)

    def add(self, values: Array) -> Array:
        """Count values, of which NaN is a missing one; return the others."""
        present = values[~np.isnan(values)] if values.dtype.kind == "f" else values
        self.missing += len(values) - len(present)
        self.bins.add(present)
        return present

    def lines(self) -> list[str]:
        """Return the histogram in the text format of Prometheus."""
        return self._series.lines(np.cumsum(self.bins.counts).tolist())


class FeatureCounts(ValueCounts):
    """The counts of one input column; of categories there are no numbers."""

    def __init__(
        self, column: ColumnSpec, tensor: TensorSpec, labels: Mapping[str, str], count_out_of_range: bool
    ) -> None:
        """Count nothing so far; `labels` are those of the model."""
        super().__init__("kfp_edge_input_feature", {**labels, "feature": column.name}, column.reference.edges, tensor)
        self.column = column
        self.range = limits(column.range[:1], column.range[1:], tensor) if count_out_of_range and column.range else None
        self.out_of_range = 0
        self.categories: Counter[str] = Counter(dict.fromkeys(sorted((column.categories or set()) - {""}), 0))

    def add(self, values: Array) -> Array:
        """Count values, and those outside of the range of training."""
        present = super().add(values)
        if self.range is not None:
            low, high = self.range
            self.out_of_range += int(((present < low) | (present > high)).sum())
        return present

    def add_categories(self, values: list[str]) -> None:
        """Count categories; the empty one is a missing value."""
        counts = Counter(values)
        self.missing += counts.pop("", 0)
        self.categories.update(counts)


class OutputCounts(ValueCounts):
    """The counts of one number of each answered row: the value `index` of the row in an output tensor."""

    def __init__(
        self, name: str, tensor: TensorSpec, index: int, labels: Mapping[str, str], edges: Sequence[float]
    ) -> None:
        """Count nothing so far; `labels` are those of the model."""
        super().__init__("kfp_edge_output_value", {**labels, "output": name}, edges, tensor)
        self.name = name
        self.tensor = tensor
        self._index = index

    def add_answers(self, array: Array) -> None:
        """Count the rows of an output."""
        width = len(self.tensor.classes) if self.tensor.has_number_of_each_class else 1
        self.add(array.reshape(-1, width)[:, self._index])
