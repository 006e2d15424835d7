"""Tiny bundles for tests, written by hand so that nothing is shared with the pipelines but the format."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CATEGORIES = ["H", "L", "M"]
#: The body of a request of one row for `numeric_bundle`.
PUMP_ROW = b'{"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}'
_WEIGHTS = np.array([[0.5, -0.5], [0.25, 0.75], [-1.0, 1.0]], dtype=np.float32)


def numeric_bundle(models: Path, name: str = "pump", version: str = "1") -> Path:
    """Write a classifier of one FP32 input [-1, 3] and return its folder."""
    nodes = [
        helper.make_node("MatMul", ["X", "weights"], ["raw"]),
        helper.make_node("Softmax", ["raw"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 3])]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
    ]
    graph = helper.make_graph(nodes, "numeric", inputs, outputs, [numpy_helper.from_array(_WEIGHTS, "weights")])
    x = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, -0.5]], dtype=np.float32)
    odds = np.exp(x @ _WEIGHTS)
    probabilities = (odds / odds.sum(axis=1, keepdims=True)).ravel()
    signature = {
        "task": "classification",
        "inputs": [
            _tensor("X", "FP32", [-1, 3], [{"name": "torque", "units": "Nm"}, {"name": "speed"}, {"name": "wear"}])
        ],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1], "classes": ["0", "1"]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "classes": ["0", "1"]},
        ],
    }
    sample = {
        "request": {"inputs": [{"name": "X", "datatype": "FP32", "shape": [2, 3], "data": x.ravel().tolist()}]},
        "response": {
            "model_name": name,
            "model_version": version,
            "outputs": [
                {"name": "label", "datatype": "INT64", "shape": [2], "data": [1, 0]},
                {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "data": probabilities.tolist()},
            ],
        },
    }
    return write(models / name / version, "classification", graph, signature, [sample])


def ruled_bundle(models: Path) -> Path:
    """Write `numeric_bundle` with rules for its columns: `speed` is required, `wear` is boolean."""
    folder = numeric_bundle(models, name="ruled")
    signature = json.loads((folder / "signature.json").read_text())
    _, speed, wear = signature["inputs"][0]["columns"]
    speed["required"] = wear["boolean"] = True
    (folder / "signature.json").write_text(json.dumps(signature))
    sign(folder)
    return folder


def text_label_bundle(models: Path) -> Path:
    """Write `numeric_bundle` with the classes "null" and "worn, Lager 2", its label as text, and a threshold."""
    folder = numeric_bundle(models, name="bearing")
    classes = ["null", "worn, Lager 2"]
    model = onnx.load(folder / "model.onnx")
    model.graph.node[-1].output[0] = "position"
    model.graph.node.append(helper.make_node("Gather", ["classes", "position"], ["label"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(classes, dtype=object), "classes"))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    signature = json.loads((folder / "signature.json").read_text())
    label, probabilities = signature["outputs"]
    label |= {"datatype": "BYTES", "classes": classes}
    probabilities |= {"classes": classes, "threshold": 0.5, "positive": classes[1]}
    samples = json.loads((folder / "samples.json").read_text())
    samples["samples"][0]["response"]["outputs"][0] |= {"datatype": "BYTES", "data": [classes[1], classes[0]]}
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "signature.json").write_text(json.dumps(signature))
    (folder / "samples.json").write_text(json.dumps(samples))
    sign(folder)
    return folder


def mixed_bundle(models: Path, name: str = "mill", version: str = "1") -> Path:
    """Write an anomaly model of one input a column (a number, a category, an integer, a flag) and return its folder."""
    nodes = [
        helper.make_node("Equal", ["Type", "high"], ["is_high"]),
        helper.make_node("Cast", ["is_high"], ["bonus"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["count"], ["counted"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["on"], ["running"], to=TensorProto.FLOAT),
        helper.make_node("Sum", ["torque", "bonus", "counted", "running"], ["sum"]),
        helper.make_node("Reshape", ["sum", "flat"], ["score"]),
        helper.make_node("Greater", ["score", "threshold"], ["alarm"]),
        helper.make_node("Cast", ["alarm"], ["label"], to=TensorProto.INT64),
    ]
    kinds = {
        "torque": TensorProto.FLOAT,
        "Type": TensorProto.STRING,
        "count": TensorProto.INT64,
        "on": TensorProto.BOOL,
    }
    inputs = [helper.make_tensor_value_info(column, kind, [None, 1]) for column, kind in kinds.items()]
    outputs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, [None]),
    ]
    constants = [
        numpy_helper.from_array(np.array(["H"], dtype=object), "high"),
        numpy_helper.from_array(np.array([-1], dtype=np.int64), "flat"),
        numpy_helper.from_array(np.array([5.0], dtype=np.float32), "threshold"),
    ]
    graph = helper.make_graph(nodes, "mixed", inputs, outputs, constants)
    signature = {
        "task": "anomaly",
        "inputs": [
            _tensor("torque", "FP32", [-1, 1], [{"name": "Torque [Nm]", "range": [0.0, 80.0]}]),
            _tensor("Type", "BYTES", [-1, 1], [{"name": "Type", "categories": CATEGORIES}]),
            _tensor("count", "INT64", [-1, 1], [{"name": "count"}]),
            _tensor("on", "BOOL", [-1, 1], [{"name": "on"}]),
        ],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "score", "datatype": "FP32", "shape": [-1], "threshold": 5.0},
        ],
    }
    sample = {
        "request": mixed_request(),
        "response": {
            "model_name": name,
            "model_version": version,
            "outputs": [
                {"name": "label", "datatype": "INT64", "shape": [2], "data": [1, 0]},
                {"name": "score", "datatype": "FP32", "shape": [2], "data": [6.5, 3.0]},
            ],
        },
    }
    return write(models / name / version, "anomaly", graph, signature, [sample])


def mixed_request() -> dict[str, Any]:
    """Return two rows for `mixed_bundle`."""
    columns = {
        "torque": ("FP32", [2.5, 1.0]),
        "Type": ("BYTES", ["H", "L"]),
        "count": ("INT64", [2, 2]),
        "on": ("BOOL", [True, False]),
    }
    return {
        "inputs": [
            {"name": name, "datatype": datatype, "shape": [2, 1], "data": data}
            for name, (datatype, data) in columns.items()
        ]
    }


def write(folder: Path, task: str, graph: Any, signature: Any, samples: list[Any]) -> Path:
    """Write a bundle folder whose name and version are its last two parts."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    contents = {
        "model.onnx": model.SerializeToString(),
        "signature.json": json.dumps(signature).encode(),
        "samples.json": json.dumps({"tolerance": 1e-5, "samples": samples}).encode(),
        "reference.json": b'{"rows": 2, "features": {}}',
        "model_card.md": b"# A model for tests\n",
    }
    folder.mkdir(parents=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    sign(folder, task=task)
    return folder


def sign(folder: Path, task: str = "classification") -> None:
    """Write the manifest over the files as they are now."""
    files = {
        path.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    manifest = {
        "format": 1,
        "name": folder.parent.name,
        "version": folder.name,
        "task": task,
        "opset": 19,
        "data_sha256": "",
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _tensor(name: str, datatype: str, shape: list[int], columns: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "columns": columns}
