"""What a model saw and answered: the counts from which drift is told.

A request only leaves its arrays here; they are counted many at a time, which costs a microsecond or two a request.
"""

import threading
from collections import Counter
from math import prod

import numpy as np

from kfp_edge_serving.codecs.tensors import Array, bounds, limits
from kfp_edge_serving.models.bundle import ColumnSpec, LoadedBundle, TensorSpec

#: Requests, and values in them, that may wait: more would cost hardly less, and hold up one request for longer.
_REQUESTS = 128
_VALUES = 1 << 17


class Feature:
    """The values of one input column.

    `counts[k]` lie in `[edges[k-1], edges[k])`; the first are below and the last above all edges. A value that equals
    the last edge belongs to the last bin of training, as in `reference.json`.
    """

    def __init__(self, column: ColumnSpec, tensor: TensorSpec, watch_range: bool) -> None:
        self.column = column
        # a value of training that was rounded to the model's datatype must still meet the edge that it was
        self.edges = bounds(column.edges, tensor)
        self.range = limits(column.range[:1], column.range[1:], tensor) if watch_range and column.range else None
        self.counts = np.zeros(len(self.edges) + 1, np.int64)
        self.total = 0.0
        self.missing = 0
        self.out_of_range = 0
        self.categories: Counter[str] = Counter(dict.fromkeys(sorted((column.categories or set()) - {""}), 0))


class FeatureStatistics:
    """The counts of one model; `watch_ranges` is whether values outside of the ranges of training are counted."""

    def __init__(self, bundle: LoadedBundle, watch_ranges: bool = True) -> None:
        self._lock = threading.Lock()
        self._requests: list[tuple[dict[str, Array], Array | None]] = []
        counted = [tensor for tensor in bundle.inputs if _is_counted(tensor)]
        self._most_rows = _VALUES // max(1, sum(_row_values(tensor) for tensor in counted))
        self._columns = {
            tensor.name: [Feature(column, tensor, watch_ranges) for column in tensor.columns] for tensor in counted
        }
        self._counts_all = len(counted) == len(bundle.inputs)
        label = next((tensor for tensor in bundle.outputs if _is_label(tensor)), None)
        self._label = None if label is None else label.name
        classes = () if label is None else label.classes
        self._classes: Counter[str] = Counter(dict.fromkeys(classes, 0))

    def add(self, rows: int, feed: dict[str, Array], names: list[str], answers: list[Array]) -> None:
        """Take one answered request and the names of its answers; the arrays must not change any more."""
        if not self._counts_all:  # what is not counted may be large, and is not kept
            feed = {name: feed[name] for name in self._columns}
        label = answers[names.index(self._label)] if self._label in names else None
        self._requests.append((feed, label))  # in one step, whatever other threads do
        if len(self._requests) * rows >= self._most_rows or len(self._requests) >= _REQUESTS:
            with self._lock:
                self._fold()

    def features(self) -> list[Feature]:
        """Return the counts of every column so far."""
        with self._lock:
            self._fold()
            return [feature for columns in self._columns.values() for feature in columns]

    def classes(self) -> dict[str, int]:
        """Return how often each class was answered, anomaly models' "1" being an alarm."""
        with self._lock:
            self._fold()
            return dict(self._classes)

    def _fold(self) -> None:
        # never another list: a thread may be about to append to this one
        requests = self._requests[:]
        del self._requests[: len(requests)]
        if not requests:
            return
        for name, features in self._columns.items():
            _count(features, [feed[name] for feed, _ in requests])
        if labels := [label for _, label in requests if label is not None]:
            counts = Counter(np.concatenate(labels, axis=None).tolist())
            self._classes.update({str(name): count for name, count in counts.items()})


def _count(features: list[Feature], arrays: list[Array]) -> None:
    table = np.concatenate(arrays).reshape(-1, len(features))
    if table.dtype.kind == "b":
        table = table.view(np.uint8)
    for index, feature in enumerate(features):
        if feature.column.categories is None:
            _count_numbers(feature, table[:, index])
        else:
            _count_categories(feature, table[:, index].tolist())


def _count_categories(feature: Feature, values: list[str]) -> None:
    counts = Counter(values)
    feature.missing += counts.pop("", 0)
    feature.categories.update(counts)


def _count_numbers(feature: Feature, values: Array) -> None:
    present = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    feature.missing += len(values) - len(present)
    with np.errstate(over="ignore"):
        feature.total += float(present.sum(dtype=np.float64))
    if feature.range is not None:
        low, high = feature.range
        feature.out_of_range += int(((present < low) | (present > high)).sum())
    edges = feature.edges
    bins = np.searchsorted(edges, present, side="right")
    if len(edges):
        bins[present == edges[-1]] -= 1
    feature.counts += np.bincount(bins, minlength=len(edges) + 1)


def _is_counted(tensor: TensorSpec) -> bool:
    """Return whether columns say what the elements mean: numbers, or text of known categories."""
    text = tensor.datatype == "BYTES"
    return bool(tensor.columns) and all(not text or column.categories is not None for column in tensor.columns)


def _row_values(tensor: TensorSpec) -> int:
    return prod(size for size in tensor.shape if size > 0)


def _is_label(tensor: TensorSpec) -> bool:
    return tensor.name == "label" and tensor.datatype in ("INT32", "INT64", "BYTES", "BOOL")
