"""Which columns each input of an ONNX model takes: those of its name, or those at its position."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import onnx
import pandas as pd

from kfp_edge.errors import ModelError
from kfp_edge.ml.bundle import Column, InputTensor
from kfp_edge.ml.onnx_model import DATATYPES
from kfp_edge.onnx_graph.editing import GraphEditor, rename_in_nodes
from kfp_edge.onnx_graph.traversal import get_shape

#: Largest spacing of half precision at the quartiles of a column, as a share of its interquartile range.
_MAX_SPACING = 0.01


def match_columns(proto: onnx.ModelProto, columns: Sequence[Column]) -> tuple[tuple[InputTensor, ...], list[str]]:
    """Return the inputs of a model with the columns that they take, and how they were matched.

    Inputs that are called as columns take those, in whatever order they are. Others take the columns of the data in
    their order.

    Args:
        proto: The model, each of whose inputs has the shape [rows, width].
        columns: The features of the data in its order.

    Raises:
        ModelError: the inputs are not the features of the data.
    """
    tensors = list(proto.graph.input)
    widths = [(get_shape(tensor) or [None])[-1] or 0 for tensor in tensors]
    by_name = _match_names([tensor.name for tensor in tensors], columns)
    is_named = len(tensors) > 1 and all(column is not None for column in by_name)
    _check_widths(tensors, widths, columns, is_named=is_named, by_name=by_name)
    remaining, inputs = iter(columns), []
    for tensor, width, named in zip(tensors, widths, by_name, strict=True):
        at_position = tuple(next(remaining) for _ in range(width))
        taken = (named,) if is_named and named is not None else at_position
        if not is_named and len(tensors) > 1 and named is not None and named not in at_position:
            raise ModelError(
                f"the ONNX model's input {tensor.name!r} is called as a column and would get {at_position[0].name!r}, "
                "which is at its position; name all inputs as columns, or none."
            )
        inputs.append(_describe(tensor, taken))
    return tuple(inputs), _explain(inputs, is_named=is_named)


def _match_names(names: Sequence[str], columns: Sequence[Column]) -> list[Column | None]:
    """Return the column that each input is called as, or None; exporters replace what an identifier cannot have."""
    exact = {column.name: column for column in columns}
    plain: dict[str, list[Column]] = {}
    for column in columns:
        plain.setdefault(_simplify(column.name), []).append(column)
    alike = {name: same[0] for name, same in plain.items() if len(same) == 1}
    return [exact.get(name) or alike.get(_simplify(name)) for name in names]


def _simplify(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name).strip("_").lower()


def _check_widths(
    tensors: Sequence[onnx.ValueInfoProto],
    widths: Sequence[int],
    columns: Sequence[Column],
    *,
    is_named: bool,
    by_name: Sequence[Column | None],
) -> None:
    features = ", ".join(column.name for column in columns)
    if sum(widths) != len(columns):
        unused = [column.name for column in columns if column not in by_name] if is_named else []
        which = f" ({', '.join(unused[:5])})" if unused else ""
        remedy = (
            f"drop the columns that the model does not use{which}"
            if sum(widths) < len(columns)
            else "give the table that it was trained on"
        )
        inputs = ", ".join(f"{tensor.name} {[-1, width]}" for tensor, width in zip(tensors, widths, strict=True))
        raise ModelError(f"the ONNX model takes {inputs}, the data has {len(columns)} features: {features}; {remedy}.")
    if is_named and (len(set(map(id, by_name))) < len(tensors) or max(widths) > 1):
        raise ModelError(
            f"two inputs of the ONNX model take the same column, or one takes several; the features are {features}."
        )


def _describe(tensor: onnx.ValueInfoProto, columns: tuple[Column, ...]) -> InputTensor:
    datatype = DATATYPES.get(tensor.type.tensor_type.elem_type)
    is_text = datatype == "BYTES"
    wrong = next((column for column in columns if (column.categories is not None) != is_text), None)
    if datatype is None or wrong is not None:
        kind = "text" if is_text else "numbers"
        name = columns[0].name if wrong is None else wrong.name
        raise ModelError(
            f"the ONNX input {tensor.name!r} takes {kind}, and the column {name!r} of the data is of another type; "
            "name the inputs as the columns, or give the columns in the model's order."
        )
    return InputTensor(name=tensor.name, datatype=datatype, shape=(-1, len(columns)), columns=columns)


def _explain(inputs: Sequence[InputTensor], *, is_named: bool) -> list[str]:
    if is_named:
        return ["Each input takes the column of its name."]
    columns = ", ".join(column.name for tensor in inputs for column in tensor.columns)
    which = "The input takes" if len(inputs) == 1 else "The inputs, whose names are no columns, take"
    return [f"{which} the columns in the order of the data, which the model does not state: {columns}."]


def complete_shapes(proto: onnx.ModelProto, width: int) -> None:
    """Make every input a table: one that takes a vector of rows gets a column, and an open width is filled in.

    Args:
        proto: The model; it is changed.
        width: The number of features of the data.

    Raises:
        ModelError: an input has more dimensions, as a sequence or an image has.
    """
    inputs = list(proto.graph.input)
    editor = GraphEditor(proto, ())
    for tensor in inputs:
        shape = get_shape(tensor)
        if shape is not None and len(shape) > 2:
            raise ModelError(
                f"the input {tensor.name!r} of the ONNX model has the shape {shape}, as a sequence or an image; give a "
                f"model whose rows are those of the table: [rows, {width}]."
            )
        rows = shape[0] if shape else None
        if shape is not None and len(shape) == 1:
            _take_column(proto, editor, tensor.name)
        elif shape is not None and shape[1] is not None:
            continue
        element = tensor.type.tensor_type.elem_type
        columns = width if len(inputs) == 1 else 1
        tensor.CopyFrom(onnx.helper.make_tensor_value_info(tensor.name, element, [rows, columns]))


def _take_column(proto: onnx.ModelProto, editor: GraphEditor, name: str) -> None:
    """Insert a reshape of an input [rows, 1] to the vector that the graph takes."""
    flat = editor.flatten(name)
    reshape = proto.graph.node.pop()
    rename_in_nodes(proto.graph, name, flat)
    proto.graph.node.insert(0, reshape)


def check_half_precision(inputs: Iterable[InputTensor], frame: pd.DataFrame) -> None:
    """Refuse columns that an input in half precision does not tell apart, or cannot hold.

    Raises:
        ModelError: with the column.
    """
    limit = float(np.finfo(np.float16).max)
    for tensor in inputs:
        for column in tensor.columns if tensor.datatype == "FP16" else ():
            values = frame[column.name].dropna().to_numpy(np.float32)
            if not len(values):
                continue
            largest = float(np.abs(values).max())
            low, high = np.quantile(values, [0.25, 0.75])
            is_coarse = largest <= limit and _find_spacing(low, high) > _MAX_SPACING * (high - low) > 0
            if largest > limit or is_coarse:
                raise ModelError(
                    f"the ONNX input {tensor.name!r} takes half precision, which cannot "
                    f"{'tell the values of' if is_coarse else 'hold the values of'} the column {column.name!r}"
                    f"{' apart' if is_coarse else f', such as {largest:g}'}; export the model with float32 inputs."
                )


def _find_spacing(low: float, high: float) -> float:
    return float(max(np.spacing(np.abs(np.float16(value))) for value in (low, high)))
