"""A model whose outputs need not be finite: the quotients of the columns of its input."""

from pathlib import Path

from onnx import TensorProto, helper

from serving_support.bundles import write


def quotient_bundle(models: Path) -> Path:
    """Write a model of one FP32 input `X` [-1, 3] that divides each column by the last, and return its folder."""
    nodes = [
        helper.make_node("Gather", ["X", "last"], ["divisor"], axis=1),
        helper.make_node("Div", ["X", "divisor"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 3])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])]
    last = helper.make_tensor("last", TensorProto.INT64, [1], [2])
    graph = helper.make_graph(nodes, "quotient", inputs, outputs, [last])
    columns = [{"name": name} for name in ("torque", "speed", "wear")]
    signature = {
        "task": "regression",
        "inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 3], "columns": columns, "batch_dimension": 0}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3], "batch_dimension": 0}],
    }
    sample = {
        "request": {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1.0, 2.0, 4.0]}]},
        "response": {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [0.25, 0.5, 1.0]}]},
    }
    return write(models / "quotient" / "1", "regression", graph, signature, [sample])
