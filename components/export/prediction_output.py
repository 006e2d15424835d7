"""The output of a regressor: skl2onnx calls it `variable` and gives it a second dimension, which no client needs."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

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
