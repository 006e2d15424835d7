"""Write the signature of a model into its ONNX file: tensors, columns, ranges, categories and classes."""

from collections.abc import Sequence

import onnx
import pandas as pd

from kfp_edge.components.export.input_columns import match_columns
from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.bundle import Column, InputTensor, OutputTensor, Signature
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.decision import Decision
from kfp_edge.ml.onnx_model import read_opsets, write_signature
from kfp_edge.ml.units import parse_units
from kfp_edge.onnx_graph.normalization import set_opsets
from kfp_edge.tasks.registry import task_of
from kfp_edge.tasks.task import Task


def add_signature(
    proto: onnx.ModelProto,
    data: Dataset,
    classes: tuple[ClassLabel, ...],
    threshold: float | None,
    decision: Decision | None = None,
) -> onnx.ModelProto:
    """Write the signature of a model that was converted here into its metadata; return the model.

    Args:
        proto: The model; it is changed. Its inputs take the features of the data.
        data: The training rows; ranges and categories are those of the rows that the model learns from, which are
            the normal ones for a detector.
        classes: The labels of a classifier in the order of its probabilities; empty for an anomaly detector.
        threshold: The score above which a detector raises an alarm; None for a classifier.
        decision: How a classifier decides; None for its most probable class.

    Raises:
        ModelError: its inputs are not the data's features, or it is for another task than the data.
    """
    _check_outputs(proto, task_of(data))
    inputs, _ = match_columns(proto, describe_columns(data))
    return finish(proto, data, inputs, classes, threshold, decision=decision)


def finish(
    proto: onnx.ModelProto,
    data: Dataset,
    inputs: tuple[InputTensor, ...],
    classes: tuple[ClassLabel, ...],
    threshold: float | None,
    notes: Sequence[str] = (),
    decision: Decision | None = None,
) -> onnx.ModelProto:
    """Write the signature into the metadata of a model with the outputs of its task; return the model.

    skl2onnx lists operator sets in hash order; here they are sorted, so that the same model gives the same bytes. Of
    a set that is listed twice the last version stays, which is the one that counts.

    Args:
        proto: The model; it is changed.
        data: The training rows.
        inputs: The inputs of the model with their columns.
        classes: The labels of a classifier in the order of its probabilities.
        threshold: The score above which a detector raises an alarm.
        notes: What a reviewer should know about how the model came, each in one sentence.
        decision: How a classifier decides; None for its most probable class.
    """
    task = task_of(data)
    outputs = _add_decision(task.describe_outputs(proto, data, classes, threshold), decision)
    write_signature(proto, Signature(task=task.name, inputs=inputs, outputs=outputs), notes)
    set_opsets(proto, read_opsets(proto))
    return proto


def _add_decision(outputs: tuple[OutputTensor, ...], decision: Decision | None) -> tuple[OutputTensor, ...]:
    """Return the outputs with the threshold of the probabilities."""
    if decision is None:
        return outputs
    stated = {"threshold": decision.threshold, "positive": str(decision.positive), "choice": decision.choice}
    return tuple(output.model_copy(update=stated) if output.name == "probabilities" else output for output in outputs)


def describe_columns(data: Dataset) -> list[Column]:
    """Return the features with the ranges or categories of the rows that a model learns from."""
    data = task_of(data).select_fitted_rows(data)
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


def _check_outputs(proto: onnx.ModelProto, task: Task) -> None:
    outputs = [tensor.name for tensor in proto.graph.output]
    if not task.has_outputs(outputs):
        raise ModelError(
            f"the model gives {' and '.join(outputs)}, and one for {task.title} gives {' and '.join(task.outputs)}; "
            "give ingest the task that the model is for, or another model."
        )
