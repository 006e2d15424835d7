"""A Scan may run over the rows or over a constant; a number of steps that values decide has no bound."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kfp_edge.onnx_graph.operators import find_forbidden_operators

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node


def make_scan(*before: onnx.NodeProto, scanned: str, constants: dict[str, object] | None = None) -> onnx.ModelProto:
    """Return a model that runs over the first dimension of `scanned`, which `before` may make of the input `x`."""
    body = helper.make_graph(
        [node("Neg", ["element"], ["negative"])],
        "step",
        [helper.make_tensor_value_info("element", FLOAT, None)],
        [helper.make_tensor_value_info("negative", FLOAT, None)],
    )
    graph = helper.make_graph(
        [*before, node("Scan", [scanned], ["y"], num_scan_inputs=1, body=body)],
        "net",
        [helper.make_tensor_value_info("x", FLOAT, [None, 3])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize(
    "model",
    [
        make_scan(scanned="x"),
        make_scan(scanned="table", constants={"table": np.ones((100, 3), np.float32)}),
        make_scan(*(node("Shape", ["x"], ["shape"]), node("ConstantOfShape", ["shape"], ["zeros"])), scanned="zeros"),
        make_scan(
            node("Tile", ["x", "twice"], ["more"]), scanned="more", constants={"twice": np.array([2, 1], np.int64)}
        ),
    ],
    ids=["rows", "constant", "shape of the input", "a constant number of copies"],
)
def test_a_scan_over_as_many_elements_as_shapes_say_is_allowed(model: onnx.ModelProto) -> None:
    assert find_forbidden_operators(model) == {}


VALUE = (
    node("ReduceMax", ["x"], ["largest"], keepdims=0),
    node("Cast", ["largest"], ["count"], to=INT64),
    node("Reshape", ["count", "one"], ["size"]),
)


@pytest.mark.parametrize(
    "last",
    [
        node("ConstantOfShape", ["size"], ["long"]),
        node("Expand", ["scalar", "size"], ["long"]),
        node("Range", ["zero", "largest", "step"], ["long"]),
    ],
    ids=lambda each: each.op_type,
)
def test_a_scan_over_as_many_elements_as_a_value_says_is_forbidden(last: onnx.NodeProto) -> None:
    constants = {
        "one": np.array([1]),
        "scalar": np.float32(0),
        "zero": np.float32(0),
        "step": np.float32(1),
    }
    model = make_scan(*VALUE, last, scanned="long", constants=constants)
    assert find_forbidden_operators(model) == {
        "Scan": "the number of its steps depends on values, not on the number of rows"
    }
