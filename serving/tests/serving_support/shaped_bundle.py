"""Bundles of models whose inputs are no tables: a graph, queries and keys, a signal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from onnx import NodeProto, TensorProto, helper

from serving_support.bundles import write

#: ONNX's type of the datatypes that such a model has.
_KINDS = {"FP32": TensorProto.FLOAT, "INT64": TensorProto.INT64}


class Shaped(NamedTuple):
    """One tensor: its shape, in which a text is a size of that name, and what the signature says of its batch."""

    shape: Sequence[int | str | None]
    batch_dimension: int | str | None = "none"
    datatype: str = "FP32"


def graph_bundle(models: Path, batch_dimension: int | str | None = "none") -> Path:
    """Write a model of a graph: features of nodes, and edges as pairs of nodes; the answer is one row a node."""
    nodes = [
        helper.make_node("Cast", ["edges"], ["ends"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["ends"], ["sum"], keepdims=0),
        helper.make_node("Add", ["nodes", "sum"], ["score"]),
    ]
    return shaped_bundle(
        models / "graph" / "1",
        nodes,
        {
            "nodes": Shaped(["nodes", 2], batch_dimension),
            "edges": Shaped(["edges", 2], batch_dimension, datatype="INT64"),
        },
        {"score": Shaped(["nodes", 2], batch_dimension)},
        {"nodes": [[1.0, 1.0]], "edges": [[0, 0]]},
        {"score": [[1.0, 1.0]]},
    )


def attention_bundle(models: Path, batch_dimension: int | str = "none") -> Path:
    """Write a model that compares queries with keys: the answer has a row for each query and a column for each key."""
    nodes = [
        helper.make_node("Transpose", ["keys"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["queries", "turned"], ["scores"]),
    ]
    return shaped_bundle(
        models / "attention" / "1",
        nodes,
        {"queries": Shaped(["queries", 2], batch_dimension), "keys": Shaped(["keys", 2], batch_dimension)},
        {"scores": Shaped(["queries", "keys"], batch_dimension)},
        {"queries": [[1.0, 2.0]], "keys": [[3.0, 4.0]]},
        {"scores": [[11.0]]},
    )


def signal_bundle(models: Path, batch_dimension: int | str | None = "none") -> Path:
    """Write a model of a signal of any length: the answer is its largest sample."""
    return shaped_bundle(
        models / "signal" / "1",
        [helper.make_node("ReduceMax", ["samples"], ["peak"], keepdims=1)],
        {"samples": Shaped(["length"], batch_dimension)},
        {"peak": Shaped([1])},
        {"samples": [1.0, 3.0, 2.0]},
        {"peak": [3.0]},
    )


def sequence_bundle(models: Path) -> Path:
    """Write a model whose batch is the second dimension, as in recurrent networks: [steps, rows, 1] to [rows, 1]."""
    return shaped_bundle(
        models / "sequence" / "1",
        [helper.make_node("ReduceSum", ["steps", "axis"], ["sum"], keepdims=0)],
        {"steps": Shaped(["steps", "rows", 1], 1)},
        {"sum": Shaped(["rows", 1], 0)},
        {"steps": [[[1.0]], [[2.0]]]},
        {"sum": [[3.0]]},
        initializers=[helper.make_tensor("axis", TensorProto.INT64, [1], [0])],
    )


def table_bundle(models: Path) -> Path:
    """Write a model that looks a number up in a table of three: it cannot compute with another index than 0, 1, 2."""
    return shaped_bundle(
        models / "table" / "1",
        [helper.make_node("Gather", ["table", "index"], ["value"])],
        {"index": Shaped(["rows", 1], 0, datatype="INT64")},
        {"value": Shaped(["rows", 1], 0)},
        {"index": [[1]]},
        {"value": [[5.0]]},
        initializers=[helper.make_tensor("table", TensorProto.FLOAT, [3], [4.0, 5.0, 6.0])],
    )


def sum_bundle(models: Path) -> Path:
    """Write a model that adds two signals, which have to be of one length, though the signature leaves it open."""
    return shaped_bundle(
        models / "sum" / "1",
        [helper.make_node("Add", ["left", "right"], ["sum"])],
        {"left": Shaped(["left"]), "right": Shaped(["right"])},
        {"sum": Shaped(["length"])},
        {"left": [1.0, 2.0], "right": [3.0, 4.0]},
        {"sum": [4.0, 6.0]},
    )


def shaped_bundle(
    folder: Path,
    nodes: Sequence[NodeProto],
    inputs: dict[str, Shaped],
    outputs: dict[str, Shaped],
    request: dict[str, Any],
    answer: dict[str, Any],
    initializers: Sequence[TensorProto] = (),
) -> Path:
    """Write a bundle with one recorded request, nested lists by the names of the inputs; return its folder."""

    def values(tensors: dict[str, Shaped]) -> list[Any]:
        return [
            helper.make_tensor_value_info(name, _KINDS[each.datatype], each.shape) for name, each in tensors.items()
        ]

    graph = helper.make_graph(nodes, folder.parent.name, values(inputs), values(outputs), list(initializers))
    signature = {
        "task": "anomaly",
        "inputs": [_describe(name, each) | {"columns": []} for name, each in inputs.items()],
        "outputs": [_describe(name, each) for name, each in outputs.items()],
    }
    sample = {
        "request": {"inputs": [tensor(name, inputs[name].datatype, data) for name, data in request.items()]},
        "response": {"outputs": [tensor(name, outputs[name].datatype, data) for name, data in answer.items()]},
    }
    return write(folder, "anomaly", graph, signature, [sample])


def tensor(name: str, datatype: str, data: Any) -> dict[str, Any]:
    """Return a tensor in JSON from nested lists or an array; its data are flat."""
    array = np.asarray(data)
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.ravel().tolist()}


def _describe(name: str, each: Shaped) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else -1 for size in each.shape]
    stated = {} if each.batch_dimension is None else {"batch_dimension": each.batch_dimension}
    return {"name": name, "datatype": each.datatype, "shape": shape} | stated
