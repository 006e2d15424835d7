"""Rows of named columns, the convenience beside tensors: from a row's values by name to the inputs of a model.

Of a model with computed features a client sends what it measures, with time and group; see `features/`.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from kfp_edge_serving.codecs.tensors import (
    Array,
    format_value,
    from_values,
    layout_of_rows,
    missing_value,
    missing_value_error,
)
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.features.definition import FeatureDefinition
from kfp_edge_serving.features.rolling_windows import Float32s
from kfp_edge_serving.features.window_features import WindowFeatures
from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.models.bundle import ColumnSpec, TensorSpec
from kfp_edge_serving.models.model import Feed, Model

_OBJECTS = frozenset({dict})


class ParsedRows(NamedTuple):
    """The inputs of a model from the rows of one request.

    Attributes:
        feed: The inputs of the rows that can be answered; empty if there is none.
        missing: For each row the columns that were missing.
        answered: Positions of the rows that can be answered, None if all of them can.
        not_answered: For each other row its position, its status and what is known about it.
    """

    feed: Feed
    missing: list[list[str]]
    answered: list[int] | None = None
    not_answered: list[JsonObject] | None = None


def parse_rows(model: Model, rows: object) -> ParsedRows:
    """Return the inputs from rows of named columns.

    Raises:
        RequestError: the rows do not match the model.
    """
    if not isinstance(rows, list) or not _OBJECTS.issuperset(map(type, rows)):
        raise RequestError("'rows' must be a list of objects, each with the values of one row by their columns' names.")
    if model.row_layout.obstacle is not None:
        raise RequestError(model.row_layout.obstacle)
    if model.windows is not None and rows:
        return _parse_raw_rows(model, model.windows, rows)
    feed = model.row_layout.read_complete(rows)
    if feed is not None:
        return ParsedRows(feed, [[] for _ in rows])
    known = model.row_layout.names
    _check_columns(rows, known)
    feed = {name: _rows_to_array(rows, tensor) for name, tensor in model.inputs.items()}
    return ParsedRows(feed, _list_missing(rows, known))


def list_row_columns(inputs: Iterable[TensorSpec], definition: FeatureDefinition) -> list[ColumnSpec]:
    """Return the columns that a client sends to a model with computed features, beside time and group."""
    columns = [column for tensor in inputs for column in tensor.columns]
    measured = [column for column in columns if column.name not in definition.names]
    names = {column.name for column in measured}
    return [*measured, *(ColumnSpec(name) for name in definition.sources if name not in names)]


def _parse_raw_rows(model: Model, windows: WindowFeatures, rows: list[JsonObject]) -> ParsedRows:
    """Check all rows, store them, and return the inputs of those whose windows are full."""
    definition = windows.definition
    model.check_batch(len(rows))
    measured = [column.name for column in list_row_columns(model.inputs.values(), definition)]
    roles = [name for name in (definition.time_column, definition.group_column) if name is not None]
    for number, row in enumerate(rows):
        if computed := definition.names & row.keys():
            raise RequestError(
                f"row {number} has a column {format_value(min(computed))}, which the server computes itself from the "
                "rows before; send only what is measured."
            )
    _check_columns(rows, [*roles, *measured])
    feed = {name: _rows_to_array(rows, tensor, definition.names) for name, tensor in model.inputs.items()}
    sources = _select_sources(model, definition.sources, rows, feed)
    computed_rows = windows.compute(windows.read_times(rows), sources)
    missing = _list_missing(rows, measured)
    if not computed_rows.answered:
        return ParsedRows({}, missing, [], computed_rows.not_answered)
    features = dict(zip((window.name for window in definition.windows), computed_rows.features.T, strict=True))
    selected = {
        name: _fill(feed[name][computed_rows.answered], tensor, features) for name, tensor in model.inputs.items()
    }
    if not computed_rows.not_answered:
        return ParsedRows(selected, missing)
    return ParsedRows(selected, missing, computed_rows.answered, computed_rows.not_answered)


def _select_sources(model: Model, names: tuple[str, ...], rows: list[JsonObject], feed: Feed) -> Float32s:
    """Return the values that windows are of, shape [sources, rows]: inputs of the model, or columns of their own."""
    by_column: dict[str, Array] = {}
    for name, tensor in model.inputs.items():
        table = feed[name].reshape(len(rows), -1)
        by_column |= {column.name: table[:, index] for index, column in enumerate(tensor.columns)}
    others = tuple(name for name in names if name not in by_column)
    if others:
        tensor = TensorSpec("rows", "FP32", (-1, len(others)), tuple(map(ColumnSpec, others)))
        by_column |= zip(others, _rows_to_array(rows, tensor).T, strict=True)
    return np.stack([by_column[name].astype(np.float32) for name in names])


def _fill(array: Array, tensor: TensorSpec, features: dict[str, Float32s]) -> Array:
    """Write computed features into an input, which is changed."""
    table = array.reshape(len(array), -1)
    for index, column in enumerate(tensor.columns):
        if column.name in features:
            table[:, index] = features[column.name]
    return array


def _check_columns(rows: list[JsonObject], known: list[str]) -> None:
    for number, row in enumerate(rows):
        if unknown := row.keys() - known:
            message = f"row {number} has a column {format_value(min(unknown))} that the model does not have"
            takes = ", ".join(f"'{name}'" for name in known)
            raise RequestError(f"{message}; it takes {takes}.")


def _list_missing(rows: list[JsonObject], names: list[str]) -> list[list[str]]:
    return [[name for name in names if row.get(name) is None] for row in rows]


def _rows_to_array(rows: list[JsonObject], tensor: TensorSpec, computed: frozenset[str] = frozenset()) -> Array:
    """Return an input; columns that are computed later are 0."""
    missing_values = [0.0 if column.name in computed else missing_value(tensor, column) for column in tensor.columns]
    flat = []
    for number, row in enumerate(rows):
        for column, substitute in zip(tensor.columns, missing_values, strict=True):
            value = row.get(column.name)
            if value is None:
                value = substitute
                if value is None:
                    raise RequestError(missing_value_error(number, column.name))
            flat.append(value)
    return from_values(flat, layout_of_rows(len(rows), tensor), tensor)
