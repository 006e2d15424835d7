"""The output of a regressor: skl2onnx calls it `variable` and gives it a second dimension, which no client needs."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from kfp_edge.ml.bounds import Bounds

#: The output tensor with the predicted numbers, of shape [n].
PREDICTION = "prediction"


def flatten_prediction(proto: onnx.ModelProto) -> None:
    """Rename the only output of a regressor's ONNX model to `prediction`, of shape [n]; the model is changed.

    A model whose outputs have their names already stays as it is.
    """
    outputs = proto.graph.output
    if len(outputs) != 1 or outputs[0].name == PREDICTION:
        return
    name, element = outputs[0].name, outputs[0].type.tensor_type.elem_type
    shape = f"{PREDICTION}_shape"
    proto.graph.initializer.append(numpy_helper.from_array(np.array([-1]), shape))
    proto.graph.node.append(helper.make_node("Reshape", [name, shape], [PREDICTION], name="Reshape_prediction"))
    del outputs[:]
    outputs.append(helper.make_tensor_value_info(PREDICTION, element, [None]))


def clip_outputs(proto: onnx.ModelProto, bounds: Bounds) -> None:
    """Keep all outputs of a regressor's ONNX model within the bounds of its target; the model is changed."""
    if bounds == Bounds():
        return
    ends = {"lowest_prediction": bounds.low, "highest_prediction": bounds.high}
    for name, end in ends.items():
        if end is not None:
            proto.graph.initializer.append(numpy_helper.from_array(np.array(end, dtype=np.float32), name))
    inputs = ["" if end is None else name for name, end in ends.items()]
    for name in [output.name for output in proto.graph.output]:
        free = f"{name}_without_bounds"
        for node in proto.graph.node:
            node.output[:] = [free if output == name else output for output in node.output]
            node.input[:] = [free if each == name else each for each in node.input]
        proto.graph.node.append(helper.make_node("Clip", [free, *inputs], [name], name=f"Clip_{name}"))
