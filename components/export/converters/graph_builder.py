"""Adds nodes and constants to the graph that skl2onnx builds, for the converters of our own."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator

from kfp_edge.ml.arrays import ClassLabel

#: ONNX element type by the NumPy type of a constant.
_ELEMENTS = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.int64): TensorProto.INT64,
}
_OPSET = 18


class GraphBuilder:
    """The graph of one operator of a conversion; its values are known by their names.

    Args:
        scope: Gives unique names, which are part of the model's bytes.
        operator: What is converted.
        container: Takes nodes and constants.
    """

    def __init__(self, scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
        self.rows: str = operator.inputs[0].full_name
        self.outputs: list[str] = [output.full_name for output in operator.outputs]
        self._scope = scope
        self._operator = operator
        self._container = container

    def add_constant(self, values: npt.ArrayLike) -> str:
        """Add a constant in the type of its values, and return its name."""
        array = np.asarray(values)
        name: str = self._scope.get_unique_variable_name("constant")
        self._container.add_initializer(name, _ELEMENTS[array.dtype], list(array.shape), array.ravel().tolist())
        return name

    def add_labels(self, labels: Sequence[ClassLabel]) -> str:
        """Add the labels of the classes as a constant, and return its name."""
        if not isinstance(labels[0], str):
            return self.add_constant(np.array(labels, dtype=np.int64))
        name: str = self._scope.get_unique_variable_name("classes")
        encoded = [str(label).encode() for label in labels]
        self._container.add_initializer(name, TensorProto.STRING, [len(labels)], encoded)
        return name

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        """Add a node of ONNX's own operators, and return the name of its output: a new one if none is given."""
        output = output or self._scope.get_unique_variable_name(kind.lower())
        self.add_many(kind, inputs, [output], **attributes)
        return output

    def add_many(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: object) -> None:
        """Add a node of ONNX's own operators with any number of outputs."""
        name = self._scope.get_unique_operator_name(kind)
        self._container.add_node(kind, list(inputs), list(outputs), op_version=_OPSET, name=name, **attributes)

    def add_linear(self, weights: npt.ArrayLike, offsets: npt.ArrayLike) -> str:
        """Add the product of the rows and weights, shape [outputs, columns], and offsets, in double precision."""
        rows = self.cast(self.rows, TensorProto.DOUBLE)
        product = self.add("MatMul", rows, self.add_constant(np.asarray(weights, np.float64).T))
        return self.add("Add", product, self.add_constant(np.asarray(offsets, np.float64)))

    def add_trees(self, **attributes: object) -> str:
        """Add a `TreeEnsembleRegressor` on the rows, and return its output, of shape [n, targets] in float32."""
        output: str = self._scope.get_unique_variable_name("trees")
        name = self._scope.get_unique_operator_name("TreeEnsembleRegressor")
        domain = {"op_domain": "ai.onnx.ml", "op_version": 1}
        self._container.add_node("TreeEnsembleRegressor", [self.rows], output, name=name, **domain, **attributes)
        return output

    def add_regressor(self, regressor: BaseEstimator) -> str:
        """Add a regressor on the rows, as it is converted elsewhere, and return its output, of shape [n, 1]."""
        part = self._scope.declare_local_operator(sklearn_operator_name_map[type(regressor)], regressor)
        part.inputs = self._operator.inputs
        part.outputs.append(self._scope.declare_local_variable("number", FloatTensorType([None, 1])))
        return str(part.outputs[0].onnx_name)

    def cast(self, value: str, element: int, output: str = "") -> str:
        """Convert a value to another element type, and return the name of the result."""
        return self.add("Cast", value, output=output, to=element)

    def flatten(self, value: str, output: str = "") -> str:
        """Give a value the shape [n], and return the name of the result."""
        return self.add("Reshape", value, self.add_constant(np.array([-1])), output=output)
