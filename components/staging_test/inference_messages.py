"""Request and response bodies of the Open Inference Protocol v2: variants of requests, comparison of responses."""

import json
import math
from collections.abc import Mapping
from typing import Any

from kfp_edge.ml.bundle import Signature
from kfp_edge.storage.files import JsonObject

_FLOAT_TYPES = ("FP32", "FP64")


def malformed_requests(model_path: str, request: Mapping[str, Any]) -> dict[str, tuple[str, bytes]]:
    """Return requests that a server must refuse, each as its path and body, made from a valid one.

    A valid one of rows of named columns, which has a missing number, gives fewer of them.
    """
    infer = f"{model_path}/infer"
    malformed = {
        "not JSON": (infer, b'{"inputs": ['),
        "no inputs": (infer, b"{}"),
        "unknown model": ("/v2/models/no-such-model/infer", json.dumps(request).encode()),
    }
    if "inputs" not in request:
        return malformed | {"unknown column": (infer, json.dumps({"rows": [{"no-such-column": 1}]}).encode())}
    first, *others = request["inputs"]
    datatype = "INT32" if first["datatype"] == "BYTES" else "BYTES"

    def with_first_input(**fields: Any) -> bytes:
        return json.dumps({**request, "inputs": [{**first, **fields}, *others]}).encode()

    return malformed | {
        "missing input": (infer, json.dumps({**request, "inputs": others}).encode()),
        "unknown input": (infer, with_first_input(name="no-such-input")),
        "wrong shape": (infer, with_first_input(shape=[*first["shape"], 7])),
        "wrong datatype": (infer, with_first_input(datatype=datatype)),
        "too little data": (infer, with_first_input(data=first["data"][:-1])),
    }


def one_row(request: Mapping[str, Any], signature: Signature) -> JsonObject:
    """Return the request with only the first row of each input whose number of rows is variable (shape -1).

    Of rows of named columns it is the last one, which the server answers once it has the others.
    """
    if "inputs" not in request:
        return {**request, "rows": request["rows"][-1:]}
    variable = {tensor.name for tensor in signature.inputs if tensor.shape[:1] == (-1,)}

    def cut(tensor: JsonObject) -> JsonObject:
        shape = [1, *tensor["shape"][1:]]
        return {**tensor, "shape": shape, "data": flatten(tensor["data"])[: math.prod(shape)]}

    inputs = [cut(tensor) if tensor["name"] in variable else tensor for tensor in request["inputs"]]
    return {**request, "inputs": inputs}


def max_difference(expected: Mapping[str, Any], actual: Any) -> float:
    """Return the largest difference between the floats of two inference responses.

    It is infinite if anything else differs: a name, datatype, shape, integer or string.
    """
    try:
        outputs = {tensor["name"]: tensor for tensor in actual["outputs"]}
        return max(_tensor_difference(tensor, outputs[tensor["name"]]) for tensor in expected["outputs"])
    except (KeyError, TypeError, ValueError):
        return math.inf


def flatten(data: list[Any]) -> list[Any]:
    """Return nested or flat tensor data in row-major order (section "Tensor Data")."""
    return [leaf for item in data for leaf in (flatten(item) if isinstance(item, list) else [item])]


def _tensor_difference(expected: JsonObject, actual: JsonObject) -> float:
    if (expected["datatype"], expected["shape"]) != (actual["datatype"], actual["shape"]):
        return math.inf
    pairs = list(zip(flatten(expected["data"]), flatten(actual["data"]), strict=True))
    if expected["datatype"] in _FLOAT_TYPES:
        # NaN is null in JSON
        return max((0.0 if a is b is None else abs(a - b) for a, b in pairs), default=0.0)
    return 0.0 if all(a == b for a, b in pairs) else math.inf
