"""One model: from checked input arrays to output arrays. It knows nothing of HTTP, JSON or gRPC."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kfp_edge_serving.codecs.tensors import Array, format_value, limits
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.models.bundle import LoadedBundle, TensorSpec
from kfp_edge_serving.models.onnx_session import CPU, OnnxSession
from kfp_edge_serving.settings import RangePolicy
from kfp_edge_serving.telemetry.feature_statistics import FeatureStatistics

Feed = dict[str, Array]


@dataclass(frozen=True)
class ModelOptions:
    """How models are run.

    `providers` are execution providers of onnxruntime in the order of preference. `threads` is for one inference; 0
    gives one to models that are quick, and as many as this container has processors to those that are not.

    `max_rows` is the largest batch; `out_of_range` says what happens to a value that is outside of its column's
    range in training.
    """

    providers: tuple[str, ...] = (CPU,)
    threads: int = 0
    max_rows: int = 10_000
    out_of_range: RangePolicy = "count"


class Model:
    """A loaded bundle, ready to answer from any thread."""

    def __init__(self, bundle: LoadedBundle, options: ModelOptions, threads: int = 1) -> None:
        """Load the model, to be run with so many threads.

        Raises:
            StartError: the model cannot be loaded, or is not what the signature says.
        """
        _check_columns(bundle)
        # onnxruntime keeps what it needs of the model's bytes
        self.bundle = replace(bundle, model=b"")
        self.inputs = {tensor.name: tensor for tensor in bundle.inputs}
        self.outputs = {tensor.name: tensor for tensor in bundle.outputs}
        self.observed = FeatureStatistics(bundle)
        self.all_outputs = list(self.outputs)
        self._session = OnnxSession(bundle, options.providers, threads)
        self._batched = [tensor.name for tensor in bundle.inputs if tensor.shape[:1] == (-1,)]
        ranges = {tensor.name: _ranges(tensor) for tensor in bundle.inputs}
        self._ranges = {name: found for name, found in ranges.items() if found is not None}
        self._options = options
        self._policy: RangePolicy = "off"
        self.slow = False

    def input(self, name: str, feed: Feed) -> TensorSpec:
        """Return the input `name`, which a request gives and has not yet given.

        Raises:
            RequestError: the model has no such input, or the request gave it before.
        """
        wanted = self.inputs.get(name)
        if wanted is None:
            raise RequestError(f"the model has no input {format_value(name)}; it takes {_quoted(self.inputs)}.")
        if name in feed:
            raise RequestError(f"input '{name}' is given twice.")
        return wanted

    def requested(self, names: list[str]) -> list[str]:
        """Return the outputs that a request wants; all of them when it names none.

        Raises:
            RequestError: the model has no such output, or the request names it twice.
        """
        for position, name in enumerate(names):
            if name not in self.outputs:
                raise RequestError(f"the model has no output {format_value(name)}; it gives {_quoted(self.outputs)}.")
            if name in names[:position]:
                raise RequestError(f"output '{name}' is asked for twice.")
        return names or self.all_outputs

    def run(self, feed: Feed, names: list[str]) -> list[Array]:
        """Infer, and count what went in and came out.

        Args:
            feed: The array of each input, each of its own datatype and shape.
            names: The outputs to compute, as `requested` returns them.

        Raises:
            RequestError: an input is missing, the batch is too large or not one, a value is out of range and that is
                to be rejected, or the model cannot compute with these inputs.
        """
        if len(feed) != len(self.inputs):
            missing = [name for name in self.inputs if name not in feed]
            raise RequestError(f"input {_quoted(missing)} is missing; the model takes {_quoted(self.inputs)}.")
        rows = self._rows(feed)
        given = feed
        if self._policy in ("clip", "reject"):
            feed = self._clipped(feed) if self._policy == "clip" else self._inside(feed)
        arrays = self._session.run(names, feed)
        self.observed.add(rows, given, names, arrays)
        return arrays

    def open(self, slow: bool) -> None:
        """Begin to count and to watch the ranges, which the recorded requests may exceed.

        Args:
            slow: Whether one inference takes so long that it must not hold up other requests.
        """
        self.slow = slow
        self._policy = self._options.out_of_range
        self.observed = FeatureStatistics(self.bundle, watch_ranges=self._policy != "off")

    def _rows(self, feed: Feed) -> int:
        if not self._batched:
            return 1
        count = len(feed[self._batched[0]])
        for name in self._batched[1:]:
            if len(feed[name]) != count:
                counts = ", ".join(f"'{name}' has {len(feed[name])}" for name in self._batched)
                raise RequestError(f"all inputs must have the same number of rows, but {counts}.")
        if count > self._options.max_rows:
            raise RequestError(
                f"{count} rows are more than this server takes at once; send at most {self._options.max_rows}.", 413
            )
        return count

    def _clipped(self, feed: Feed) -> Feed:
        clipped = {name: np.clip(feed[name], low, high) for name, (low, high) in self._ranges.items()}
        return feed | {name: array.astype(feed[name].dtype, copy=False) for name, array in clipped.items()}

    def _inside(self, feed: Feed) -> Feed:
        for name, (low, high) in self._ranges.items():
            values = feed[name].reshape(-1, len(low))
            # NaN, a missing value, is on neither side
            outside = (values < low) | (values > high)
            if outside.any():
                row, column = np.argwhere(outside)[0]
                told = self.inputs[name].columns[column]
                raise RequestError(
                    f"input '{name}', row {row}: {values[row, column]!s} is outside of what column '{told.name}' "
                    f"had in training, {low[column]!s} to {high[column]!s}."
                )
        return feed


def _check_columns(bundle: LoadedBundle) -> None:
    for tensor in bundle.inputs:
        width = len(tensor.columns)
        told = f"the signature of model {bundle.name} {bundle.version} is wrong: input '{tensor.name}'"
        if width and tensor.shape[1:] != (width,) and (len(tensor.shape), width) != (1, 1):
            raise StartError(f"{told} has {width} columns for the shape {list(tensor.shape)}.")
        for column in tensor.columns:
            if (column.range if tensor.datatype == "BYTES" else column.categories) is not None:
                kind = "a range" if tensor.datatype == "BYTES" else "categories"
                raise StartError(f"{told} of {tensor.datatype} has {kind} for column '{column.name}'.")


def _ranges(tensor: TensorSpec) -> tuple[Any, Any] | None:
    """Return the smallest and the largest value of each column, where any is known."""
    if not any(column.range for column in tensor.columns):
        return None
    unknown = (-np.inf, np.inf)
    low, high = zip(*(column.range or unknown for column in tensor.columns), strict=True)
    return limits(low, high, tensor)


def _quoted(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)
