"""The codec of the Open Inference Protocol v2 over REST: bytes of bodies in, bytes of bodies out, without any HTTP.

It covers "Inference", the "Binary Tensor Data Extension", and rows of named columns as a convenience.
"""

from typing import NamedTuple

import orjson

from kfp_edge_serving.codecs.named_rows import parse_rows
from kfp_edge_serving.codecs.parameters import check_parameters
from kfp_edge_serving.codecs.predictions import RowPredictions
from kfp_edge_serving.codecs.raw_body import parse_raw_body
from kfp_edge_serving.codecs.tensors import (
    Array,
    check_shape,
    decode,
    encode,
    format_value,
    from_raw,
    to_raw,
)
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.json_types import JsonObject, not_json_error
from kfp_edge_serving.models.bundle import TensorSpec
from kfp_edge_serving.models.model import Feed, Model

_NO_OUTPUTS: frozenset[str] = frozenset()
#: RFC 1952, "Member header and trailer": ID1 and ID2.
_GZIP_MAGIC = b"\x1f\x8b"


class EncodedResponse(NamedTuple):
    """The body of a response, and its HTTP status: 202 if some rows have no answer.

    `json_bytes` is the length of the JSON part of the body if raw tensors follow it, else None.
    """

    body: bytes
    json_bytes: int | None = None
    status: int = 200


def infer(model: Model, body: bytes, json_bytes: int | None = None) -> EncodedResponse:
    """Run one inference.

    Args:
        model: The model.
        body: A JSON object, in UTF-8.
        json_bytes: Length of the JSON object if raw tensors follow it (header `Inference-Header-Content-Length`); 0 if
            there is none, and the body is the only input.

    Raises:
        RequestError: the request does not match the model.
    """
    raw = None
    if json_bytes == 0:
        return _infer_raw_body(model, body)
    if json_bytes is not None:
        raw = _RawTensors(memoryview(body)[json_bytes:])
        body = body[:json_bytes]
    request = _parse(body)
    response = _new_response(model)
    request_id = request.get("id")
    if request_id is not None:
        if not isinstance(request_id, str):
            raise RequestError(f"'id' must be a string, got {format_value(request_id)}.")
        response["id"] = request_id
    if "outputs" in request or "parameters" in request:
        names, binary = requested_outputs(model, request)
    else:
        names, binary = model.all_outputs, _NO_OUTPUTS
    if "rows" in request:
        return _infer_rows(model, request, response, names, binary, raw)
    feed = parse_inputs(model, request.get("inputs"), raw)
    if raw is not None:
        raw.check_end()
    return _infer_tensors(model, feed, response, names, binary)


def _new_response(model: Model) -> JsonObject:
    return {"model_name": model.bundle.name, "model_version": model.bundle.version}


def _infer_raw_body(model: Model, body: bytes) -> EncodedResponse:
    """Run an inference of a body that is one tensor; its outputs are raw, too."""
    names = model.all_outputs
    return _infer_tensors(model, parse_raw_body(model, body), _new_response(model), names, frozenset(names))


def _infer_rows(
    model: Model,
    request: JsonObject,
    response: JsonObject,
    names: list[str],
    binary: frozenset[str],
    raw: "_RawTensors | None",
) -> EncodedResponse:
    """Run an inference of rows of named columns; without `outputs` in the response if no row has an answer."""
    if "inputs" in request:
        raise RequestError("the body has both 'rows' and 'inputs'; give one of them.")
    if raw is not None:
        raw.check_end()
    rows = parse_rows(model, request["rows"])
    response["missing"] = rows.missing
    if rows.not_answered is None:
        return _infer_tensors(model, rows.feed, response, names, binary)
    response["answered"], response["not_answered"] = rows.answered, rows.not_answered
    if not rows.answered:
        return EncodedResponse(orjson.dumps(response), status=202)
    return _infer_tensors(model, rows.feed, response, names, binary)._replace(status=202)


def _infer_tensors(
    model: Model, feed: Feed, response: JsonObject, names: list[str], binary: frozenset[str]
) -> EncodedResponse:
    arrays = model.run(feed, names)
    if binary:
        return _encode_with_raw(model, response, names, arrays, binary)
    response["outputs"] = list(map(encode, arrays, map(model.outputs.__getitem__, names)))
    if "missing" in response:  # the answer to rows
        is_all = names is model.all_outputs
        predictions = model.row_predictions if is_all else RowPredictions([model.outputs[name] for name in names])
        response["predictions"] = predictions.encode(arrays)
    return EncodedResponse(orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY))


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
        if hint := _explain_binary(body):
            raise RequestError(f"the body is not valid JSON: {error}; {hint}.") from error
        raise not_json_error("the body", body, error) from error
    if not isinstance(request, dict):
        raise RequestError(f"the body must be a JSON object with 'inputs', got {format_value(request)}.")
    return request


def _explain_binary(body: bytes) -> str:
    """Return which header is missing where the body holds more than text; empty where it is text."""
    if body.startswith(_GZIP_MAGIC):
        return "it looks like gzip, which needs the header Content-Encoding: gzip"
    if b"\0" not in body and _is_utf8(body):
        return ""
    return (
        "raw tensors in it need the header Inference-Header-Content-Length with the length of the JSON, and a "
        "compressed body the header Content-Encoding"
    )


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def parse_inputs(model: Model, tensors: object, raw: _RawTensors | None = None) -> Feed:
    """Return the inputs of a request from its list of tensors.

    Raises:
        RequestError: they do not match the model.
    """
    if tensors is None:
        raise RequestError("the body needs 'inputs', a list of tensors, or 'rows', a list of objects by column name.")
    if not isinstance(tensors, list):
        raise RequestError(f"'inputs' must be a list of tensors, got {format_value(tensors)}.")
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
    if raw is None and size == 0 and type(size) is int:
        # KServe's client leaves out the header where no bytes follow the JSON
        raw = _RawTensors(memoryview(b""))
    if raw is None:
        message = f"input '{spec.name}' has a binary_data_size"
        raise RequestError(f"{message}, but the request has no header Inference-Header-Content-Length.")
    if tensor.get("data") is not None:
        raise RequestError(f"input '{spec.name}' has both data and a binary_data_size; give one of them.")
    layout = check_shape(tensor.get("datatype"), tensor.get("shape"), spec)
    return from_raw(raw.take(size, spec.name), layout, spec)


def requested_outputs(model: Model, request: JsonObject) -> tuple[list[str], frozenset[str]]:
    """Return the outputs to compute, and those of them to encode as raw bytes.

    Raises:
        RequestError: the model has no such output, or a parameter is not supported.
    """
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
            outputs.append(encode(array, output))
    response["outputs"] = outputs
    head = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    return EncodedResponse(b"".join([head, *raw]), len(head))


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
    check_parameters(parameters, where)
    return parameters


def _flag(parameters: JsonObject, name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise RequestError(f"the parameter '{name}' must be true or false, got {format_value(value)}.")
    return value
