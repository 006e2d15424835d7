"""An identity model with an input and an output of every datatype of the protocol.

Input `fp32` of FP32 [-1, -1] comes back as output `fp32_out`, and so on. Every input is needed, all of as many rows.
"""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from serving_support.bundles import write

#: For each datatype: ONNX's type and numpy's.
TYPES: dict[str, tuple[int, Any]] = {
    "BOOL": (TensorProto.BOOL, np.bool_),
    "UINT8": (TensorProto.UINT8, np.uint8),
    "UINT16": (TensorProto.UINT16, np.uint16),
    "UINT32": (TensorProto.UINT32, np.uint32),
    "UINT64": (TensorProto.UINT64, np.uint64),
    "INT8": (TensorProto.INT8, np.int8),
    "INT16": (TensorProto.INT16, np.int16),
    "INT32": (TensorProto.INT32, np.int32),
    "INT64": (TensorProto.INT64, np.int64),
    "FP16": (TensorProto.FLOAT16, np.float16),
    "FP32": (TensorProto.FLOAT, np.float32),
    "FP64": (TensorProto.DOUBLE, np.float64),
    "BYTES": (TensorProto.STRING, np.object_),
}


def input_name(datatype: str) -> str:
    return datatype.lower()


def output_name(datatype: str) -> str:
    return f"{datatype.lower()}_out"


def typed_bundle(models: Path, name: str = "typed", version: str = "1") -> Path:
    """Write the bundle and return its folder."""
    shape = [None, None]
    nodes, inputs, outputs = [], [], []
    for datatype, (kind, _) in TYPES.items():
        nodes.append(helper.make_node("Identity", [input_name(datatype)], [output_name(datatype)]))
        inputs.append(helper.make_tensor_value_info(input_name(datatype), kind, shape))
        outputs.append(helper.make_tensor_value_info(output_name(datatype), kind, shape))
    graph = helper.make_graph(nodes, "typed", inputs, outputs)
    signature = {
        "task": "anomaly",
        "inputs": [_described(input_name(datatype), datatype) | {"columns": []} for datatype in TYPES],
        "outputs": [_described(output_name(datatype), datatype) for datatype in TYPES],
    }
    sample = {
        "request": typed_request({}),
        "response": {
            "model_name": name,
            "model_version": version,
            "outputs": [tensor(output_name(datatype), datatype, blank(datatype)) for datatype in TYPES],
        },
    }
    return write(models / name / version, "anomaly", graph, signature, [sample])


def typed_request(arrays: dict[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """Return a JSON request with an array for some datatypes, and zeros of as many rows for the others."""
    rows = len(next(iter(arrays.values()))) if arrays else 1
    return {
        "inputs": [
            tensor(input_name(datatype), datatype, arrays.get(datatype, blank(datatype, rows))) for datatype in TYPES
        ]
    }


def blank(datatype: str, rows: int = 1) -> np.ndarray[Any, Any]:
    """Return zeros, false or empty strings, shape [rows, 1]."""
    return np.full((rows, 1), "" if datatype == "BYTES" else 0, TYPES[datatype][1])


def tensor(name: str, datatype: str, array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return a tensor with its data in JSON."""
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.reshape(-1).tolist()}


def _described(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, -1]}
