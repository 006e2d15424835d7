"""Inference over REST: from the bytes of a request to the bytes of its answer, pure and without any HTTP.

Open Inference Protocol v2, "Inference", its "Binary Tensor Data Extension", and rows of named columns as a convenience.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import orjson

from kfp_edge_serving.codecs.tensors import (
    Array,
    check_finite,
    check_shape,
    decode,
    encode,
    format_value,
    from_raw,
    from_values,
    to_raw,
)
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.bundle import TensorSpec
from kfp_edge_serving.models.model import Feed, Model

_MISSING_NUMBER = float("nan")
_NONE: frozenset[str] = frozenset()
#: Parameters of tensors that ask for an answer of another kind; any other that is not known does no harm.
_FOREIGN = frozenset({"classification", "shared_memory_region"})


class EncodedResponse(NamedTuple):
    """The body of an answer; `json_bytes` is the length of its JSON part where raw tensors follow it, else None."""

    body: bytes
    json_bytes: int | None = None


def infer(model: Model, body: bytes, json_bytes: int | None = None) -> EncodedResponse:
    """Answer one inference request.

    Args:
        model: The model that is asked.
        body: A JSON object, in UTF-8.
        json_bytes: Length of the JSON object where raw tensors follow it (header `Inference-Header-Content-Length`).

    Raises:
        RequestError: the request is not what the model takes.
    """
    raw = None
    if json_bytes is not None:
        raw = _Raw(memoryview(body)[json_bytes:])
        body = body[:json_bytes]
    request = _parsed(body)
    response: dict[str, Any] = {"model_name": model.bundle.name, "model_version": model.bundle.version}
    identity = request.get("id")
    if identity is not None:
        if not isinstance(identity, str):
            raise RequestError(f"'id' must be a string, got {format_value(identity)}.")
        response["id"] = identity
    if "rows" in request:
        feed, response["missing"] = _named(model, request)
    else:
        feed = _feed(model, request.get("inputs"), raw)
    if raw is not None:
        raw.check_end()
    if "outputs" in request or "parameters" in request:
        names, binary = _outputs(model, request)
    else:
        names, binary = model.all_outputs, _NONE
    arrays = model.run(feed, names)
    if binary:
        return _mixed(model, response, names, arrays, binary)
    response["outputs"] = list(map(encode, arrays, map(model.outputs.__getitem__, names)))
    encoded = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in encoded:  # what NaN and infinity become
        for name, array in zip(names, arrays, strict=True):
            check_finite(array, model.outputs[name])
    return EncodedResponse(encoded)


class _Raw:
    """The raw tensors behind the JSON object, taken one after another."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def take(self, size: Any, name: str) -> memoryview:
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


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not valid JSON: {error}.") from error
    if not isinstance(request, dict):
        raise RequestError(f"the body must be a JSON object with 'inputs', got {format_value(request)}.")
    return request


def _feed(model: Model, tensors: Any, raw: _Raw | None) -> Feed:
    if not isinstance(tensors, list):
        raise RequestError(f"the body needs 'inputs', a list of tensors; got {format_value(tensors)}.")
    feed: Feed = {}
    for tensor in tensors:
        wanted = model.input(_name(tensor, "inputs"), feed)
        parameters = _parameters(tensor, f"input '{wanted.name}'") if "parameters" in tensor else {}
        if "binary_data_size" in parameters:
            feed[wanted.name] = _raw_input(tensor, parameters["binary_data_size"], wanted, raw)
        else:
            feed[wanted.name] = decode(tensor, wanted)
    return feed


def _raw_input(tensor: dict[str, Any], size: Any, wanted: TensorSpec, raw: _Raw | None) -> Array:
    if raw is None:
        raise RequestError(
            f"input '{wanted.name}' has a binary_data_size, but the request no header Inference-Header-Content-Length."
        )
    if "data" in tensor:
        raise RequestError(f"input '{wanted.name}' has both data and a binary_data_size; give one of them.")
    layout = check_shape(tensor.get("datatype"), tensor.get("shape"), wanted)
    return from_raw(raw.take(size, wanted.name), layout, wanted)


def _outputs(model: Model, request: dict[str, Any]) -> tuple[list[str], frozenset[str]]:
    """Return the outputs to compute, and those of them that are wanted as raw bytes."""
    tensors = request.get("outputs")
    if tensors is None:
        tensors = []
    if not isinstance(tensors, list):
        raise RequestError(f"'outputs' must be a list of objects with a 'name', got {format_value(tensors)}.")
    default = _flag(_parameters(request, "the request"), "binary_data_output", False)
    names = model.requested([_name(tensor, "outputs") for tensor in tensors])
    wanted = {
        tensor["name"]: _flag(_parameters(tensor, f"output '{tensor['name']}'"), "binary_data", default)
        for tensor in tensors
    }
    return names, frozenset(name for name in names if wanted.get(name, default))


def _mixed(
    model: Model, response: dict[str, Any], names: list[str], arrays: list[Array], binary: frozenset[str]
) -> EncodedResponse:
    outputs, tail = [], []
    for name, array in zip(names, arrays, strict=True):
        output = model.outputs[name]
        if name in binary:
            tail.append(to_raw(array))
            outputs.append(
                {
                    "name": name,
                    "datatype": output.datatype,
                    "shape": array.shape,
                    "parameters": {"binary_data_size": len(tail[-1])},
                }
            )
        else:
            check_finite(array, output)
            outputs.append(encode(array, output))
    response["outputs"] = outputs
    head = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    return EncodedResponse(b"".join([head, *tail]), len(head))


def _named(model: Model, request: dict[str, Any]) -> tuple[Feed, list[list[str]]]:
    """Return the inputs that rows of named columns give, and for each row the columns that it lacks."""
    rows = request["rows"]
    if "inputs" in request:
        raise RequestError("the body has both 'rows' and 'inputs'; give one of them.")
    if not isinstance(rows, list) or not rows or any(not isinstance(row, dict) for row in rows):
        raise RequestError("'rows' must be a list of objects, each with the values of one row by their columns' names.")
    if nameless := [name for name, tensor in model.inputs.items() if not tensor.columns]:
        raise RequestError(f"input '{nameless[0]}' has no named columns; give 'inputs' instead of 'rows'.")
    known = [column.name for tensor in model.inputs.values() for column in tensor.columns]
    for number, row in enumerate(rows):
        if unknown := row.keys() - known:
            told = f"row {number} has a column {format_value(min(unknown))} that the model does not know"
            raise RequestError(f"{told}; it takes {_quoted(known)}.")
    feed = {name: _table(rows, tensor) for name, tensor in model.inputs.items()}
    return feed, [[name for name in known if row.get(name) is None] for row in rows]


def _table(rows: list[dict[str, Any]], tensor: TensorSpec) -> Array:
    shape = [len(rows), len(tensor.columns)][: len(tensor.shape)]
    fill = [_filler(tensor, column) for column in range(len(tensor.columns))]
    flat = []
    for number, row in enumerate(rows):
        for column, filler in zip(tensor.columns, fill, strict=True):
            value = row.get(column.name)
            flat.append(filler(number) if value is None else value)
    return from_values(flat, check_shape(tensor.datatype, shape, tensor), tensor)


def _filler(tensor: TensorSpec, index: int) -> Callable[[int], Any]:
    """Return what stands in for a missing value; it raises where the model has nothing that means "missing"."""
    column = tensor.columns[index]

    def refuse(row: int) -> Any:
        raise RequestError(f"row {row} lacks the column '{column.name}', which cannot be missing.")

    if tensor.datatype in ("FP16", "FP32", "FP64"):
        return lambda _: _MISSING_NUMBER
    if column.categories is not None and "" in column.categories:
        return lambda _: ""
    return refuse


def _name(tensor: Any, where: str) -> str:
    name = tensor.get("name") if isinstance(tensor, dict) else None
    if not isinstance(name, str):
        raise RequestError(f"every element of '{where}' must be an object with a 'name'.")
    return name


def _parameters(holder: dict[str, Any], where: str) -> dict[str, Any]:
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise RequestError(f"the 'parameters' of {where} must be an object, got {format_value(parameters)}.")
    if foreign := _FOREIGN & parameters.keys():
        raise RequestError(f"{where} asks for '{min(foreign)}', an extension that this server does not have.")
    return parameters


def _flag(parameters: dict[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise RequestError(f"the parameter '{name}' must be true or false, got {format_value(value)}.")
    return value


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
