"""Everything in a model, wherever it is: nodes and tensors inside sub-graphs and functions included."""

from collections.abc import Iterable, Iterator
from typing import Any

import onnx


def iterate_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and all graphs inside its nodes."""
    yield graph
    yield from iterate_inner_graphs(graph.node)


def iterate_inner_graphs(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """Yield all graphs inside nodes."""
    for node in nodes:
        for attribute in node.attribute:
            for graph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from iterate_graphs(graph)


def iterate_nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node of a model."""
    for graph in iterate_graphs(proto.graph):
        yield from graph.node
    for function in proto.functions:
        yield from function.node
        for graph in iterate_inner_graphs(function.node):
            yield from graph.node


def iterate_tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor that is stored in a model: initializers, and attributes of nodes."""
    for graph in iterate_graphs(proto.graph):
        yield from graph.initializer
    for node in iterate_nodes(proto):
        for attribute in node.attribute:
            yield from [*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors]


def read_attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the values of a node's attributes by name."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def get_shape(value: onnx.ValueInfoProto) -> list[int | None] | None:
    """Return the shape of an input or output; None where it has none, None for a dimension that is not fixed."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [dimension.dim_value if dimension.dim_value > 0 else None for dimension in tensor.shape.dim]
