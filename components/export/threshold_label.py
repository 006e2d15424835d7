"""The label of a classifier that decides by a threshold, in its ONNX model: skl2onnx drops or refuses thresholds."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.decision import Decision
from kfp_edge.ml.onnx_model import find_element_type


def decide_by_threshold(proto: onnx.ModelProto, classes: tuple[ClassLabel, ...], decision: Decision) -> None:
    """Make the label of a model of two classes the positive one where its probability is above the threshold.

    Args:
        proto: The model, with the outputs `label` and `probabilities`; it is changed.
        classes: The labels in the order of the probabilities.
        decision: The threshold and the positive class.
    """
    column = classes.index(decision.positive)
    constants = {
        "positive_column": np.array([column], dtype=np.int64),
        "decision_threshold": np.array(
            decision.threshold, dtype=helper.tensor_dtype_to_np_dtype(find_element_type(proto, "probabilities"))
        ),
        "flat": np.array([-1], dtype=np.int64),
        # the label of a row that is not above the threshold, then that of one that is
        "decided_classes": np.array(
            [classes[1 - column], classes[column]], dtype=object if isinstance(classes[0], str) else np.int64
        ),
    }
    nodes = [node for node in proto.graph.node if list(node.output) != ["label"]]
    for node in nodes:
        node.output[:] = ["label_without_threshold" if name == "label" else name for name in node.output]
        node.input[:] = ["label_without_threshold" if name == "label" else name for name in node.input]
    nodes += [
        helper.make_node("Gather", ["probabilities", "positive_column"], ["positive_probability"], axis=1),
        helper.make_node("Reshape", ["positive_probability", "flat"], ["positive_probabilities"]),
        helper.make_node("Greater", ["positive_probabilities", "decision_threshold"], ["is_positive"]),
        helper.make_node("Cast", ["is_positive"], ["decided_column"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["decided_classes", "decided_column"], ["label"]),
    ]
    for node in nodes[-5:]:
        node.name = f"decide_{node.output[0]}"
    proto.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    del proto.graph.node[:]
    proto.graph.node.extend(_drop_unused(nodes, {output.name for output in proto.graph.output}))


def _drop_unused(nodes: list[onnx.NodeProto], needed: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that a model's outputs are computed by, in their order."""
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):  # a node comes after those whose outputs it takes
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    return kept[::-1]
