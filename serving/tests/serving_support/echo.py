"""A model that answers what it saw: numbers, an integer, a category and a flag, with ranges and histograms."""

import json
from pathlib import Path
from typing import Any

from onnx import TensorProto, helper

from serving_support.bundles import sign, write

#: Columns of the input `X`, with the range of each in training. FP32 rounds 0.35 and 0.45 down, 0.8 up.
NUMBERS = {"Torque [Nm]": (0.35, 0.8), "speed": (-50.0, 50.0), "wear": (0.0, 250.0)}
COUNTS = (-3, 2**53)
KINDS = ["", "H", "L"]
#: Edges of the histogram of every column with numbers.
EDGES = {
    "Torque [Nm]": [0.35, 0.45, 0.6, 0.8],
    "speed": [-50.0, -1.0, 0.0, 25.0, 50.0],
    "wear": [0.0, 250.0],
    "count": [-3.0, 0.0, 7.0],
    "on": [0.0, 1.0],
}


def echo_bundle(models: Path, name: str = "echo", version: str = "1") -> Path:
    """Write the bundle and return its folder.

    Inputs are `X` FP32 [-1, 3], `count` INT64 [-1, 1], `kind` BYTES [-1, 1] and `on` BOOL [-1, 1]; outputs `X_out`
    and so on, and `label` BYTES [-1], which is the kind.
    """
    kinds = {
        "X": (TensorProto.FLOAT, "FP32", 3),
        "count": (TensorProto.INT64, "INT64", 1),
        "kind": (TensorProto.STRING, "BYTES", 1),
        "on": (TensorProto.BOOL, "BOOL", 1),
    }
    columns: dict[str, list[dict[str, Any]]] = {
        "X": [{"name": column, "range": ends} for column, ends in NUMBERS.items()],
        "count": [{"name": "count", "range": COUNTS}],
        "kind": [{"name": "kind", "categories": KINDS}],
        "on": [{"name": "on", "range": [0, 0]}],
    }
    values: dict[str, list[Any]] = {"X": [0.5, 1.0, 2.0], "count": [1], "kind": ["H"], "on": [False]}
    nodes = [helper.make_node("Identity", [tensor], [f"{tensor}_out"]) for tensor in kinds]
    nodes.append(helper.make_node("Reshape", ["kind", "flat"], ["label"]))
    inputs = [helper.make_tensor_value_info(tensor, kind, [None, width]) for tensor, (kind, _, width) in kinds.items()]
    outputs = [
        helper.make_tensor_value_info(f"{tensor}_out", kind, [None, width])
        for tensor, (kind, _, width) in kinds.items()
    ]
    outputs.append(helper.make_tensor_value_info("label", TensorProto.STRING, [None]))
    graph = helper.make_graph(
        nodes, "echo", inputs, outputs, [helper.make_tensor("flat", TensorProto.INT64, [1], [-1])]
    )
    signature = {
        "task": "classification",
        "inputs": [
            {"name": tensor, "datatype": datatype, "shape": [-1, width], "columns": columns[tensor]}
            for tensor, (_, datatype, width) in kinds.items()
        ],
        "outputs": [
            *(
                {"name": f"{tensor}_out", "datatype": datatype, "shape": [-1, width]}
                for tensor, (_, datatype, width) in kinds.items()
            ),
            {"name": "label", "datatype": "BYTES", "shape": [-1], "classes": ["H", "L", "M"]},
        ],
    }
    sample = {
        "request": {
            "inputs": [
                {"name": tensor, "datatype": datatype, "shape": [1, width], "data": values[tensor]}
                for tensor, (_, datatype, width) in kinds.items()
            ]
        },
        "response": {
            "model_name": name,
            "model_version": version,
            "outputs": [{"name": "label", "datatype": "BYTES", "shape": [1], "data": ["H"]}],
        },
    }
    folder = write(models / name / version, "classification", graph, signature, [sample])
    features = {column: {"edges": edges, "counts": [1] * (len(edges) - 1)} for column, edges in EDGES.items()}
    features["kind"] = {"counts": {"H": 2, "L": 1}, "missing": 1}
    (folder / "reference.json").write_text(json.dumps({"rows": 4, "features": features}))
    sign(folder)
    return folder


def row(**changes: Any) -> dict[str, Any]:
    """Return a row that lies within all ranges; `torque` is the column `Torque [Nm]`, and ... leaves a column out."""
    values: dict[str, Any] = {"torque": 0.5, "speed": 1, "wear": 2.5, "count": 3, "kind": "H", "on": False} | changes
    present = {name: value for name, value in values.items() if value is not ...}
    return {"Torque [Nm]" if name == "torque" else name: value for name, value in present.items()}
