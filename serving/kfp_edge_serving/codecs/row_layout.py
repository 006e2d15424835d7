"""Rows without a missing value, which most are, as the inputs of a model; what does not change is computed once."""

from collections.abc import Iterable
from itertools import chain
from operator import itemgetter

from kfp_edge_serving.codecs.tensors import Array, from_values, layout_of_rows
from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.models.bundle import TensorSpec


class RowLayout:
    """Where the inputs of a model have the columns of a row."""

    def __init__(self, inputs: Iterable[TensorSpec]) -> None:
        tensors = tuple(inputs)
        #: Why the model does not take rows of named columns, None if it does.
        self.obstacle = next(filter(None, map(_find_obstacle, tensors)), None)
        #: The columns in the order of the inputs.
        self.names = [column.name for tensor in tensors for column in tensor.columns]
        self._columns = frozenset(self.names)
        taken = () if self.obstacle else tensors
        self._inputs = [(tensor, itemgetter(*(column.name for column in tensor.columns))) for tensor in taken]

    def read_complete(self, rows: list[JsonObject]) -> dict[str, Array] | None:
        """Return the inputs from rows that have a value in each column and no other column; None if some have not.

        Raises:
            RequestError: a value is not one of its column.
        """
        columns = self._columns
        for row in rows:
            if row.keys() != columns or None in row.values():
                return None
        feed = {}
        for tensor, get_values in self._inputs:
            values = map(get_values, rows)
            flat = tuple(values if len(tensor.columns) == 1 else chain.from_iterable(values))
            feed[tensor.name] = from_values(flat, layout_of_rows(len(rows), tensor), tensor)
        return feed


def _find_obstacle(tensor: TensorSpec) -> str | None:
    if not tensor.columns:
        return f"input '{tensor.name}' has no named columns; give 'inputs' instead of 'rows'."
    if tensor.batch_dimension is None:
        return f"input '{tensor.name}' has no dimension of rows; give 'inputs' instead of 'rows'."
    return None
