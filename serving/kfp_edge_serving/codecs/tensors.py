"""Encoding and decoding of tensors ("Tensor Data Types"), as JSON or raw bytes; every element is checked."""

import math
import struct
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np

from kfp_edge_serving.errors import RequestError, UnknownCategoryError
from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.models.bundle import ColumnSpec, TensorSpec

Array = np.ndarray[Any, np.dtype[Any]]

_INT = frozenset({int})
_INTEGERS = (_INT, "integers")
_NUMBERS = (frozenset({int, float}), "numbers")
#: For each datatype: its NumPy dtype, the Python types of its JSON values, and their name in errors.
_DATATYPES: dict[str, tuple[np.dtype[Any], frozenset[type], str]] = {
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
#: Floats for which Python and NumPy round alike, with their codes of module `struct`.
_PACKED_FLOATS = {"FP32": "f", "FP64": "d"}
#: Characters of a value, and categories of a column, in an error.
_MAX_VALUE_LENGTH = 60
_MAX_CATEGORIES = 20
_STRING_LENGTH = struct.Struct("<I")
#: Shapes whose layout is cached; clients send few different ones.
_MAX_LAYOUTS = 1024

DATATYPES = frozenset(_DATATYPES)


class TensorLayout(NamedTuple):
    """A checked shape as it was sent, its number of elements, and the shape that the model takes."""

    shape: tuple[int, ...]
    size: int
    model_shape: tuple[int, ...]


def decode(tensor: JsonObject, spec: TensorSpec) -> Array:
    """Return the array that a request's JSON tensor holds.

    Raises:
        RequestError: datatype, shape or data do not match the model.
    """
    layout = check_shape(tensor.get("datatype"), tensor.get("shape"), spec)
    data = tensor.get("data")
    if type(data) is not list or (data and type(data[0]) is list):
        data = _flatten(data, layout.shape, spec)
    return from_values(data, layout, spec)


def from_values(flat: Sequence[Any], layout: TensorLayout, spec: TensorSpec) -> Array:
    """Return the array of the values of a checked shape, in row-major order.

    None means missing, where the datatype has a value for that.

    Raises:
        RequestError: the number of values is wrong, one of them is not of the datatype, or a required one is missing.
    """
    if len(flat) != layout.size:
        message = f"input '{spec.name}' of shape {list(layout.shape)}"
        raise RequestError(f"{message} needs {layout.size} values in its data, got {len(flat)}.")
    dtype, types, types_name = _DATATYPES[spec.datatype]
    if not types.issuperset(map(type, flat)):
        flat = _replace_nulls_and_booleans(flat, spec)
    if not types.issuperset(map(type, flat)):
        position, value = next((i, value) for i, value in enumerate(flat) if type(value) not in types)
        takes = f"takes {types_name}, which cannot be missing" if value is None else f"takes {types_name}"
        place = f"element {position} of its data is {format_value(value)}{_column(position, spec)}"
        raise RequestError(f"input '{spec.name}' {takes}; {place}.")
    array = _to_array(flat, dtype, spec)
    if spec.datatype == "BYTES":
        _check_categories(flat, spec)
    return array.reshape(layout.model_shape)


def from_raw(raw: bytes | memoryview, layout: TensorLayout, spec: TensorSpec) -> Array:
    """Return the array that raw bytes of a checked shape hold ("Tensor Data", little-endian, row-major).

    Elements of BYTES are each a length of 4 bytes and as many bytes of UTF-8. Floats may be NaN, for a missing value.

    Raises:
        RequestError: the number of bytes is wrong, or an element is not of the datatype.
    """
    if spec.datatype == "BYTES":
        return from_values(_decode_strings(raw, spec), layout, spec)
    dtype = _DATATYPES[spec.datatype][0].newbyteorder("<")
    size = layout.size * dtype.itemsize
    if len(raw) != size:
        message = f"input '{spec.name}' of shape {list(layout.shape)}"
        raise RequestError(f"{message} needs {size} bytes of {spec.datatype}, got {len(raw)}.")
    # a copy is aligned, and does not keep the whole body in memory
    array: Array = np.frombuffer(raw, dtype).copy()
    if spec.datatype == "BOOL" and (array.view(np.uint8) > 1).any():
        raise RequestError(f"input '{spec.name}' takes bytes of 0 or 1 for BOOL.")
    if spec.datatype in _FLOATS and not np.isfinite(array).all():
        if (infinite := np.isinf(array)).any():
            raise RequestError(f"input '{spec.name}' holds an infinite value{_column(int(infinite.argmax()), spec)}.")
        check_required(array, spec)
    return array.reshape(layout.model_shape)


def element_size(spec: TensorSpec) -> int:
    """Return the bytes of one element of a tensor that is not BYTES."""
    return _DATATYPES[spec.datatype][0].itemsize


def numpy_type(spec: TensorSpec) -> np.dtype[Any]:
    """Return the type of the elements of an array."""
    return _DATATYPES[spec.datatype][0]


def json_types(spec: TensorSpec) -> frozenset[type]:
    """Return the Python types that the elements have in JSON."""
    return _DATATYPES[spec.datatype][1]


def check_required(array: Array, spec: TensorSpec) -> None:
    """Check that no value is missing in a column that requires one; only floats can be missing.

    Raises:
        RequestError: one is NaN.
    """
    if not spec.required or spec.datatype not in _FLOATS:
        return
    missing = np.isnan(array.reshape(-1, len(spec.required))) & spec.required
    if missing.any():
        row, column = (int(index) for index in np.argwhere(missing)[0])
        raise RequestError(missing_value_error(row, spec.columns[column].name))


def missing_value(spec: TensorSpec, column: ColumnSpec | None) -> float | str | None:
    """Return what means "missing" in a column of an input, None if nothing does.

    Args:
        spec: The input.
        column: The column, None if the columns of the input have no names.
    """
    if spec.datatype in _FLOATS:
        return None if column is not None and column.required else math.nan
    return "" if column is not None and "" in (column.categories or ()) else None


def missing_value_error(row: int, column: str) -> str:
    """Return the error text for a missing value that the model does not take."""
    return f"row {row} lacks the column '{column}', which cannot be missing."


def encode(array: Array, output: TensorSpec) -> JsonObject:
    """Return the output tensor of a JSON response; its data are flat, in row-major order.

    orjson writes NaN and infinity, which JSON does not have, as null.
    """
    flat = array.ravel()
    data = flat.tolist() if output.datatype == "BYTES" else flat
    tensor = {"name": output.name, "datatype": output.datatype, "shape": array.shape, "data": data}
    if output.class_parameters:
        tensor["parameters"] = output.class_parameters
    return tensor


def to_raw(array: Array) -> bytes:
    """Return the raw bytes of an output tensor, as `from_raw` takes them."""
    if array.dtype.kind in "OUS":
        encoded = [str(value).encode() for value in array.reshape(-1).tolist()]
        return b"".join(chain.from_iterable((_STRING_LENGTH.pack(len(value)), value) for value in encoded))
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def check_shape(datatype: object, shape: object, spec: TensorSpec) -> TensorLayout:
    """Return the layout of an input that a request sends in this shape.

    Raises:
        RequestError: the shape or the datatype does not match the model.
    """
    if datatype != spec.datatype:
        raise RequestError(f"input '{spec.name}' takes datatype {spec.datatype}, got {format_value(datatype)}.")
    if not isinstance(shape, list) or not _INT.issuperset(map(type, shape)) or (shape and min(shape) < 0):
        raise RequestError(f"input '{spec.name}' needs a shape, a list of sizes such as {_example(spec)}.")
    layout = _layout(tuple(shape), spec.shape)
    if layout is None:
        takes = f"takes shape {list(spec.shape)} (-1 is any size)"
        raise RequestError(f"input '{spec.name}' {takes}, got {_shorten(str(shape))}.")
    # not every operator of onnxruntime takes a tensor without elements
    if layout.size == 0 and (spec.batch_dimension is None or layout.model_shape[spec.batch_dimension] != 0):
        hint = "; zero rows need a batch dimension, and it has none" if spec.batch_dimension is None else ""
        raise RequestError(f"input '{spec.name}' has shape {shape}, which holds no data{hint}.")
    return layout


def blank(shape: tuple[int, ...], spec: TensorSpec) -> Array:
    """Return a tensor of zeros, or of empty texts."""
    return np.full(shape, "" if spec.datatype == "BYTES" else 0, _DATATYPES[spec.datatype][0])


def layout_of_rows(rows: int, spec: TensorSpec) -> TensorLayout:
    """Return the layout of an input of so many rows of named columns.

    Raises:
        RequestError: the model does not take so many.
    """
    layout = _layout((rows, len(spec.columns))[: len(spec.shape)], spec.shape)
    return layout or check_shape(spec.datatype, [rows, len(spec.columns)][: len(spec.shape)], spec)


def bounds(values: Sequence[float], tensor: TensorSpec) -> Array:
    """Return bounds between values of a tensor, rounded as its values are."""
    if tensor.datatype not in _FLOATS:
        return np.array(values, np.float64)
    with np.errstate(over="ignore"):  # a bound that the datatype cannot represent becomes infinite
        return np.array(values, _DATATYPES[tensor.datatype][0])


def limits(low: Sequence[float], high: Sequence[float], tensor: TensorSpec) -> tuple[Array, Array]:
    """Return the ends of ranges in the datatype of a tensor, to compare its values with."""
    if tensor.datatype in _FLOATS:
        return bounds(low, tensor), bounds(high, tensor)
    dtype = np.uint8 if tensor.datatype == "BOOL" else _DATATYPES[tensor.datatype][0]
    whole = np.iinfo(dtype)

    def clamp(value: float, rounded: Callable[[float], int]) -> int:
        return whole.min if value <= whole.min else whole.max if value >= whole.max else rounded(value)

    return (
        np.array([clamp(value, math.ceil) for value in low], dtype),
        np.array([clamp(value, math.floor) for value in high], dtype),
    )


def format_value(value: object) -> str:
    """Return `value` for an error message: short, and named as in JSON."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return str(value).lower() if isinstance(value, bool) else _shorten(repr(value))


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[:_MAX_VALUE_LENGTH]}..."


def _column(position: int, spec: TensorSpec) -> str:
    """Return the row and column of an element, if its columns have names."""
    if not spec.columns:
        return ""
    row, column = divmod(position, len(spec.columns))
    return f" (row {row}, column '{spec.columns[column].name}')"


@lru_cache(_MAX_LAYOUTS)
def _layout(shape: tuple[int, ...], spec_shape: tuple[int, ...]) -> TensorLayout | None:
    """Return the layout of `shape` for a model that takes `spec_shape`, None if it does not match."""
    # a column of n values is n rows of one value
    model_shape = (shape[0], 1) if len(shape) == 1 and len(spec_shape) == 2 and spec_shape[1] == 1 else shape
    fits = len(model_shape) == len(spec_shape) and all(
        expected in (-1, size) for size, expected in zip(model_shape, spec_shape, strict=True)
    )
    return TensorLayout(shape, math.prod(shape), model_shape) if fits else None


def _example(spec: TensorSpec) -> list[int]:
    return [1 if size == -1 else size for size in spec.shape]


def _replace_nulls_and_booleans(flat: Sequence[Any], spec: TensorSpec) -> Sequence[Any]:
    """Return the values with null as what means "missing", and true and false as 1 and 0 where training had these."""
    width = max(1, len(spec.columns))
    columns = spec.columns or (None,)
    takes_booleans = [column is not None and column.boolean and spec.datatype in _FLOATS for column in columns]

    def replace(position: int, value: object) -> object:
        row, index = divmod(position, width)
        if value is None:
            return _replace_null(row, columns[index], spec)
        return float(value) if type(value) is bool and takes_booleans[index] else value

    return [replace(position, value) for position, value in enumerate(flat)]


def _replace_null(row: int, column: ColumnSpec | None, spec: TensorSpec) -> float | str | None:
    value = missing_value(spec, column)
    if value is None and column is not None and column.required:
        raise RequestError(missing_value_error(row, column.name))
    return value


def _flatten(data: object, shape: tuple[int, ...], spec: TensorSpec) -> list[Any]:
    if not isinstance(data, list):
        raise RequestError(f"input '{spec.name}' needs data, an array in row-major order; got {format_value(data)}.")
    flat: list[Any] = data
    count = 1
    for before, size in pairwise(shape):
        count *= before
        if not flat or type(flat[0]) is not list:
            break
        if len(flat) != count or any(type(row) is not list or len(row) != size for row in flat):
            raise RequestError(f"the nested data of input '{spec.name}' do not have its shape {list(shape)}.")
        flat = list(chain.from_iterable(flat))
    return flat


def _to_array(flat: Sequence[Any], dtype: np.dtype[Any], spec: TensorSpec) -> Array:
    code = _PACKED_FLOATS.get(spec.datatype)
    if code is not None and flat:
        try:
            # a third of NumPy's time for 32 rows; a bytearray, since windows are written into the array
            return np.frombuffer(bytearray(struct.pack(f"={len(flat)}{code}", *flat)), dtype)
        except OverflowError:
            check_infinite(flat, spec)
    elif spec.datatype in _FLOATS:
        check_infinite(flat, spec)
    try:
        return np.array(flat, dtype=dtype)
    except OverflowError as error:
        whole = np.iinfo(dtype)
        position, value = next((i, value) for i, value in enumerate(flat) if not whole.min <= value <= whole.max)
        description = f"{format_value(value)}, an integer that {spec.datatype} cannot hold{_column(position, spec)}"
        raise RequestError(f"input '{spec.name}' holds {description}.") from error


def check_infinite(flat: Sequence[Any], spec: TensorSpec) -> None:
    """Check that numbers stay finite in the datatype of a tensor of floats; NaN is a missing value.

    Raises:
        RequestError: one does not.
    """
    for position, value in enumerate(flat):
        if value == value and abs(value) > _LARGEST[spec.datatype]:  # noqa: PLR0124 - NaN is not itself
            description = f"{format_value(value)}, which is too large for {spec.datatype}{_column(position, spec)}"
            raise RequestError(f"input '{spec.name}' holds {description}.")


def _decode_strings(raw: bytes | memoryview, spec: TensorSpec) -> list[str]:
    data = bytes(raw)
    values: list[str] = []
    position = 0
    while position < len(data):
        start = position + _STRING_LENGTH.size
        end = start + _STRING_LENGTH.unpack_from(data, position)[0] if start <= len(data) else start
        if end > len(data):
            raise RequestError(f"the bytes of input '{spec.name}' end inside element {len(values)}.")
        try:
            values.append(data[start:end].decode())
        except UnicodeDecodeError as error:
            raise RequestError(f"element {len(values)} of input '{spec.name}' is not UTF-8.") from error
        position = end
    return values


def _check_categories(flat: Sequence[Any], spec: TensorSpec) -> None:
    for index, column in enumerate(spec.columns):
        categories = column.categories
        if categories is None or categories.issuperset(values := flat[index :: len(spec.columns)]):
            continue
        row, value = next((row, value) for row, value in enumerate(values) if value not in categories)
        known = sorted(categories)
        allowed = ", ".join(repr(name) for name in known[:_MAX_CATEGORIES])
        more = f" and {len(known) - _MAX_CATEGORIES} more" if len(known) > _MAX_CATEGORIES else ""
        raise UnknownCategoryError(
            f"input '{spec.name}', row {row}: {format_value(value)} is not a category of column '{column.name}'; "
            f"allowed are {allowed}{more}.",
            column.name,
            sum(value not in categories for value in values),
        )
