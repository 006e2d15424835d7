"""A model that was trained elsewhere: brought to the form in which this project serves models, and tried on rows.

Whatever is changed in its graph is compared with the answers of the model as it came.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from kfp_edge.components.export.input_columns import check_half_precision, complete_shapes, match_columns
from kfp_edge.components.export.signature import describe_columns, finish
from kfp_edge.errors import ModelError
from kfp_edge.ml.bundle import InputTensor
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.decision import Decision
from kfp_edge.ml.onnx_model import Tensor, make_feed, open_session, run_session
from kfp_edge.onnx_graph.editing import keep_outputs
from kfp_edge.onnx_graph.fixed_batch import answers_agree, open_batch
from kfp_edge.onnx_graph.normalization import check, normalize
from kfp_edge.onnx_graph.operators import find_forbidden_operators
from kfp_edge.tasks.brought import BroughtModel, BroughtOptions, StandardOutputs
from kfp_edge.tasks.registry import task_of

#: Training rows on which a model is tried at most.
_MAX_ROWS = 20_000
#: Rows that are also run alone.
_SINGLE_ROWS = 5
#: Largest difference of a number from what it must be, in units of the resolution of its type.
_ROUNDING = 64


def prepare_brought_model(
    proto: onnx.ModelProto, data: Dataset, options: BroughtOptions, decision: Decision | None = None
) -> onnx.ModelProto:
    """Return a model with the inputs, outputs and classes of the data, and with its signature.

    Args:
        proto: The model as it was read, with all its weights; it is changed.
        data: The rows that it was trained on.
        options: What the user states about it.
        decision: How a classifier that was converted here decides, its positive class by the data's name; None for
            its most probable class.

    Raises:
        ModelError: it does not fit the data or the task; the message says what to change.
        DataError: a value does not fit an input.
        ParameterError: what is stated does not fit the model or the data.
    """
    if options.outputs:
        keep_outputs(proto, options.outputs)
    normalized = normalize(proto)
    _check_tensors(normalized.proto)
    complete_shapes(normalized.proto, len(data.roles.features))
    inputs, matched = match_columns(normalized.proto, describe_columns(data))
    _check_operators(normalized.proto)
    tried = _select_rows(data)
    frame = tried.x()
    check_half_precision(inputs, frame)
    feed = make_feed(inputs, frame)
    opened, changes = open_batch(normalized.proto, feed)
    answers = _try(opened, feed)
    brought = BroughtModel(opened, normalized.classes, tried, answers, options)
    outputs = task_of(data).standardize_outputs(brought)
    check(outputs.proto)
    _check_answers(outputs, feed)
    notes = [*normalized.notes, *matched, *changes, *outputs.notes]
    renamed = _rename(inputs, outputs.proto)
    return finish(outputs.proto, data, renamed, outputs.classes, outputs.threshold, notes, decision)


def _check_tensors(proto: onnx.ModelProto) -> None:
    """Refuse outputs that are lists or optional."""
    is_tensor = {output.name: output.type.WhichOneof("value") == "tensor_type" for output in proto.graph.output}
    if all(is_tensor.values()):
        return
    tensors = [name for name, is_one in is_tensor.items() if is_one]
    named = f"; name those to use, such as model_outputs={json.dumps(tensors)}, or" if tensors else ";"
    other = next(name for name, is_one in is_tensor.items() if not is_one)
    raise ModelError(f"the model's output {other!r} is no tensor{named} export it with tensors as outputs.")


def _check_operators(proto: onnx.ModelProto) -> None:
    """Refuse a model that may not run, before it is tried."""
    if forbidden := find_forbidden_operators(proto):
        names = ", ".join(f"{op_type} ({reason})" for op_type, reason in forbidden.items())
        raise ModelError(f"the model has operators that no model here may have: {names}; export it without them.")


def _rename(inputs: Sequence[InputTensor], proto: onnx.ModelProto) -> tuple[InputTensor, ...]:
    """Return the inputs with the names that they have now: one called as an output was renamed."""
    names = [tensor.name for tensor in proto.graph.input]
    return tuple(tensor.model_copy(update={"name": name}) for tensor, name in zip(inputs, names, strict=True))


def _select_rows(data: Dataset) -> Dataset:
    """Return at most so many rows, evenly spaced, and at least one of every class that is among the others."""
    count = len(data.frame)
    if count <= _MAX_ROWS:
        return data
    chosen = np.linspace(0, count - 1, _MAX_ROWS).astype(int)
    if data.roles.target:
        _, first = np.unique(data.y(), return_index=True)
        chosen = np.union1d(chosen, first)
    return dataclasses.replace(data, frame=data.frame.iloc[chosen].reset_index(drop=True))


def _try(proto: onnx.ModelProto, feed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the model's outputs for rows.

    Raises:
        ModelError: it cannot compute with them, or a row's answer depends on the other rows.
    """
    session = open_session(proto)
    answers = run_session(session, feed)
    count = len(next(iter(feed.values())))
    for name, values in answers.items():
        if values.shape[:1] != (count,) or values.ndim > 2:
            raise ModelError(
                f"the model's output {name!r} has the shape {list(values.shape)} for {count:,} rows; give a model that "
                "answers each row with one number, or with one for each class."
            )
    for row in range(min(_SINGLE_ROWS, count)):
        rows = slice(row, row + 1)
        alone = run_session(session, {name: values[rows] for name, values in feed.items()})
        if not answers_agree(alone, answers, rows):
            raise ModelError(
                "the model answers a row otherwise alone than among other rows; each row must be answered by itself, "
                "with nothing random and nothing computed over the rows: export it in evaluation mode."
            )
    return answers


def _check_answers(outputs: StandardOutputs, feed: Mapping[str, Tensor]) -> None:
    """Compare the changed graph with what was read from the model's own answers.

    Raises:
        ModelError: they differ.
    """
    feed = dict(zip((tensor.name for tensor in outputs.proto.graph.input), feed.values(), strict=True))
    answers = run_session(open_session(outputs.proto), feed)
    for name, expected in outputs.expected.items():
        values = answers[name]
        if values.dtype.kind == "f":
            limit = _ROUNDING * float(np.finfo(values.dtype).eps)
            is_equal = np.allclose(values, expected, rtol=limit, atol=limit)
        else:
            is_equal = bool(np.array_equal(values, expected))
        if not is_equal:
            raise ModelError(
                f"the model's {name} cannot be changed to what the task has: on training rows it differs from the "
                "model as it came; export it with the outputs label and probabilities, or label and score."
            )
