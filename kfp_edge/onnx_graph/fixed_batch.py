"""Models that take a fixed number of rows, made to take any number: the dimension is rewritten, or rows are scanned.

A rewritten graph is accepted only if it answers one row, two and all rows as the original does in its own batches.
"""

import copy
from collections.abc import Callable, Mapping

import numpy as np
import onnx

from kfp_edge.errors import ModelError
from kfp_edge.ml.onnx_model import Tensor, open_session, run_session
from kfp_edge.onnx_graph.scans import scan_rows
from kfp_edge.onnx_graph.traversal import get_shape

#: Largest difference of two answers that rounding may cause where sums are added up in another order, as a share.
_ROUNDING = 1e-5

_REMEDY = "export it with an open batch dimension (PyTorch: dynamic_shapes or dynamic_axes)"


def open_batch(proto: onnx.ModelProto, feed: Mapping[str, Tensor]) -> tuple[onnx.ModelProto, list[str]]:
    """Return a model that takes any number of rows, and what was changed.

    Args:
        proto: The model.
        feed: Its inputs for some rows, each of shape [rows, ...].

    Raises:
        ModelError: no way gives the answers of the original.
    """
    sizes = {shape[0] for value in proto.graph.input if (shape := get_shape(value))} - {None}
    if not sizes:
        return proto, []
    if len(sizes) > 1:
        raise ModelError(f"the inputs of the model have different numbers of rows: {_REMEDY}.")
    size = int(sizes.pop() or 0)
    count = len(next(iter(feed.values()))) // size * size
    if not count:
        raise ModelError(f"the model takes exactly {size} rows at a time, which the training data does not have.")
    part = {name: values[:count] for name, values in feed.items()}
    expected = _run_in_batches(proto, part, size)
    ways: dict[str, Callable[[onnx.ModelProto, int], onnx.ModelProto]] = {"was opened": _rewrite_dimension}
    if size == 1:
        ways["was opened by a Scan, which runs the rows one after another"] = scan_rows
    for words, change in ways.items():
        candidate = _try(change, proto, size)
        if candidate is not None and _agrees(candidate, part, expected):
            return candidate, [f"The fixed batch of {size} {words}."]
    raise ModelError(
        f"the model takes exactly {size} {'row' if size == 1 else 'rows'} at a time and cannot be changed to take any "
        f"number; {_REMEDY}."
    )


def answers_agree(answers: Mapping[str, Tensor], expected: Mapping[str, Tensor], rows: slice) -> bool:
    """Return whether outputs for some rows are those expected: equal labels, and numbers within rounding.

    Args:
        answers: The outputs for the rows of `rows`.
        expected: The outputs for all rows, whose largest number is what rounding is relative to.
        rows: Which of all rows were answered.
    """
    return all(_is_close(answers[name], values, rows) for name, values in expected.items())


def _is_close(answers: Tensor, expected: Tensor, rows: slice) -> bool:
    if answers.shape != expected[rows].shape:
        return False
    if answers.dtype.kind != "f":
        return bool(np.array_equal(answers, expected[rows]))
    limit = _ROUNDING * float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    return bool(np.allclose(answers, expected[rows], rtol=0, atol=limit, equal_nan=True))


def _run_in_batches(proto: onnx.ModelProto, feed: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
    session = open_session(proto)
    count = len(next(iter(feed.values())))
    parts = [
        run_session(session, {name: values[start : start + size] for name, values in feed.items()})
        for start in range(0, count, size)
    ]
    return {name: np.concatenate([np.atleast_1d(part[name]) for part in parts]) for name in parts[0]}


def _try(
    change: Callable[[onnx.ModelProto, int], onnx.ModelProto], proto: onnx.ModelProto, size: int
) -> onnx.ModelProto | None:
    """Return the changed model if it is valid, None otherwise."""
    changed = change(copy.deepcopy(proto), size)
    try:
        onnx.checker.check_model(changed, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return None
    return changed


def _agrees(candidate: onnx.ModelProto, feed: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    count = len(next(iter(feed.values())))
    try:
        session = open_session(candidate)
        return all(
            answers_agree(
                run_session(session, {name: values[:rows] for name, values in feed.items()}), expected, slice(rows)
            )
            for rows in (1, min(2, count), count)
        )
    except ModelError:  # onnxruntime cannot run it: the next way is tried
        return False


def _rewrite_dimension(proto: onnx.ModelProto, size: int) -> onnx.ModelProto:
    """Open the first dimension of inputs, outputs, and of the shapes that nodes reshape to."""
    graph = proto.graph
    for value in (*graph.input, *graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if len(dimensions) and dimensions[0].dim_value == size:
            dimensions[0].Clear()
    del graph.value_info[:]
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape" and len(node.input) > 1}
    for name, tensor in _iterate_constants(graph):
        if name not in shapes:
            continue
        shape = onnx.numpy_helper.to_array(tensor).copy()
        if shape.size and shape[0] == size:
            shape[0] = 0 if -1 in shape else -1  # 0 stands for the dimension of the input
            tensor.CopyFrom(onnx.numpy_helper.from_array(shape, tensor.name))
    return proto


def _iterate_constants(graph: onnx.GraphProto) -> list[tuple[str, onnx.TensorProto]]:
    """Return the constant tensors of a graph, initializers and `Constant` nodes, with the names of their values."""
    constants = [(tensor.name, tensor) for tensor in graph.initializer]
    for node in graph.node:
        if node.op_type == "Constant":
            constants += [(node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value"]
    return constants
