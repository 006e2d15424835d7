"""ZipMap, which makes a list of dictionaries of the probabilities: cut away, and the classes that it names kept."""

import onnx

from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.onnx_graph.traversal import read_attributes

_CLASSIFIERS = ("TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier")
#: Operators that pass a label on.
_PASSING = ("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten")


def cut_zip_maps(proto: onnx.ModelProto) -> tuple[tuple[ClassLabel, ...], bool]:
    """Replace each ZipMap by the tensor that goes into it.

    Args:
        proto: The model; it is changed.

    Returns:
        The classes that the last ZipMap names, and whether there was one.
    """
    nodes = [node for node in proto.graph.node if node.op_type == "ZipMap"]
    classes: tuple[ClassLabel, ...] = ()
    outputs = {output.name: output for output in proto.graph.output}
    for node in nodes:
        classes = _read_classes(node)
        source, target = node.input[0], node.output[0]
        proto.graph.node.remove(node)
        if target in outputs:
            element = _infer_element(proto, source)
            outputs[target].CopyFrom(onnx.helper.make_tensor_value_info(target, element, [None, len(classes)]))
            proto.graph.node.append(onnx.helper.make_node("Identity", [source], [target]))
    return classes, bool(nodes)


def find_classes(proto: onnx.ModelProto, label: str) -> tuple[ClassLabel, ...]:
    """Return the classes that the classifier node behind the output `label` names; empty if there is no such node."""
    producers = {output: node for node in proto.graph.node for output in node.output}
    node = producers.get(label)
    while node is not None and node.op_type in _PASSING:
        node = producers.get(node.input[0])
    return _read_classes(node) if node is not None and node.op_type in _CLASSIFIERS else ()


def _read_classes(node: onnx.NodeProto) -> tuple[ClassLabel, ...]:
    attributes = read_attributes(node)
    if strings := attributes.get("classlabels_strings"):
        return tuple(text.decode() for text in strings)
    return tuple(attributes.get("classlabels_int64s") or attributes.get("classlabels_ints") or ())


def _infer_element(proto: onnx.ModelProto, name: str) -> int:
    """Return the element type of a value; float if it is not known."""
    without_outputs = onnx.ModelProto()
    without_outputs.CopyFrom(proto)
    del without_outputs.graph.output[:]
    graph = onnx.shape_inference.infer_shapes(without_outputs).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info)}
    return types.get(name) or onnx.TensorProto.FLOAT
