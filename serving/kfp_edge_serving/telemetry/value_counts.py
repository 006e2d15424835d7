"""Counts of the values of one input column, and of one number that a model answers."""

from collections import Counter
from collections.abc import Mapping

from kfp_edge_serving.codecs.tensors import Array
from kfp_edge_serving.models.bundle import ColumnSpec, TensorSpec
from kfp_edge_serving.telemetry.bin_counts import TableCounts
from kfp_edge_serving.telemetry.series import HistogramSeries


class NumberCounts:
    """What a table counts in one of its columns."""

    def __init__(self, metric: str, labels: Mapping[str, str], table: TableCounts, index: int) -> None:
        """Read a column of a table.

        Args:
            metric: The name of the histogram.
            labels: Its labels but `le`.
            table: The counts.
            index: The position of the column.
        """
        self.bins = table.bins[index]
        self._table = table
        self._index = index
        self._series = HistogramSeries(metric, labels, self.bins.upper_bounds)

    @property
    def missing(self) -> int:
        """How many values are missing (NaN)."""
        return int(self._table.missing[self._index])

    @property
    def out_of_range(self) -> int:
        """How many values are outside of the range of training."""
        return int(self._table.out_of_range[self._index])

    def lines(self) -> list[str]:
        """Return the histogram in the text format of Prometheus."""
        return self._series.lines(self.bins.cumulative.tolist())


class FeatureCounts(NumberCounts):
    """The counts of one input column of numbers."""

    def __init__(self, column: ColumnSpec, labels: Mapping[str, str], table: TableCounts, index: int) -> None:
        """Read a column of a table; `labels` are those of the model."""
        super().__init__("kfp_edge_input_feature", {**labels, "feature": column.name}, table, index)
        self.column = column
        #: Outside of which values are counted, None if they are not.
        self.range = column.range if table.counts_out_of_range else None


class CategoryCounts:
    """The counts of one input column of categories."""

    def __init__(self, column: ColumnSpec) -> None:
        """Count nothing so far."""
        self.column = column
        self.missing = 0
        #: Values that are none of the categories, in requests that were refused for them.
        self.unknown = 0
        self.categories: Counter[str] = Counter(dict.fromkeys(sorted((column.categories or set()) - {""}), 0))

    def add(self, values: list[str]) -> None:
        """Count values; the empty one is a missing one."""
        counts = Counter(values)
        self.missing += counts.pop("", 0)
        self.categories.update(counts)


class OutputCounts(NumberCounts):
    """The counts of one number of each answered row: the value `position` of the row in an output tensor."""

    def __init__(
        self, name: str, tensor: TensorSpec, position: int, labels: Mapping[str, str], edges: tuple[float, ...]
    ) -> None:
        """Count nothing so far; `labels` are those of the model."""
        self.table = TableCounts(tensor, [edges])
        super().__init__("kfp_edge_output_value", {**labels, "output": name}, self.table, 0)
        self.name = name
        self.tensor = tensor
        self._position = position

    def add(self, array: Array) -> None:
        """Count the rows of an output."""
        width = len(self.tensor.classes) if self.tensor.has_number_of_each_class else 1
        self.table.add(array.reshape(-1, width)[:, self._position, None])
