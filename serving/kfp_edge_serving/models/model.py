"""One model: computes output arrays from input arrays, independent of HTTP, JSON and gRPC."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kfp_edge_serving.codecs.predictions import RowPredictions
from kfp_edge_serving.codecs.row_layout import RowLayout
from kfp_edge_serving.codecs.tensors import Array, blank, format_value, limits
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.features.row_history import RowHistory
from kfp_edge_serving.features.window_features import WindowFeatures
from kfp_edge_serving.limits import Limits
from kfp_edge_serving.models.bundle import LoadedBundle, TensorSpec
from kfp_edge_serving.models.onnx_session import OnnxSession
from kfp_edge_serving.models.operators import has_exact_rows
from kfp_edge_serving.models.plain_model import complete_signature
from kfp_edge_serving.models.row_batch import Row, RowBatches, prepare_batches
from kfp_edge_serving.settings import RangePolicy, Settings
from kfp_edge_serving.telemetry.feature_statistics import FeatureStatistics

Feed = dict[str, Array]

_FLOATS = ("FP16", "FP32", "FP64")


@dataclass(frozen=True)
class ModelOptions:
    """How models are run.

    Attributes:
        providers: Execution providers of onnxruntime in the order of preference.
        threads: Threads of one inference; 0 is one for quick models, and all processors of the container for slow ones.
        max_rows: The largest batch.
        out_of_range: What happens to a value outside of the range of its column in training.
        max_groups: The largest number of groups whose last rows are kept for windows.
        max_history: Memory for those rows, in bytes.
    """

    providers: tuple[str, ...] = Settings.providers
    threads: int = Settings.threads
    max_rows: int = Limits.max_rows
    out_of_range: RangePolicy = Settings.out_of_range
    max_groups: int = Limits.max_groups
    max_history: int = Limits.max_history


class Model:
    """The model of a bundle; infers in any thread."""

    def __init__(self, bundle: LoadedBundle, options: ModelOptions, threads: int = 1) -> None:
        """Load the model.

        Args:
            bundle: Its bundle.
            options: How models are run.
            threads: Threads of one inference.

        Raises:
            StartError: the model cannot be loaded, or does not match its signature.
        """
        name = f"model {bundle.name} {bundle.version}"
        self._session = OnnxSession(name, bundle.model, bundle.weights, options.providers, threads)
        if bundle.is_verified:
            _check_columns(bundle)
            self._session.check_signature(bundle.inputs, bundle.outputs)
        else:
            bundle = complete_signature(bundle, self._session)
        # threads share the trees of one row, and add up their sums in another order; and a model without a bundle has
        # no recorded rows with which this could be tried
        self._has_exact_rows = threads == 1 and isinstance(bundle.model, bytes) and has_exact_rows(bundle.model)
        self._session.has_open_sizes = any(map(_has_open_sizes, bundle.inputs))
        # onnxruntime has its own copy of the model
        self.bundle = bundle = replace(bundle, model=b"", weights={})
        self.inputs = {tensor.name: tensor for tensor in bundle.inputs}
        self.outputs = {tensor.name: tensor for tensor in bundle.outputs}
        self.statistics = FeatureStatistics(bundle)
        self.all_outputs = list(self.outputs)
        self._batch_inputs = [
            (tensor.name, tensor.batch_dimension) for tensor in bundle.inputs if tensor.batch_dimension is not None
        ]
        empty_outputs = {tensor.name: _without_rows(tensor) for tensor in bundle.outputs}
        self._empty_outputs = {name: array for name, array in empty_outputs.items() if array is not None}
        ranges = {tensor.name: _column_ranges(tensor) for tensor in bundle.inputs}
        self._ranges = {name: low_high for name, low_high in ranges.items() if low_high is not None}
        self._options = options
        self._policy: RangePolicy = "off"
        self.is_slow = False
        self._batches: RowBatches | None = None
        #: Computes features from the rows before; None if rows have all of them.
        self.windows: WindowFeatures | None = None
        self.keep_history(self.new_history())

    @cached_property
    def row_layout(self) -> RowLayout:
        """How rows of named columns become the inputs."""
        return RowLayout(self.inputs.values())

    @cached_property
    def row_predictions(self) -> RowPredictions:
        """How all outputs become an object for each row."""
        return RowPredictions(list(self.outputs.values()))

    def new_history(self) -> RowHistory | None:
        """Return an empty history of rows, None if the model needs none."""
        definition = self.bundle.features
        if definition is None:
            return None
        columns, rows = len(definition.sources), definition.rows_needed
        return RowHistory(columns, rows, self._options.max_groups, self._options.max_history)

    def keep_history(self, history: RowHistory | None) -> None:
        """Compute windows from this history from now on, which other versions of the model may share."""
        if self.bundle.features is None or history is None:
            return
        required = {column.name: column.required for tensor in self.bundle.inputs for column in tensor.columns}
        flags = [required[feature.name] for feature in self.bundle.features.windows]
        self.windows = WindowFeatures(self.bundle.features, history, flags)

    def new_input(self, name: str, feed: Feed) -> TensorSpec:
        """Return the input `name` of a request whose inputs so far are in `feed`.

        Raises:
            RequestError: the model has no such input, or the request has it twice.
        """
        spec = self.inputs.get(name)
        if spec is None:
            raise RequestError(f"the model has no input {format_value(name)}; it takes {_quoted(self.inputs)}.")
        if name in feed:
            raise RequestError(f"input '{name}' is given twice.")
        return spec

    def requested_outputs(self, names: list[str]) -> list[str]:
        """Return the outputs that a request asks for: those that it names, or all if it names none.

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
        """Infer, and count the inputs and predictions.

        Args:
            feed: The array of each input, in its datatype and shape.
            names: The outputs to compute, as `requested_outputs` returns them.

        Raises:
            RequestError: an input is missing, the batch is too large or its inputs differ in their number of rows, a
                value is out of range and the policy is to reject it, or, with status 500, the model cannot compute with
                inputs that fit its signature.
        """
        if len(feed) != len(self.inputs):
            missing = [name for name in self.inputs if name not in feed]
            raise RequestError(f"input {_quoted(missing)} is missing; the model takes {_quoted(self.inputs)}.")
        rows = self._count_rows(feed)
        received = feed
        if self._policy in ("clip", "reject"):
            feed = self._clip(feed) if self._policy == "clip" else self._reject_out_of_range(feed)
        # not by onnxruntime: not every operator takes a tensor without elements
        arrays = self._answer_no_rows(names) if rows == 0 else self._session.run(names, feed)
        self.statistics.add(rows, received, names, arrays)
        return arrays

    def _answer_no_rows(self, names: list[str]) -> list[Array]:
        """Return outputs without rows."""
        if unknown := [name for name in names if name not in self._empty_outputs]:
            raise RequestError(f"zero rows have no answer: the shape of output '{unknown[0]}' does not follow.")
        return [self._empty_outputs[name] for name in names]

    def start_serving(self, is_slow: bool, history: RowHistory | None = None) -> None:
        """Start to count, and to check the ranges, which the recorded requests of the self-test may exceed.

        Args:
            is_slow: Whether one inference takes so long that it must not delay other requests.
            history: The rows of clients so far; without it there are none, not those of the self-test.
        """
        self.keep_history(history or self.new_history())
        self.is_slow = is_slow
        # a slow model runs in threads, which cannot share memory
        self._batches = None if is_slow else prepare_batches(self.bundle, self._session, self._has_exact_rows)
        self._policy = self._options.out_of_range
        self.statistics = FeatureStatistics(self.bundle, count_out_of_range=self._policy != "off")

    def enforced_range(self, input_name: str) -> tuple[list[float], list[float]] | None:
        """Return the lowest and the highest value of each column, None if no range is known or none is enforced."""
        if input_name not in self._ranges or self._policy not in ("clip", "reject"):
            return None
        low, high = self._ranges[input_name]
        return low.tolist(), high.tolist()

    def new_row_memory(self) -> RowBatches | None:
        """Return memory for one row at a time in another thread than the event loop; None where rows have none."""
        return None if self._batches is None else RowBatches(self.bundle, self._session, max_rows=1)

    def run_rows(self, rows: Sequence[Row], memory: RowBatches | None = None) -> list[Array]:
        """Return all outputs of up to `max_rows_at_once` rows, and count them; on the event loop only.

        With `memory` of its own, another thread may call it too. Each output has the shape [rows, values], and is valid
        until the next call.

        Unlike `run`, this leaves checking the rows and their ranges to the caller.

        Raises:
            RequestError: the model cannot compute with these inputs.
        """
        batches = memory or self._batches
        assert batches is not None
        batch = batches.run(rows)
        self.statistics.add_copies(len(rows), batch.feed, self.all_outputs, batch.outputs)
        return batch.outputs

    @property
    def max_rows_at_once(self) -> int:
        """How many rows `run_rows` takes; 0 if the model's inputs and outputs are not rows of a known size."""
        return 0 if self._batches is None else self._batches.max_rows

    def _count_rows(self, feed: Feed) -> int:
        if not self._batch_inputs:
            return 1
        name, dimension = self._batch_inputs[0]
        count: int = feed[name].shape[dimension]
        for name, dimension in self._batch_inputs[1:]:
            if feed[name].shape[dimension] != count:
                counts = ", ".join(f"'{name}' has {feed[name].shape[size]}" for name, size in self._batch_inputs)
                raise RequestError(f"all inputs must have the same number of rows, but {counts}.")
        self.check_batch(count)
        return count

    def check_batch(self, rows: int) -> None:
        """Check the size of a batch.

        Raises:
            RequestError: it is too large.
        """
        if rows > self._options.max_rows:
            raise RequestError(
                f"{rows} rows are more than this server takes at once; send at most {self._options.max_rows}.", 413
            )

    def _clip(self, feed: Feed) -> Feed:
        clipped = {name: np.clip(feed[name], low, high) for name, (low, high) in self._ranges.items()}
        return feed | {name: array.astype(feed[name].dtype, copy=False) for name, array in clipped.items()}

    def _reject_out_of_range(self, feed: Feed) -> Feed:
        for name, (low, high) in self._ranges.items():
            values = feed[name].reshape(-1, len(low))
            # NaN, a missing value, is on neither side
            outside = (values < low) | (values > high)
            if outside.any():
                row, column = np.argwhere(outside)[0]
                column_name = self.inputs[name].columns[column].name
                raise RequestError(
                    f"input '{name}', row {row}: {values[row, column]!s} is outside of what column '{column_name}' "
                    f"had in training, {low[column]!s} to {high[column]!s}."
                )
        return feed


def _check_columns(bundle: LoadedBundle) -> None:
    computed = frozenset() if bundle.features is None else bundle.features.names
    for tensor in bundle.inputs:
        width = len(tensor.columns)
        message = f"the signature of model {bundle.name} {bundle.version} is wrong: input '{tensor.name}'"
        if width and tensor.shape[1:] != (width,) and (len(tensor.shape), width) != (1, 1):
            raise StartError(f"{message} has {width} columns for the shape {list(tensor.shape)}.")
        if width and tensor.batch_dimension not in (0, None):
            raise StartError(f"{message} has columns, and its batch dimension is {tensor.batch_dimension}, not 0.")
        for column in tensor.columns:
            if (column.range if tensor.datatype == "BYTES" else column.categories) is not None:
                kind = "a range" if tensor.datatype == "BYTES" else "categories"
                raise StartError(f"{message} of {tensor.datatype} has {kind} for column '{column.name}'.")
            if column.name in computed and tensor.datatype not in _FLOATS:
                raise StartError(f"{message} of {tensor.datatype} has the computed column '{column.name}'.")


def _column_ranges(tensor: TensorSpec) -> tuple[Array, Array] | None:
    """Return the smallest and the largest value of each column, None if no range is known."""
    if not any(column.range for column in tensor.columns):
        return None
    unknown = (-np.inf, np.inf)
    low, high = zip(*(column.range or unknown for column in tensor.columns), strict=True)
    return limits(low, high, tensor)


def _has_open_sizes(tensor: TensorSpec) -> bool:
    """Whether a request chooses a size of the tensor, besides its number of rows."""
    return any(size == -1 and number != tensor.batch_dimension for number, size in enumerate(tensor.shape))


def _without_rows(tensor: TensorSpec) -> Array | None:
    """Return an output for no rows, None if its shape does not follow from the signature."""
    dimension = tensor.batch_dimension
    if dimension is None:
        return None
    shape = (*tensor.shape[:dimension], 0, *tensor.shape[dimension + 1 :])
    return None if -1 in shape else blank(shape, tensor)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
