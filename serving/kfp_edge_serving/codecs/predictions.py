"""What a model predicts for each row, by name: the answer to rows of named columns, beside the protocol's tensors."""

from collections.abc import Sequence

from kfp_edge_serving.codecs.tensors import Array
from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.models.bundle import TensorSpec


def name_predictions(arrays: Sequence[Array], outputs: Sequence[TensorSpec]) -> list[JsonObject]:
    """Return an object for each row: the value of every output by its name, probabilities by the names of the classes.

    An output without a row for each row of the request is not in it.

    Args:
        arrays: The output tensors.
        outputs: What the signature says of each.
    """
    by_row = [pair for pair in zip(arrays, outputs, strict=True) if pair[1].batch_dimension == 0]
    columns = [_list_values(array, output) for array, output in by_row]
    names = [output.name for _, output in by_row]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _list_values(array: Array, output: TensorSpec) -> list[object]:
    """Return the value of each row; floats stay NumPy's, since Python's would show the rounding of single precision."""
    if output.has_number_of_each_class:
        return [dict(zip(output.classes, row, strict=True)) for row in array]
    return list(array) if array.dtype.kind == "f" else array.tolist()
