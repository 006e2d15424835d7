"""Recorded inferences for the bundle: the server replays them at start, the staging test over the network."""

import numpy as np
import pandas as pd

from kfp_edge.errors import ModelError
from kfp_edge.ml.arrays import Int64s, Labels, Mask
from kfp_edge.ml.bundle import Column, Datatype, Sample, Signature
from kfp_edge.ml.onnx_model import OnnxModel, Tensor
from kfp_edge.storage.files import JsonObject
from kfp_edge.tasks.registry import predict_onnx

_MAX_SAMPLES = 20
#: How many of them have missing numbers, where there are other rows too.
_MAX_INCOMPLETE = 5
#: Columns that a sentence names.
_MAX_NAMED = 5


def record_samples(model: OnnxModel, rows: pd.DataFrame, *, has_computed: bool = False) -> tuple[Sample, ...]:
    """Record up to 20 rows with the model's outputs, as Open Inference Protocol bodies; every label is among them.

    The JSON of its tensors has no NaN: a row with missing numbers is recorded as an object of named columns, the
    server's own form of a request. Rows that the server refuses are not recorded.

    Args:
        model: The verified model.
        rows: Held-out rows.
        has_computed: Whether the server computes features of such objects. Then rows with missing numbers are not
            recorded, and there may be no sample at all.

    Raises:
        ModelError: the server would refuse every row.
    """
    usable = rows[is_served(model.signature, rows)]
    if not usable.empty:
        usable = usable[has_finite_outputs(model, usable)]
    if usable.empty:
        raise ModelError(_explain_refusal(model.signature, rows))
    if has_computed:
        usable = usable[~_find_missing_numbers(model.signature, usable)]
        if usable.empty:
            return ()
    labels = predict_onnx(model, usable).strata
    is_incomplete = _find_missing_numbers(model.signature, usable)
    selected = _select_rows(labels, is_incomplete)
    return tuple(_record_sample(model, usable.iloc[[row]], as_rows=is_incomplete[row]) for row in selected)


def _explain_refusal(signature: Signature, rows: pd.DataFrame) -> str:
    """Return why no held-out row can be recorded: the column that makes the server refuse all of them, if it is one."""
    sentence = "the server would refuse every held-out row, so none can be recorded as a sample: "
    for tensor in signature.inputs:
        for column in tensor.columns:
            if not is_accepted(column, rows[column.name]).any():
                problem = (
                    "is missing in all of them and may not be; put it in drop."
                    if column.categories is None
                    else "has no value in any of them that training had; put it in drop, or in group_column."
                )
                return f"{sentence}column {column.name!r} {problem}"
    return sentence + (
        "each has a category that training did not have, or lacks a value that may not be missing; "
        "hold out other rows, or more."
    )


def is_served(signature: Signature, rows: pd.DataFrame) -> Mask:
    """Return the rows, shape [n], that the server takes: known categories, and no value missing that may not be."""
    columns = [column for tensor in signature.inputs for column in tensor.columns]
    accepted = [is_accepted(column, rows[column.name]) for column in columns]
    served: Mask = np.logical_and.reduce(accepted)
    return served


def describe_unanswered(signature: Signature, rows: pd.DataFrame) -> tuple[str, ...]:
    """Return in one sentence how many held-out rows the server refuses although they are measured; none if it is none.

    Args:
        signature: The signature with the columns that may not be missing.
        rows: The held-out rows.
    """
    count = int((~is_served(signature, rows)).sum())
    if not count:
        return ()
    columns = [column for tensor in signature.inputs for column in tensor.columns]
    refused = [column for column in columns if not is_accepted(column, rows[column.name]).all()]
    missing = [repr(column.name) for column in refused if column.categories is None]
    unknown = [repr(column.name) for column in refused if column.categories is not None]
    reasons = [f"{', '.join(missing[:_MAX_NAMED])} may not be missing"] if missing else []
    reasons += [f"{', '.join(unknown[:_MAX_NAMED])} has a value that training did not have"] if unknown else []
    remedy = "; fill them, train with rows that lack them, or name them in may_be_missing" if missing else ""
    return (
        f"The metrics count {count:,} of {len(rows):,} held-out rows that the server will not answer, because "
        f"{' and '.join(reasons)}{remedy}.",
    )


def is_accepted(column: Column, values: pd.Series) -> Mask:
    """Return the values, shape [n], that the server takes in a column."""
    if column.categories is not None:
        return values.isin(column.categories).to_numpy()
    if column.required:
        return values.notna().to_numpy()
    return np.ones(len(values), dtype=bool)


def has_finite_outputs(model: OnnxModel, rows: pd.DataFrame) -> Mask:
    """Return the rows, shape [n], whose outputs JSON can represent."""
    numbers = [array for array in model.run(model.to_input_feed(rows)).values() if array.dtype.kind == "f"]
    finite: Mask = np.logical_and.reduce([np.isfinite(array).reshape(len(rows), -1).all(axis=1) for array in numbers])
    return finite


def _find_missing_numbers(signature: Signature, rows: pd.DataFrame) -> Mask:
    names = [column.name for tensor in signature.inputs for column in tensor.columns if column.categories is None]
    return rows[names].isna().any(axis=1).to_numpy()


def _select_rows(labels: Labels, is_incomplete: Mask) -> list[int]:
    """Return the positions of complete rows, then of rows with missing numbers."""
    complete, incomplete = np.flatnonzero(~is_incomplete), np.flatnonzero(is_incomplete)
    share = min(_MAX_INCOMPLETE, len(incomplete)) if len(complete) else _MAX_SAMPLES
    return [*_spread(labels, complete, _MAX_SAMPLES - share), *_spread(labels, incomplete, share)]


def _spread(labels: Labels, rows: Int64s, count: int) -> list[int]:
    """Return about `count` of `rows`, in order: for every label among them some, spread over its rows."""
    selected: list[int] = []
    kinds = np.unique(labels[rows])
    for index, label in enumerate(kinds if count else ()):
        candidates = rows[labels[rows] == label]
        number = min(len(candidates), max(1, count // len(kinds) + (index < count % len(kinds))))
        selected += [int(candidates[index]) for index in np.linspace(0, len(candidates) - 1, number).astype(int)]
    return sorted(selected)


def _record_sample(model: OnnxModel, row: pd.DataFrame, *, as_rows: bool) -> Sample:
    feed = model.to_input_feed(row)
    datatypes = {tensor.name: tensor.datatype for tensor in model.signature.inputs}
    inputs = {"inputs": [_to_json(name, datatypes[name], array) for name, array in feed.items()]}
    return Sample(
        request={"rows": [_to_named_values(model.signature, feed)]} if as_rows else inputs,
        response=record_response(model, row),
    )


def record_response(model: OnnxModel, row: pd.DataFrame) -> JsonObject:
    """Return the response of the model to one row, as an Open Inference Protocol body."""
    datatypes = {tensor.name: tensor.datatype for tensor in model.signature.outputs}
    outputs = model.run(model.to_input_feed(row))
    return {"outputs": [_to_json(name, datatypes[name], array) for name, array in outputs.items()]}


def _to_named_values(signature: Signature, feed: dict[str, Tensor]) -> JsonObject:
    """Return one row as values by the names of its columns, null where a number is missing."""
    return {
        column.name: None if isinstance(value, float) and np.isnan(value) else value
        for tensor in signature.inputs
        for column, value in zip(tensor.columns, feed[tensor.name].reshape(-1).tolist(), strict=True)
    }


def _to_json(name: str, datatype: Datatype, array: Tensor) -> JsonObject:
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.reshape(-1).tolist()}
