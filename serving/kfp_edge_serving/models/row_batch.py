"""Inference of a few rows in memory that is kept.

For one row of a quick model, onnxruntime spends more time on making and wrapping arrays than on the model. So each
number of rows up to `MAX_ROWS` has arrays of its own, which onnxruntime reads and writes in place (its "IO binding").
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from kfp_edge_serving.codecs.tensors import Array, blank, decode, numpy_type
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.models.bundle import LoadedBundle, TensorSpec
from kfp_edge_serving.models.onnx_session import OnnxSession

#: More rows at once would save little: sixteen take a quarter of the time of sixteen times one.
MAX_ROWS = 16

#: The values of one row for each input: their bytes, or texts.
Row = tuple[bytes | list[str], ...]


class RowBatches:
    """Infers up to `max_rows` rows at once, in one thread only: the memory is used again by the next call."""

    def __init__(self, bundle: LoadedBundle, session: OnnxSession, max_rows: int = MAX_ROWS) -> None:
        self._batches = [_RowBatch(bundle, session, count) for count in range(1, max_rows + 1)]
        self.max_rows = max_rows

    def run(self, rows: Sequence[Row]) -> "_RowBatch":
        """Infer some rows; the result is valid until the next call.

        Raises:
            RequestError: the model cannot compute with these inputs.
        """
        batch = self._batches[len(rows) - 1]
        batch.run(rows)
        return batch


class _RowBatch:
    """A number of rows: `feed` as the model takes them, and `outputs`, each of shape [rows, values]."""

    def __init__(self, bundle: LoadedBundle, session: OnnxSession, count: int) -> None:
        self.feed = {tensor.name: blank((count, *tensor.shape[1:]), tensor) for tensor in bundle.inputs}
        kept = {tensor.name: blank((count, *tensor.shape[1:]), tensor) for tensor in bundle.outputs}
        self.outputs = _tables(kept.values())
        self._session = session
        self._names = list(kept)
        # onnxruntime keeps no texts in NumPy's memory
        has_text = any(array.dtype.kind == "O" for array in (*self.feed.values(), *self.outputs))
        self._compute_in_place = None if has_text else session.bind(self.feed, kept)
        self._memory = [_memory(array) for array in self.feed.values()]

    def run(self, rows: Sequence[Row]) -> None:
        for memory, values in zip(self._memory, zip(*rows, strict=True), strict=True):
            if isinstance(memory, memoryview):
                memory[:] = b"".join(values)
            else:
                memory[:] = np.array(list(chain.from_iterable(values)), np.object_)
        if self._compute_in_place is not None:
            self._compute_in_place()
        else:
            self.outputs = _tables(self._session.run(self._names, self.feed))


def prepare_batches(bundle: LoadedBundle, session: OnnxSession, has_exact_rows: bool) -> RowBatches | None:
    """Return the memory for rows of a model, None if its inputs and outputs are not rows of a known size.

    A batch must give every row the bits that it has alone, since a client cannot know with which others its row is
    computed. So several rows are computed at once only by operators that promise it, and where it is true of the rows
    of the self-test.
    """
    if not all(_is_row(tensor) for tensor in bundle.inputs + bundle.outputs):
        return None
    rows = _recorded_rows(bundle) or [tuple(_pack(blank(tensor.shape[1:], tensor)) for tensor in bundle.inputs)]
    batches = RowBatches(bundle, session)
    try:
        alone = [_run_alone(bundle, session, row) for row in rows]
        if not _agrees(batches, rows, alone, 1):
            return None
        if not (has_exact_rows and all(_agrees(batches, rows, alone, count) for count in range(2, MAX_ROWS + 1))):
            batches.max_rows = 1
    except RequestError:
        return None
    return batches


def _is_row(tensor: TensorSpec) -> bool:
    # a size of 0 leaves no memory to keep
    return tensor.batch_dimension == 0 and tensor.shape[0] == -1 and all(size > 0 for size in tensor.shape[1:])


def _recorded_rows(bundle: LoadedBundle) -> list[Row]:
    rows: list[Row] = []
    for sample in bundle.samples:
        given: dict[str, JsonObject] = {tensor["name"]: tensor for tensor in sample.request.get("inputs", [])}
        if given.keys() == {tensor.name for tensor in bundle.inputs}:
            arrays = [decode(given[tensor.name], tensor) for tensor in bundle.inputs]
            rows += zip(*(map(_pack, array) for array in arrays), strict=True)
    return rows[:MAX_ROWS]


def _pack(row: Array) -> bytes | list[str]:
    return np.ravel(row).tolist() if row.dtype.kind == "O" else row.tobytes()


def _run_alone(bundle: LoadedBundle, session: OnnxSession, row: Row) -> list[object]:
    """Return the bits of the outputs of a row as the general path computes them."""
    feed = {}
    for tensor, values in zip(bundle.inputs, row, strict=True):
        dtype = numpy_type(tensor)
        flat = np.frombuffer(values, dtype) if isinstance(values, bytes) else np.array(values, dtype)
        feed[tensor.name] = flat.reshape(1, *tensor.shape[1:])
    return _bits(_tables(session.run([tensor.name for tensor in bundle.outputs], feed)), 0)


def _agrees(batches: RowBatches, rows: list[Row], alone: list[list[object]], count: int) -> bool:
    """Return whether `count` rows at once give the bits that each gives alone, at two places of the batch."""
    for start in (0, len(rows) // 2):
        order = [(start + position) % len(rows) for position in range(count)]
        outputs = batches.run([rows[index] for index in order]).outputs
        if any(_bits(outputs, position) != alone[index] for position, index in enumerate(order)):
            return False
    return True


def _bits(outputs: Sequence[Array], position: int) -> list[object]:
    return [_pack(array[position : position + 1]) for array in outputs]


def _tables(arrays: Iterable[Array]) -> list[Array]:
    return [array.reshape(len(array), -1) for array in arrays]


def _memory(array: Array) -> memoryview | Array:
    return array.reshape(-1) if array.dtype.kind == "O" else array.data.cast("B")
