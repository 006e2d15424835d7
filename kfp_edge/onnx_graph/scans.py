"""`Scan`, the loop over a dimension of a tensor: a graph run for each row, and how many steps one can have."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from kfp_edge.onnx_graph.editing import rename
from kfp_edge.onnx_graph.traversal import get_shape, iterate_nodes, iterate_tensors, read_attributes

#: Operators that make a dimension as long as a value says, with the numbers of the inputs that hold it.
_SIZED_BY_VALUES = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Loop": (0, 1),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Resize": (1, 2, 3),
    "Tile": (1,),
    "Upsample": (1,),
}
#: Operators whose output depends on the shape of the input and not on its values.
_SHAPES = ("Shape", "Size")

#: The nodes that make each value; names of sub-graphs may repeat.
_Producers = Mapping[str, list[onnx.NodeProto]]


@dataclass(frozen=True)
class _Row:
    """An input or output of a graph for one row, and the same value without the dimension of the row."""

    name: str
    element: int
    shape: list[int | None]

    @property
    def whole(self) -> str:
        """Its name inside the Scan, with the dimension."""
        return f"{self.name}_whole"

    @property
    def row(self) -> onnx.ValueInfoProto:
        """It without the dimension of the row."""
        return onnx.helper.make_tensor_value_info(f"{self.name}_row", self.element, self.shape[1:])

    @property
    def rows(self) -> onnx.ValueInfoProto:
        """It for any number of rows."""
        return onnx.helper.make_tensor_value_info(self.name, self.element, [None, *self.shape[1:]])


def scan_rows(proto: onnx.ModelProto, size: int) -> onnx.ModelProto:
    """Return a model that runs a graph of one row for each row: a Scan with as many steps as the request has rows.

    Args:
        proto: The model; its graph becomes the body of the Scan.
        size: Its number of rows, 1.
    """
    graph = proto.graph
    inputs, outputs = ([_describe(value, size) for value in values] for values in (graph.input, graph.output))
    # a name inside may not be one outside
    rename(graph, {row.name: row.whole for row in (*inputs, *outputs)})
    nodes = [
        *(onnx.helper.make_node("Unsqueeze", [row.row.name, "scan_axis"], [row.whole]) for row in inputs),
        *graph.node,
        *(onnx.helper.make_node("Squeeze", [row.whole, "scan_axis"], [row.row.name]) for row in outputs),
    ]
    tensors = [*graph.initializer, onnx.numpy_helper.from_array(np.array([0], np.int64), "scan_axis")]
    body = onnx.helper.make_graph(nodes, "row", [row.row for row in inputs], [row.row for row in outputs], tensors)
    names = [row.name for row in inputs], [row.name for row in outputs]
    scan = onnx.helper.make_node("Scan", *names, num_scan_inputs=len(inputs), body=body)
    whole = onnx.helper.make_graph([scan], graph.name, [row.rows for row in inputs], [row.rows for row in outputs])
    return onnx.helper.make_model(
        whole,
        opset_imports=list(proto.opset_import),
        ir_version=proto.ir_version,
        functions=list(proto.functions),
    )


def _describe(value: onnx.ValueInfoProto, size: int) -> _Row:
    return _Row(value.name, value.type.tensor_type.elem_type, get_shape(value) or [size])


def has_unbounded_scan(proto: onnx.ModelProto) -> bool:
    """Return whether the number of steps of a Scan depends on values, and not only on shapes.

    A Scan has as many steps as the tensors that it runs over are long. Where their length follows from the shapes of
    the inputs and of constants, the number of rows of a request and the size of the model are its bound.
    """
    producers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    nodes = list(iterate_nodes(proto))
    for node in nodes:
        for output in node.output:
            producers[output].append(node)
    constants = {tensor.name for tensor in iterate_tensors(proto)}
    return any(_is_sized_by_data(_list_scanned(node), producers, constants) for node in nodes if node.op_type == "Scan")


def _list_scanned(node: onnx.NodeProto) -> list[str]:
    return list(node.input)[-read_attributes(node)["num_scan_inputs"] :]


def _is_sized_by_data(values: Iterable[str], producers: _Producers, constants: set[str]) -> bool:
    """Return whether an operator before these values makes a dimension as long as a value of the inputs says."""
    for node in _iterate_ancestors(values, producers):
        positions = _SIZED_BY_VALUES.get(node.op_type, ())
        sizes = [node.input[position] for position in positions if position < len(node.input)]
        if sizes and _depends_on_data(sizes, producers, constants):
            return True
    return False


def _depends_on_data(values: Iterable[str], producers: _Producers, constants: set[str]) -> bool:
    names = set(values)
    for node in _iterate_ancestors(values, producers, stop_at=_SHAPES):
        names |= set() if node.op_type in _SHAPES else set(node.input)
    # what no node makes and is no constant is an input, of the model or of the body of a loop
    return any(name and name not in producers and name not in constants for name in names)


def _iterate_ancestors(
    values: Iterable[str], producers: _Producers, stop_at: Sequence[str] = ()
) -> Iterator[onnx.NodeProto]:
    """Yield every node that the values depend on; what is before one of the operators in `stop_at` is left out."""
    waiting, seen = list(values), set(values)
    while waiting:
        for node in producers.get(waiting.pop(), []):
            yield node
            if node.op_type not in stop_at:
                new = set(node.input) - seen
                seen |= new
                waiting += new
