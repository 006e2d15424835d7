"""Tensors of the Open Inference Protocol v2 ("Tensor Data Types"), as JSON or bytes, checked to the last element."""

import math
import struct
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np

from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.bundle import TensorSpec

Array = np.ndarray[Any, np.dtype[Any]]

_INT = frozenset({int})
_INTEGERS = (_INT, "integers")
_NUMBERS = (frozenset({int, float}), "numbers")
#: For each datatype: numpy's type, the JSON values that it takes, and what to call them.
_DATATYPES: dict[str, tuple[Any, frozenset[type], str]] = {
    "BOOL": (np.dtype(np.bool_), frozenset({bool}), "true or false"),
    "UINT8": (np.dtype(np.uint8), *_INTEGERS),
    "UINT16": (np.dtype(np.uint16), *_INTEGERS),
    "UINT32": (np.dtype(np.uint32), *_INTEGERS),
    "UINT64": (np.dtype(np.uint64), *_INTEGERS),
    "INT8": (np.dtype(np.int8), *_INTEGERS),
    "INT16": (np.dtype(np.int16), *_INTEGERS),
    "INT32": (np.dtype(np.int32), *_INTEGERS),
    "INT64": (np.dtype(np.int64), *_INTEGERS),
    "FP16": (np.dtype(np.float16), *_NUMBERS),
    "FP32": (np.dtype(np.float32), *_NUMBERS),
    "FP64": (np.dtype(np.float64), *_NUMBERS),
    "BYTES": (np.dtype(np.object_), frozenset({str}), "strings"),
}
#: The largest number that is not rounded to infinity: just below half a step above the largest of the datatype.
_LARGEST = {
    "FP16": math.nextafter((2 - 2**-11) * 2.0**15, 0),
    "FP32": math.nextafter((2 - 2**-24) * 2.0**127, 0),
    "FP64": sys.float_info.max,
}
_FLOATS = frozenset(_LARGEST)
_SHOWN = 60
_SHOWN_CATEGORIES = 20
_LENGTH = struct.Struct("<I")
#: Shapes whose layout is remembered; clients send few.
_LAYOUTS = 1024

DATATYPES = frozenset(_DATATYPES)


class TensorLayout(NamedTuple):
    """A checked shape as it was sent, the number of its elements, and the shape that the model takes."""

    shape: tuple[int, ...]
    size: int
    taken: tuple[int, ...]


def decode(tensor: dict[str, Any], wanted: TensorSpec) -> Array:
    """Return the array that a request's JSON tensor holds.

    Raises:
        RequestError: datatype, shape or data are not what the model takes.
    """
    layout = check_shape(tensor.get("datatype"), tensor.get("shape"), wanted)
    data = tensor.get("data")
    if type(data) is not list or (data and type(data[0]) is list):
        data = _flat(data, layout.shape, wanted)
    return from_values(data, layout, wanted)


def from_values(flat: Sequence[Any], layout: TensorLayout, wanted: TensorSpec) -> Array:
    """Return the array of the values of a checked shape, in row-major order.

    Raises:
        RequestError: there are too few or too many of them, or one is not what the datatype holds.
    """
    if len(flat) != layout.size:
        told = f"input '{wanted.name}' of shape {list(layout.shape)}"
        raise RequestError(f"{told} needs {layout.size} values in its data, got {len(flat)}.")
    dtype, types, called = _DATATYPES[wanted.datatype]
    if not types.issuperset(map(type, flat)):
        position, value = next((i, value) for i, value in enumerate(flat) if type(value) not in types)
        place = f"element {position} of its data is {format_value(value)}{_column(position, wanted)}"
        raise RequestError(f"input '{wanted.name}' takes {called}; {place}.")
    array = _array(flat, dtype, wanted)
    if wanted.datatype == "BYTES":
        _check_categories(flat, wanted)
    return array.reshape(layout.taken)


def from_raw(raw: bytes | memoryview, layout: TensorLayout, wanted: TensorSpec) -> Array:
    """Return the array that raw bytes of a checked shape hold ("Tensor Data", little-endian, row-major).

    Elements of BYTES are each a length of 4 bytes and as many bytes of UTF-8. Floats may be NaN, for a missing value.

    Raises:
        RequestError: there are too few or too many bytes, or an element is not what the datatype holds.
    """
    if wanted.datatype == "BYTES":
        return from_values(_strings(raw, wanted), layout, wanted)
    dtype = _DATATYPES[wanted.datatype][0].newbyteorder("<")
    size = layout.size * dtype.itemsize
    if len(raw) != size:
        told = f"input '{wanted.name}' of shape {list(layout.shape)}"
        raise RequestError(f"{told} needs {size} bytes of {wanted.datatype}, got {len(raw)}.")
    # a copy is aligned, and does not keep the whole body alive for as long as it is kept itself
    array: Array = np.frombuffer(raw, dtype).copy()
    if wanted.datatype == "BOOL" and (array.view(np.uint8) > 1).any():
        raise RequestError(f"input '{wanted.name}' takes bytes of 0 or 1 for BOOL.")
    if wanted.datatype in _FLOATS and (infinite := np.isinf(array)).any():
        raise RequestError(f"input '{wanted.name}' holds an infinite value{_column(int(infinite.argmax()), wanted)}.")
    return array.reshape(layout.taken)


def encode(array: Array, output: TensorSpec) -> dict[str, Any]:
    """Return the output tensor of a JSON response; its data are flat, in row-major order."""
    flat = array.ravel()
    data = flat.tolist() if flat.dtype.kind in "OUS" else flat
    return {"name": output.name, "datatype": output.datatype, "shape": array.shape, "data": data}


def check_finite(array: Array, output: TensorSpec) -> None:
    """Refuse an answer that JSON cannot hold.

    Raises:
        RequestError: a float is infinite or NaN.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RequestError(f"these inputs make output '{output.name}' infinite or NaN, which JSON cannot hold.")


def to_raw(array: Array) -> bytes:
    """Return the raw bytes of an output tensor, as `from_raw` takes them."""
    if array.dtype.kind in "OUS":
        encoded = [str(value).encode() for value in array.reshape(-1).tolist()]
        return b"".join(chain.from_iterable((_LENGTH.pack(len(value)), value) for value in encoded))
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def check_shape(datatype: Any, shape: Any, wanted: TensorSpec) -> TensorLayout:
    """Return the layout of an input of the model for which a request gives this shape.

    Raises:
        RequestError: it, or the datatype, is not what the model takes.
    """
    if datatype != wanted.datatype:
        raise RequestError(f"input '{wanted.name}' takes datatype {wanted.datatype}, got {format_value(datatype)}.")
    if not isinstance(shape, list) or not _INT.issuperset(map(type, shape)) or (shape and min(shape) < 0):
        raise RequestError(f"input '{wanted.name}' needs a shape, a list of sizes such as {_example(wanted)}.")
    layout = _layout(tuple(shape), wanted.shape)
    if layout is None:
        takes = f"takes shape {list(wanted.shape)} (-1 is any size)"
        raise RequestError(f"input '{wanted.name}' {takes}, got {_short(str(shape))}.")
    if layout.size == 0:
        raise RequestError(f"input '{wanted.name}' has shape {shape}, which holds no data.")
    return layout


def bounds(values: Sequence[float], tensor: TensorSpec) -> Array:
    """Return bounds between values of a tensor, rounded as those are."""
    if tensor.datatype not in _FLOATS:
        return np.array(values, np.float64)
    with np.errstate(over="ignore"):  # beyond all that the datatype holds is infinite
        return np.array(values, _DATATYPES[tensor.datatype][0])


def limits(low: Sequence[float], high: Sequence[float], tensor: TensorSpec) -> tuple[Array, Array]:
    """Return the smallest and the largest numbers in ranges that a tensor can hold, to compare its values with."""
    if tensor.datatype in _FLOATS:
        return bounds(low, tensor), bounds(high, tensor)
    dtype = np.uint8 if tensor.datatype == "BOOL" else _DATATYPES[tensor.datatype][0]
    whole = np.iinfo(dtype)

    def within(value: float, rounded: Callable[[float], int]) -> int:
        return whole.min if value <= whole.min else whole.max if value >= whole.max else rounded(value)

    return (
        np.array([within(value, math.ceil) for value in low], dtype),
        np.array([within(value, math.floor) for value in high], dtype),
    )


def format_value(value: Any) -> str:
    """Return `value` as an error shows it: short, and in JSON's words."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return str(value).lower() if isinstance(value, bool) else _short(repr(value))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _column(position: int, wanted: TensorSpec) -> str:
    """Return which row and column an element is, where columns have names."""
    if not wanted.columns:
        return ""
    row, column = divmod(position, len(wanted.columns))
    return f" (row {row}, column '{wanted.columns[column].name}')"


@lru_cache(_LAYOUTS)
def _layout(shape: tuple[int, ...], wanted: tuple[int, ...]) -> TensorLayout | None:
    """Return the layout of `shape` for a model that takes `wanted`, None where that does not fit."""
    # a column of n values is n rows of one value
    taken = (shape[0], 1) if len(shape) == 1 and len(wanted) == 2 and wanted[1] == 1 else shape
    fits = len(taken) == len(wanted) and all(want in (-1, size) for size, want in zip(taken, wanted, strict=True))
    return TensorLayout(shape, math.prod(shape), taken) if fits else None


def _example(wanted: TensorSpec) -> list[int]:
    return [1 if size == -1 else size for size in wanted.shape]


def _flat(data: Any, shape: tuple[int, ...], wanted: TensorSpec) -> list[Any]:
    if not isinstance(data, list):
        raise RequestError(f"input '{wanted.name}' needs data, an array in row-major order; got {format_value(data)}.")
    flat: list[Any] = data
    count = 1
    for before, size in pairwise(shape):
        count *= before
        if not flat or type(flat[0]) is not list:
            break
        if len(flat) != count or any(type(row) is not list or len(row) != size for row in flat):
            raise RequestError(f"the nested data of input '{wanted.name}' do not have its shape {list(shape)}.")
        flat = list(chain.from_iterable(flat))
    return flat


def _array(flat: Sequence[Any], dtype: Any, wanted: TensorSpec) -> Array:
    largest = _LARGEST.get(wanted.datatype)
    # Python's comparisons are faster than numpy's for a few rows; NaN, a missing value, takes the longer way
    if largest is not None and not (-largest <= min(flat) and max(flat) <= largest):
        _check_infinite(flat, wanted)
    try:
        return np.array(flat, dtype=dtype)
    except OverflowError as error:
        whole = np.iinfo(dtype)
        position, value = next((i, value) for i, value in enumerate(flat) if not whole.min <= value <= whole.max)
        told = f"{format_value(value)}, an integer that {wanted.datatype} cannot hold{_column(position, wanted)}"
        raise RequestError(f"input '{wanted.name}' holds {told}.") from error


def _check_infinite(flat: Sequence[Any], wanted: TensorSpec) -> None:
    for position, value in enumerate(flat):
        if value == value and abs(value) > _LARGEST[wanted.datatype]:  # noqa: PLR0124 - NaN is not itself
            told = f"{format_value(value)}, which is too large for {wanted.datatype}{_column(position, wanted)}"
            raise RequestError(f"input '{wanted.name}' holds {told}.")


def _strings(raw: bytes | memoryview, wanted: TensorSpec) -> list[str]:
    data = bytes(raw)
    values: list[str] = []
    position = 0
    while position < len(data):
        start = position + _LENGTH.size
        end = start + _LENGTH.unpack_from(data, position)[0] if start <= len(data) else start
        if end > len(data):
            raise RequestError(f"the bytes of input '{wanted.name}' end inside element {len(values)}.")
        try:
            values.append(data[start:end].decode())
        except UnicodeDecodeError as error:
            raise RequestError(f"element {len(values)} of input '{wanted.name}' is not UTF-8.") from error
        position = end
    return values


def _check_categories(flat: Sequence[Any], wanted: TensorSpec) -> None:
    for index, column in enumerate(wanted.columns):
        categories = column.categories
        if categories is None or categories.issuperset(values := flat[index :: len(wanted.columns)]):
            continue
        row, value = next((row, value) for row, value in enumerate(values) if value not in categories)
        known = sorted(categories)
        allowed = ", ".join(repr(name) for name in known[:_SHOWN_CATEGORIES])
        more = f" and {len(known) - _SHOWN_CATEGORIES} more" if len(known) > _SHOWN_CATEGORIES else ""
        raise RequestError(
            f"input '{wanted.name}', row {row}: {format_value(value)} is not a category of column '{column.name}'; "
            f"allowed are {allowed}{more}."
        )
