"""The codec of the Open Inference Protocol v2 over REST: bytes of bodies in, bytes of bodies out, without any HTTP.

It covers "Inference", the "Binary Tensor Data Extension", and rows of named columns as a convenience.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, NoReturn

import orjson

from kfp_edge_serving.codecs.predictions import name_predictions
from kfp_edge_serving.codecs.tensors import (
    Array,
    check_finite,
    check_shape,
    decode,
    encode,
    format_value,
    from_raw,
    from_values,
    missing_value_error,
    to_raw,
)
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.json_types import JsonObject
from kfp_edge_serving.models.bundle import TensorSpec
from kfp_edge_serving.models.model import Feed, Model

_MISSING_NUMBER = float("nan")
_NO_OUTPUTS: frozenset[str] = frozenset()
#: Parameters that ask for a response of another kind; any other unknown parameter is ignored.
_UNSUPPORTED_PARAMETERS = frozenset({"classification", "shared_memory_region"})


class EncodedResponse(NamedTuple):
    """The body of a response; `json_bytes` is the length of its JSON part if raw tensors follow it, else None."""

    body: bytes
    json_bytes: int | None = None


def infer(model: Model, body: bytes, json_bytes: int | None = None) -> EncodedResponse:
    """Run one inference.

    Args:
        model: The model.
        body: A JSON object, in UTF-8.
        json_bytes: Length of the JSON object if raw tensors follow it (header `Inference-Header-Content-Length`).

    Raises:
        RequestError: the request does not match the model.
    """
    raw = None
    if json_bytes is not None:
        raw = _RawTensors(memoryview(body)[json_bytes:])
        body = body[:json_bytes]
    request = _parse(body)
    response: JsonObject = {"model_name": model.bundle.name, "model_version": model.bundle.version}
    request_id = request.get("id")
    if request_id is not None:
        if not isinstance(request_id, str):
            raise RequestError(f"'id' must be a string, got {format_value(request_id)}.")
        response["id"] = request_id
    if "rows" in request:
        feed, response["missing"] = _parse_rows(model, request)
    else:
        feed = _parse_inputs(model, request.get("inputs"), raw)
    if raw is not None:
        raw.check_end()
    if "outputs" in request or "parameters" in request:
        names, binary = _requested_outputs(model, request)
    else:
        names, binary = model.all_outputs, _NO_OUTPUTS
    arrays = model.run(feed, names)
    if binary:
        return _encode_with_raw(model, response, names, arrays, binary)
    response["outputs"] = list(map(encode, arrays, map(model.outputs.__getitem__, names)))
    if "rows" in request:
        response["predictions"] = name_predictions(arrays, [model.outputs[name] for name in names])
    encoded = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in encoded:  # orjson writes NaN and infinity as null
        for name, array in zip(names, arrays, strict=True):
            check_finite(array, model.outputs[name])
    return EncodedResponse(encoded)


class _RawTensors:
    """The raw tensors behind the JSON object, taken one after the other."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def take(self, size: object, name: str) -> memoryview:
        if type(size) is not int or size < 0:
            raise RequestError(
                f"binary_data_size of input '{name}' must be a number of bytes, got {format_value(size)}."
            )
        end = self._position + size
        if end > len(self._data):
            left = len(self._data) - self._position
            raise RequestError(f"binary_data_size of input '{name}' is {size}, but only {left} bytes are left.")
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def check_end(self) -> None:
        if left := len(self._data) - self._position:
            raise RequestError(f"{left} bytes at the end of the body belong to no input.")


def _parse(body: bytes) -> JsonObject:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not valid JSON: {error}.") from error
    if not isinstance(request, dict):
        raise RequestError(f"the body must be a JSON object with 'inputs', got {format_value(request)}.")
    return request


def _parse_inputs(model: Model, tensors: object, raw: _RawTensors | None) -> Feed:
    if not isinstance(tensors, list):
        raise RequestError(f"the body needs 'inputs', a list of tensors; got {format_value(tensors)}.")
    feed: Feed = {}
    for tensor in tensors:
        spec = model.new_input(_name(tensor, "inputs"), feed)
        parameters = _parameters(tensor, f"input '{spec.name}'") if "parameters" in tensor else {}
        if "binary_data_size" in parameters:
            feed[spec.name] = _parse_raw_input(tensor, parameters["binary_data_size"], spec, raw)
        else:
            feed[spec.name] = decode(tensor, spec)
    return feed


def _parse_raw_input(tensor: JsonObject, size: object, spec: TensorSpec, raw: _RawTensors | None) -> Array:
    if raw is None:
        message = f"input '{spec.name}' has a binary_data_size"
        raise RequestError(f"{message}, but the request has no header Inference-Header-Content-Length.")
    if "data" in tensor:
        raise RequestError(f"input '{spec.name}' has both data and a binary_data_size; give one of them.")
    layout = check_shape(tensor.get("datatype"), tensor.get("shape"), spec)
    return from_raw(raw.take(size, spec.name), layout, spec)


def _requested_outputs(model: Model, request: JsonObject) -> tuple[list[str], frozenset[str]]:
    """Return the outputs to compute, and those of them to encode as raw bytes."""
    tensors = request.get("outputs")
    if tensors is None:
        tensors = []
    if not isinstance(tensors, list):
        raise RequestError(f"'outputs' must be a list of objects with a 'name', got {format_value(tensors)}.")
    default = _flag(_parameters(request, "the request"), "binary_data_output", False)
    names = model.requested_outputs([_name(tensor, "outputs") for tensor in tensors])
    is_binary = {
        tensor["name"]: _flag(_parameters(tensor, f"output '{tensor['name']}'"), "binary_data", default)
        for tensor in tensors
    }
    return names, frozenset(name for name in names if is_binary.get(name, default))


def _encode_with_raw(
    model: Model, response: JsonObject, names: list[str], arrays: list[Array], binary: frozenset[str]
) -> EncodedResponse:
    outputs, raw = [], []
    for name, array in zip(names, arrays, strict=True):
        output = model.outputs[name]
        if name in binary:
            raw.append(to_raw(array))
            outputs.append(
                {
                    "name": name,
                    "datatype": output.datatype,
                    "shape": array.shape,
                    "parameters": {"binary_data_size": len(raw[-1]), **output.class_parameters},
                }
            )
        else:
            check_finite(array, output)
            outputs.append(encode(array, output))
    response["outputs"] = outputs
    head = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    return EncodedResponse(b"".join([head, *raw]), len(head))


def _parse_rows(model: Model, request: JsonObject) -> tuple[Feed, list[list[str]]]:
    """Return the inputs from rows of named columns, and for each row the columns that are missing."""
    rows = request["rows"]
    if "inputs" in request:
        raise RequestError("the body has both 'rows' and 'inputs'; give one of them.")
    if not isinstance(rows, list) or not rows or any(not isinstance(row, dict) for row in rows):
        raise RequestError("'rows' must be a list of objects, each with the values of one row by their columns' names.")
    if unnamed := [name for name, tensor in model.inputs.items() if not tensor.columns]:
        raise RequestError(f"input '{unnamed[0]}' has no named columns; give 'inputs' instead of 'rows'.")
    known = [column.name for tensor in model.inputs.values() for column in tensor.columns]
    for number, row in enumerate(rows):
        if unknown := row.keys() - known:
            message = f"row {number} has a column {format_value(min(unknown))} that the model does not have"
            raise RequestError(f"{message}; it takes {_quoted(known)}.")
    feed = {name: _rows_to_array(rows, tensor) for name, tensor in model.inputs.items()}
    return feed, [[name for name in known if row.get(name) is None] for row in rows]


def _rows_to_array(rows: list[JsonObject], tensor: TensorSpec) -> Array:
    shape = [len(rows), len(tensor.columns)][: len(tensor.shape)]
    missing_values = [_missing_value(tensor, column) for column in range(len(tensor.columns))]
    flat = []
    for number, row in enumerate(rows):
        for column, missing_value in zip(tensor.columns, missing_values, strict=True):
            value = row.get(column.name)
            flat.append(missing_value(number) if value is None else value)
    return from_values(flat, check_shape(tensor.datatype, shape, tensor), tensor)


def _missing_value(tensor: TensorSpec, index: int) -> Callable[[int], float | str]:
    """Return a function of the row number that returns what means "missing" in a column; it raises if nothing does."""
    column = tensor.columns[index]

    def refuse(row: int) -> NoReturn:
        raise RequestError(missing_value_error(row, column.name))

    if tensor.datatype in ("FP16", "FP32", "FP64") and not column.required:
        return lambda _: _MISSING_NUMBER
    if column.categories is not None and "" in column.categories:
        return lambda _: ""
    return refuse


def _name(tensor: object, where: str) -> str:
    name = tensor.get("name") if isinstance(tensor, dict) else None
    if not isinstance(name, str):
        raise RequestError(f"every element of '{where}' must be an object with a 'name'.")
    return name


def _parameters(owner: JsonObject, where: str) -> JsonObject:
    parameters = owner.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise RequestError(f"the 'parameters' of {where} must be an object, got {format_value(parameters)}.")
    if unsupported := _UNSUPPORTED_PARAMETERS & parameters.keys():
        raise RequestError(f"{where} asks for '{min(unsupported)}', an extension that this server does not support.")
    return parameters


def _flag(parameters: JsonObject, name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise RequestError(f"the parameter '{name}' must be true or false, got {format_value(value)}.")
    return value


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
