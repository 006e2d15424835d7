"""Statistics of the inputs and predictions of a model, from which drift is detected.

A request only leaves its arrays here; they are counted many at a time, which costs a few microseconds per request.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from kfp_edge_serving.codecs.tensors import Array
from kfp_edge_serving.models.bundle import LoadedBundle, TensorSpec
from kfp_edge_serving.telemetry.bin_counts import TableCounts
from kfp_edge_serving.telemetry.known_labels import list_classes
from kfp_edge_serving.telemetry.reference_series import format_reference
from kfp_edge_serving.telemetry.value_counts import CategoryCounts, FeatureCounts, OutputCounts

#: Requests, and values in them, that are counted at a time: more would save little, and delay one request for longer.
_BATCH_REQUESTS = 128
_BATCH_VALUES = 1 << 17
#: Classes that are not known beforehand and yet counted by their names, as of models without a bundle.
_MAX_UNKNOWN_CLASSES = 100
#: What further ones are counted as.
_OTHER_CLASSES = "(other)"


class Runs(NamedTuple):
    """How often a model was run, and for how many rows in all."""

    runs: int
    rows: int


#: Rows, inputs and outputs of an answered request, by their names.
_Uncounted = tuple[int, dict[str, Array], dict[str, Array]]


class _InputCounts:
    """The counts of all columns of an input, which has numbers or categories."""

    def __init__(self, tensor: TensorSpec, labels: Mapping[str, str], count_out_of_range: bool) -> None:
        self.features: Sequence[FeatureCounts | CategoryCounts]
        self._categories: list[CategoryCounts] = []
        self._table: TableCounts | None = None
        columns = tensor.columns
        if tensor.datatype == "BYTES":
            self.features = self._categories = [CategoryCounts(column) for column in columns]
        else:
            ranges = [column.range for column in columns] if count_out_of_range else []
            self._table = table = TableCounts(tensor, [column.reference.edges for column in columns], ranges)
            self.features = [FeatureCounts(column, labels, table, index) for index, column in enumerate(columns)]

    def add(self, array: Array) -> None:
        """Count the rows of some requests."""
        table = array.reshape(-1, len(self.features))
        if self._table is not None:
            self._table.add(table)
        for index, feature in enumerate(self._categories):
            feature.add(table[:, index].tolist())

    def update(self) -> None:
        """Bring the bins up to date."""
        if self._table is not None:
            self._table.update()


class FeatureStatistics:
    """The counts of one model; with `count_out_of_range` also of values outside of the ranges of training."""

    def __init__(self, bundle: LoadedBundle, count_out_of_range: bool = True) -> None:
        self._lock = threading.Lock()
        self._uncounted: list[_Uncounted] = []
        self._runs = Runs(0, 0)
        counted = [tensor for tensor in bundle.inputs if _is_counted(tensor)]
        labels = {"model": bundle.name, "version": bundle.version}
        self._columns = {tensor.name: _InputCounts(tensor, labels, count_out_of_range) for tensor in counted}
        self._counts_all_inputs = len(counted) == len(bundle.inputs)
        label = next((tensor for tensor in bundle.outputs if _is_label(tensor)), None)
        self._label = None if label is None else label.name
        self._outputs = _find_outputs(bundle, labels)
        answers = {output.tensor.name: output.tensor for output in self._outputs}
        #: The outputs that are counted.
        self._answers = tuple(dict.fromkeys([*([] if label is None else [label.name]), *answers]))
        values = sum(_values_per_row(tensor) for tensor in (*counted, *answers.values()))
        self._batch_rows = _BATCH_VALUES // max(1, values)
        self._known_classes = () if label is None else list_classes(bundle, label)
        self._classes: Counter[str] = Counter(dict.fromkeys(self._known_classes, 0))
        #: The lines of Prometheus that never change, by the names of their metrics.
        self.reference = format_reference(
            bundle,
            [feature for columns in self._columns.values() for feature in columns.features],
            self._outputs,
            self._known_classes,
        )

    def add(self, rows: int, feed: dict[str, Array], names: list[str], outputs: list[Array]) -> None:
        """Add one answered request; its arrays must not change any more.

        Args:
            rows: The number of rows.
            feed: The input arrays by name.
            names: The outputs that were computed.
            outputs: The array of each of them.
        """
        if not self._counts_all_inputs:  # the others may be large, so they are not kept
            feed = {name: feed[name] for name in self._columns}
        self._keep(rows, feed, {name: outputs[names.index(name)] for name in self._answers if name in names})

    def add_copies(self, rows: int, feed: dict[str, Array], names: list[str], outputs: list[Array]) -> None:
        """Add answered requests like `add`, whose arrays are going to change."""
        kept = {name: feed[name].copy() for name in self._columns}
        answers = {name: outputs[names.index(name)].copy() for name in self._answers if name in names}
        self._keep(rows, kept, answers)

    def add_unknown_categories(self, column: str, count: int) -> None:
        """Add values of a refused request that are none of the categories of a column."""
        with self._lock:
            for columns in self._columns.values():
                for feature in columns.features:
                    if isinstance(feature, CategoryCounts) and feature.column.name == column:
                        feature.unknown += count

    def _keep(self, rows: int, feed: dict[str, Array], answers: dict[str, Array]) -> None:
        self._uncounted.append((rows, feed, answers))  # atomic
        if len(self._uncounted) * rows >= self._batch_rows or len(self._uncounted) >= _BATCH_REQUESTS:
            with self._lock:
                self._count_added()

    def features(self) -> list[FeatureCounts | CategoryCounts]:
        """Return the counts of every column so far."""
        with self._lock:
            self._count_added()
            for columns in self._columns.values():
                columns.update()
            return [feature for columns in self._columns.values() for feature in columns.features]

    def outputs(self) -> list[OutputCounts]:
        """Return the counts of every number that is answered so far, as far as the reference has it."""
        with self._lock:
            self._count_added()
            for output in self._outputs:
                output.table.update()
            return self._outputs

    def classes(self) -> dict[str, int]:
        """Return how often each class was predicted so far; class "1" of an anomaly model is an alarm.

        Of the classes that are not known beforehand, the first hundred are counted by their names.
        """
        with self._lock:
            self._count_added()
            return dict(self._classes)

    def runs(self) -> Runs:
        """Return how often the model was run so far."""
        with self._lock:
            self._count_added()
            return self._runs

    def _count_added(self) -> None:
        # the list stays the same object: another thread may be about to append to it
        requests = self._uncounted[:]
        del self._uncounted[: len(requests)]
        if not requests:
            return
        self._runs = Runs(self._runs.runs + len(requests), self._runs.rows + sum(rows for rows, _, _ in requests))
        for name, columns in self._columns.items():
            columns.add(np.concatenate([feed[name] for _, feed, _ in requests]))
        for output in self._outputs:
            if arrays := [answers[output.tensor.name] for _, _, answers in requests if output.tensor.name in answers]:
                output.add(np.concatenate(arrays, axis=None))
        label = self._label
        if label is not None and (labels := [answers[label] for _, _, answers in requests if label in answers]):
            self._count_classes(Counter(np.concatenate(labels, axis=None).tolist()))

    def _count_classes(self, counts: Counter[int | str]) -> None:
        room = len(self._known_classes) + _MAX_UNKNOWN_CLASSES
        for label, count in counts.items():
            name = str(label)
            is_counted_by_name = name in self._classes or len(self._classes) < room
            self._classes[name if is_counted_by_name else _OTHER_CLASSES] += count


def _find_outputs(bundle: LoadedBundle, labels: Mapping[str, str]) -> list[OutputCounts]:
    """Return the numbers whose distribution the reference has, and which the model answers."""
    tensors = {tensor.name: tensor for tensor in bundle.outputs}
    counts = []
    for name, reference in bundle.reference.values.items():
        tensor = tensors.get("probabilities" if name == "probability" else name)
        positive = bundle.reference.positive if name == "probability" else ""
        if tensor is not None and (not positive or positive in tensor.classes):
            index = tensor.classes.index(positive) if positive else 0
            counts.append(OutputCounts(name, tensor, index, labels, reference.edges))
    return counts


def _is_counted(tensor: TensorSpec) -> bool:
    """Return whether the columns of a tensor are known: numbers, or text of known categories."""
    is_text = tensor.datatype == "BYTES"
    return bool(tensor.columns) and all(not is_text or column.categories is not None for column in tensor.columns)


def _values_per_row(tensor: TensorSpec) -> int:
    return prod(size for size in tensor.shape if size > 0)


def _is_label(tensor: TensorSpec) -> bool:
    return tensor.name == "label" and tensor.datatype in ("INT32", "INT64", "BYTES", "BOOL")
