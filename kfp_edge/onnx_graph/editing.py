"""Changes of a graph: nodes after it, names out of the way, and what nothing needs removed."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from kfp_edge.errors import ModelError
from kfp_edge.ml.onnx_model import Tensor, read_opsets
from kfp_edge.onnx_graph.traversal import iterate_graphs, iterate_inner_graphs

#: The first operator set whose `Clip` takes its limits as inputs.
_CLIP_WITH_INPUTS = 11


class GraphEditor:
    """Appends nodes to the graph of a model and gives it new outputs, whose names are free."""

    def __init__(self, proto: onnx.ModelProto, outputs: Iterable[str]) -> None:
        self.proto = proto
        self._outputs = tuple(outputs)
        self._used = {name for graph in iterate_graphs(proto.graph) for name in _list_names(graph)}
        self._renamed = {name: self._make_name(name) for name in self._outputs if name in self._used}
        rename(proto.graph, self._renamed)

    def find(self, output: str) -> str:
        """Return what the model's own output is called now."""
        return self._renamed.get(output, output)

    def add(self, op_type: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> str:
        """Append a node with one output, and return the name of that."""
        name = output or self._make_name(op_type.lower())
        self.proto.graph.node.append(
            onnx.helper.make_node(op_type, list(inputs), [name], domain=domain or None, **attributes)
        )
        return name

    def add_constant(self, values: Any, dtype: Any = np.int64) -> str:
        """Add a constant tensor, and return its name."""
        name = self._make_name("constant")
        self.proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def flatten(self, value: str) -> str:
        """Append a reshape of a value to [rows]."""
        return self.add("Reshape", value, self.add_constant([-1]))

    def clip_to_shares(self, value: str, element: int) -> str:
        """Append a clip of numbers to 0 to 1, and return its name."""
        if read_opsets(self.proto)[""] < _CLIP_WITH_INPUTS:
            return self.add("Clip", value, min=0.0, max=1.0)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(element)
        return self.add("Clip", value, self.add_constant(0, dtype), self.add_constant(1, dtype))

    def set_outputs(self, elements: Mapping[str, tuple[int, list[int | None]]]) -> None:
        """Make values the only outputs of the model, by their names, element types and shapes; remove the rest."""
        del self.proto.graph.output[:]
        self.proto.graph.output.extend(
            onnx.helper.make_tensor_value_info(name, element, shape) for name, (element, shape) in elements.items()
        )
        remove_unused(self.proto)

    def _make_name(self, name: str) -> str:
        candidates = (f"{name}_{number}" for number in range(1, len(self._used) + 2))
        free = next(candidate for candidate in candidates if candidate not in self._used)
        self._used.add(free)
        return free


def element_of(values: Tensor) -> int:
    """Return the ONNX element type of an array."""
    return TensorProto.STRING if values.dtype == object else onnx.helper.np_dtype_to_tensor_dtype(values.dtype)


def rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename values in a graph and in the graphs inside it; what is not in `names` stays."""
    for part in iterate_graphs(graph):
        for node in part.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        values: list[onnx.TensorProto | onnx.ValueInfoProto] = [*part.initializer, *part.input, *part.output]
        for value in values:
            value.name = names.get(value.name, value.name)
        for sparse in part.sparse_initializer:
            sparse.values.name = names.get(sparse.values.name, sparse.values.name)
        del part.value_info[:]


def rename_in_nodes(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let all nodes that take one value take another."""
    for part in iterate_graphs(graph):
        for node in part.node:
            node.input[:] = [new if name == old else name for name in node.input]


def keep_outputs(proto: onnx.ModelProto, names: Iterable[str]) -> None:
    """Make some outputs of a model its only ones, in this order, and remove what only the others need.

    Raises:
        ModelError: there is no such output.
    """
    known = {output.name: output for output in proto.graph.output}
    names = list(dict.fromkeys(names))
    if unknown := [name for name in names if name not in known]:
        raise ModelError(f"the model has no output {unknown[0]!r}; its outputs are {', '.join(known)}.")
    kept = [known[name] for name in names]
    del proto.graph.output[:]
    proto.graph.output.extend(kept)
    remove_unused(proto)


def remove_unused(proto: onnx.ModelProto) -> None:
    """Remove the nodes and weights that no output needs, and what is known of the types of inner values."""
    graph = proto.graph
    needed, kept = {output.name for output in graph.output}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
            for inner in iterate_inner_graphs([node]):
                needed |= {name for part in inner.node for name in part.input}
                needed |= {output.name for output in inner.output}
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    kept.reverse()
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.initializer.extend(weights)


def _list_names(graph: onnx.GraphProto) -> Iterable[str]:
    for node in graph.node:
        yield from (*node.input, *node.output)
    yield from (tensor.name for tensor in graph.initializer)
    yield from (value.name for value in (*graph.input, *graph.output))
