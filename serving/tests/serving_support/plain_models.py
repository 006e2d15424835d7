"""ONNX files without a bundle, as they lie in the model repositories of Triton and OpenVINO."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

WEIGHTS = np.float32([[0.5, -0.5], [0.25, 0.75], [-1.0, 1.0]])
#: One row, and what `linear_model` answers for it.
ROW = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
ANSWER = (np.float32([[1, 2, 3]]) @ WEIGHTS).ravel().tolist()


def linear_model(rows: str | int | None = "batch") -> ModelProto:
    """Return a model of one FP32 input [rows, 3] with the output `Y` [rows, 2]."""
    weights = numpy_helper.from_array(WEIGHTS, "weights")
    return make_model([helper.make_node("MatMul", ["X", "weights"], ["Y"])], [rows, 3], [rows, 2], [weights])


def with_external_weights(location: str, weights: np.ndarray = WEIGHTS, *, in_branch: bool = False) -> ModelProto:  # type: ignore[type-arg]
    """Return `linear_model` with weights that lie in another file; `in_branch` puts them into a branch of an `If`."""
    tensor = numpy_helper.from_array(weights, "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": str(weights.nbytes)}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    product = helper.make_node("MatMul", ["X", "weights"], ["Y"])
    if not in_branch:
        return make_model([product], ["batch", 3], ["batch", 2], [tensor])
    output = [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)]
    branch = helper.make_graph([product], "branch", [], output, [tensor])
    always = numpy_helper.from_array(np.array(True), "always")
    node = helper.make_node("If", ["always"], ["Y"], then_branch=branch, else_branch=branch)
    return make_model([node], ["batch", 3], ["batch", 2], [always])


def lower_case_model(locale: str | None) -> ModelProto:
    """Return a model that writes the texts `X` in lower case, by a locale or, without one, by that of onnxruntime."""
    stated = {} if locale is None else {"locale": locale}
    node = helper.make_node("StringNormalizer", ["X"], ["Y"], case_change_action="LOWER", **stated)
    model = make_model([node], [None], [None])
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.STRING
    return model


def make_model(
    nodes: Sequence[object],
    input_shape: Sequence[str | int | None],
    output_shape: Sequence[str | int | None],
    initializers: Sequence[TensorProto] = (),
) -> ModelProto:
    """Return a model of the FP32 input `X` and the FP32 output `Y`."""
    graph = helper.make_graph(
        list(nodes),
        "plain",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, output_shape)],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def put(model: ModelProto, path: Path) -> Path:
    """Write a model, and the folders above it; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path
