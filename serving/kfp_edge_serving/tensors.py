"""Tensors of the Open Inference Protocol v2 as JSON ("Tensor Data Types"), checked to the last element."""

import math
from itertools import chain
from typing import Any

import numpy as np

from kfp_edge_serving.bundle import Tensor
from kfp_edge_serving.errors import RequestError

Array = np.ndarray[Any, np.dtype[Any]]

#: For each datatype: numpy's type, the JSON values that it takes, and what to call them.
_DATATYPES: dict[str, tuple[Any, frozenset[type], str]] = {
    "BOOL": (np.bool_, frozenset({bool}), "true or false"),
    "INT32": (np.int32, frozenset({int}), "integers"),
    "INT64": (np.int64, frozenset({int}), "integers"),
    "FP32": (np.float32, frozenset({int, float}), "numbers"),
    "FP64": (np.float64, frozenset({int, float}), "numbers"),
    "BYTES": (np.object_, frozenset({str}), "strings"),
}
_SHOWN = 60
_SHOWN_CATEGORIES = 20

DATATYPES = frozenset(_DATATYPES)


def decode(tensor: dict[str, Any], wanted: Tensor) -> Array:
    """Return the array that a request's input tensor holds.

    Raises:
        RequestError: datatype, shape or data are not what the model takes.
    """
    datatype = tensor.get("datatype")
    if datatype != wanted.datatype:
        raise RequestError(f"input '{wanted.name}' takes datatype {wanted.datatype}, got {shown(datatype)}.")
    shape = _shape(tensor.get("shape"), wanted)
    flat = _flat(tensor.get("data"), shape, wanted)
    dtype, types, called = _DATATYPES[wanted.datatype]
    if not types.issuperset(map(type, flat)):
        position, value = next((i, value) for i, value in enumerate(flat) if type(value) not in types)
        raise RequestError(f"input '{wanted.name}' takes {called}; element {position} of its data is {shown(value)}.")
    array = _array(flat, dtype, wanted)
    _check_categories(flat, wanted)
    return array.reshape(_model_shape(shape, wanted))


def encode(array: Array, output: Tensor) -> dict[str, Any]:
    """Return the output tensor of a response; its data are flat, in row-major order.

    Raises:
        RequestError: the answer to this request is not finite, which JSON cannot hold.
    """
    flat: Any = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        raise RequestError(f"these inputs make output '{output.name}' infinite or NaN, which JSON cannot hold.")
    data = flat.tolist() if flat.dtype.kind in "OUS" else flat
    return {"name": output.name, "datatype": output.datatype, "shape": array.shape, "data": data}


def shown(value: Any) -> str:
    """Return `value` as an error shows it: short, and in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _shape(shape: Any, wanted: Tensor) -> tuple[int, ...]:
    if not isinstance(shape, list) or any(type(size) is not int or size < 0 for size in shape):
        raise RequestError(f"input '{wanted.name}' needs a shape, a list of sizes such as {_example(wanted)}.")
    sizes = tuple(shape)
    if 0 in sizes:
        raise RequestError(f"input '{wanted.name}' has shape {shape}, which holds no data.")
    if not _fits(_model_shape(sizes, wanted), wanted.shape):
        raise RequestError(f"input '{wanted.name}' takes shape {list(wanted.shape)} (-1 is any size), got {shape}.")
    return sizes


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(want in (-1, size) for size, want in zip(shape, wanted, strict=True))


def _model_shape(shape: tuple[int, ...], wanted: Tensor) -> tuple[int, ...]:
    """Return `shape`, a column of n values as the n rows of one value that the model takes."""
    if len(shape) == 1 and len(wanted.shape) == 2 and wanted.shape[1] == 1:
        return (*shape, 1)
    return shape


def _example(wanted: Tensor) -> list[int]:
    return [1 if size == -1 else size for size in wanted.shape]


def _flat(data: Any, shape: tuple[int, ...], wanted: Tensor) -> list[Any]:
    if not isinstance(data, list):
        raise RequestError(f"input '{wanted.name}' needs data, an array in row-major order; got {shown(data)}.")
    flat: list[Any] = data
    for size in shape[1:]:
        if not flat or type(flat[0]) is not list:
            break
        if any(type(row) is not list or len(row) != size for row in flat):
            raise RequestError(f"the nested data of input '{wanted.name}' do not have its shape {list(shape)}.")
        flat = list(chain.from_iterable(flat))
    count = math.prod(shape)
    if len(flat) != count:
        raise RequestError(
            f"input '{wanted.name}' of shape {list(shape)} needs {count} values in its data, got {len(flat)}."
        )
    return flat


def _array(flat: list[Any], dtype: Any, wanted: Tensor) -> Array:
    try:
        with np.errstate(over="ignore"):
            array: Array = np.array(flat, dtype=dtype)
    except OverflowError as error:
        raise RequestError(f"input '{wanted.name}' holds an integer that {wanted.datatype} cannot hold.") from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        position = int(np.argmin(np.isfinite(array)))
        raise RequestError(
            f"input '{wanted.name}' holds {shown(flat[position])}, which is too large for {wanted.datatype}."
        )
    return array


def _check_categories(flat: list[Any], wanted: Tensor) -> None:
    if wanted.datatype != "BYTES":
        return
    for index, (column, categories) in enumerate(zip(wanted.columns, wanted.categories, strict=True)):
        if categories is None or categories.issuperset(values := flat[index :: len(wanted.columns)]):
            continue
        row, value = next((row, value) for row, value in enumerate(values) if value not in categories)
        known = sorted(categories)
        allowed = ", ".join(repr(name) for name in known[:_SHOWN_CATEGORIES])
        more = f" and {len(known) - _SHOWN_CATEGORIES} more" if len(known) > _SHOWN_CATEGORIES else ""
        raise RequestError(
            f"input '{wanted.name}', row {row}: {shown(value)} is not a category of column '{column}'; "
            f"allowed are {allowed}{more}."
        )
