"""Write the signature of a model into its ONNX file: tensors, columns, ranges, categories and classes."""

import onnx
import pandas as pd

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.bundle import Column, InputTensor, Signature
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import DATATYPES, read_opsets, write_signature
from kfp_edge.ml.units import parse_units
from kfp_edge.tasks.registry import task_of
from kfp_edge.tasks.task import Task


def add_signature(
    proto: onnx.ModelProto, data: Dataset, classes: tuple[ClassLabel, ...], threshold: float | None
) -> onnx.ModelProto:
    """Write the signature into the metadata of an ONNX model, and nothing else; return the model.

    skl2onnx lists operator sets in hash order; here they are sorted, so that the same model gives the same bytes. Of
    a set that is listed twice the last version stays, which is the one that counts.

    Args:
        proto: The model; it is changed.
        data: The training rows; ranges and categories are those of the rows that the model learns from, which are
            the normal ones for a detector.
        classes: The labels of a classifier in the order of its probabilities; empty for an anomaly detector.
        threshold: The score above which a detector raises an alarm; None for a classifier.

    Raises:
        ModelError: its inputs are not the data's features, or its outputs are not those of a classifier
            (`label`, `probabilities`) or of a detector (`label`, `score`).
    """
    task = task_of(data)
    _check_outputs(proto, task)
    columns = _describe_columns(task.select_fitted_rows(data))
    signature = Signature(
        task=task.name,
        inputs=_describe_inputs(proto, columns),
        outputs=task.describe_outputs(proto, data, classes, threshold),
    )
    write_signature(proto, signature)
    versions = sorted(read_opsets(proto).items())
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in versions)
    return proto


def _describe_columns(data: Dataset) -> list[Column]:
    frame = data.x()
    return [
        _describe_text(name, frame[name]) if name in data.roles.categorical else _describe_number(name, frame[name])
        for name in data.roles.features
    ]


def _describe_text(name: str, values: pd.Series) -> Column:
    categories = tuple(sorted(values.unique()))
    return Column(name=name, units=parse_units(name), categories=categories, required="" not in categories)


def _describe_number(name: str, values: pd.Series) -> Column:
    is_boolean = set(values.dropna().unique()) == {0, 1}
    return Column(name=name, units=parse_units(name), range=_find_range(values), boolean=is_boolean)


def _find_range(values: pd.Series) -> tuple[float, float] | None:
    """Return the smallest and the largest value, None where all are missing."""
    present = values.dropna()
    return (float(present.min()), float(present.max())) if len(present) else None


def _describe_inputs(proto: onnx.ModelProto, columns: list[Column]) -> tuple[InputTensor, ...]:
    tensors = proto.graph.input
    widths = [_get_shape(tensor)[-1] for tensor in tensors]
    if sum(widths) != len(columns):
        model_inputs = ", ".join(f"{tensor.name} {list(_get_shape(tensor))}" for tensor in tensors)
        features = ", ".join(column.name for column in columns)
        raise ModelError(
            f"the ONNX model takes {model_inputs}, the data has {len(columns)} features: {features}; "
            "drop the columns that the model does not use."
        )
    remaining = iter(columns)
    inputs = []
    for tensor, width in zip(tensors, widths, strict=True):
        tensor_columns = tuple(next(remaining) for _ in range(width))
        datatype = DATATYPES.get(tensor.type.tensor_type.elem_type)
        is_text = datatype == "BYTES"
        if datatype is None or any((column.categories is not None) != is_text for column in tensor_columns):
            raise ModelError(
                f"the ONNX input {tensor.name!r} has another type than the column {tensor_columns[0].name!r} of the "
                "data; give text to string inputs and numbers to the others, in the model's own order."
            )
        shape = _get_shape(tensor)
        inputs.append(InputTensor(name=tensor.name, datatype=datatype, shape=shape, columns=tensor_columns))
    return tuple(inputs)


def _check_outputs(proto: onnx.ModelProto, task: Task) -> None:
    outputs = {tensor.name: tensor for tensor in proto.graph.output}
    are_tensors = all(tensor.type.HasField("tensor_type") for tensor in outputs.values())
    if not task.has_outputs(outputs) or not are_tensors:
        raise ModelError(
            f"the ONNX model's outputs are {', '.join(sorted(outputs))}; name them {' and '.join(task.outputs)}, "
            "as plain tensors (for skl2onnx: zipmap=False)."
        )


def _get_shape(tensor: onnx.ValueInfoProto) -> tuple[int, ...]:
    dimensions = tensor.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value else -1 for dim in dimensions)
