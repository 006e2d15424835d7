"""Linear and quadratic discriminant analysis in ONNX, in double precision.

skl2onnx 1.20 gives two classes of the linear one the probabilities of twice the decision value, up to 0.15 off, and
converts the quadratic one for a single row only.
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

from kfp_edge.ml.arrays import Float64s

#: What skl2onnx's parser of classifiers reads.
_OPTIONS = {"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True]}


def register_converters() -> None:
    """Make skl2onnx convert both kinds of discriminant analysis with the converters here."""
    for kind, convert in (
        (LinearDiscriminantAnalysis, _convert_linear),
        (QuadraticDiscriminantAnalysis, _convert_quadratic),
    ):
        update_registered_converter(
            kind, f"KfpEdge{kind.__name__}", calculate_linear_classifier_output_shapes, convert, options=_OPTIONS
        )


@dataclass
class _Graph:
    """Adds nodes and constants to the model that skl2onnx builds."""

    scope: Scope
    container: ModelComponentContainer

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: int) -> str:
        """Add a node of one output and return the output's name."""
        output = output or str(self.scope.get_unique_variable_name(kind.lower()))
        name = self.scope.get_unique_operator_name(kind)
        self.container.add_node(kind, list(inputs), output, name=name, op_version=13, **attributes)
        return output

    def add_numbers(self, name: str, values: Float64s) -> str:
        """Add a constant in double precision and return its name."""
        name = str(self.scope.get_unique_variable_name(name))
        self.container.add_initializer(name, TensorProto.DOUBLE, values.shape, values.ravel().tolist())
        return name

    def add_axis(self, axis: int) -> str:
        """Add the number of an axis and return its name."""
        name: str = self.scope.get_unique_variable_name("axis")
        self.container.add_initializer(name, TensorProto.INT64, [1], [axis])
        return name

    def add_names(self, model: BaseEstimator) -> str:
        """Add the labels of the classes and return their name."""
        name: str = self.scope.get_unique_variable_name("classes")
        labels = model.classes_.tolist()
        if isinstance(labels[0], str):
            self.container.add_initializer(
                name, TensorProto.STRING, [len(labels)], [label.encode() for label in labels]
            )
        else:
            self.container.add_initializer(name, TensorProto.INT64, [len(labels)], labels)
        return name


def _convert_linear(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    model: LinearDiscriminantAnalysis = operator.raw_operator
    weights, offsets = model.coef_, model.intercept_
    if len(weights) == 1:  # two classes: the logistic function of d is the softmax of 0 and d
        weights, offsets = np.concatenate([0 * weights, weights]), np.concatenate([0 * offsets, offsets])
    graph = _Graph(scope, container)
    rows = graph.add("Cast", operator.inputs[0].full_name, to=TensorProto.DOUBLE)
    product = graph.add("MatMul", rows, graph.add_numbers("weights", weights.T))
    _add_outputs(graph, operator, graph.add("Add", product, graph.add_numbers("offsets", offsets)))


def _convert_quadratic(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    model: QuadraticDiscriminantAnalysis = operator.raw_operator
    graph = _Graph(scope, container)
    rows, axis = graph.add("Cast", operator.inputs[0].full_name, to=TensorProto.DOUBLE), graph.add_axis(1)
    half = graph.add_numbers("half", np.array([-0.5]))
    decisions = []
    for mean, rotation, scaling, prior in zip(
        model.means_, model.rotations_, model.scalings_, model.priors_, strict=True
    ):
        centred = graph.add("Sub", rows, graph.add_numbers("mean", mean))
        whitened = graph.add("MatMul", centred, graph.add_numbers("rotation", rotation / np.sqrt(scaling)))
        distance = graph.add("ReduceSum", graph.add("Mul", whitened, whitened), axis, keepdims=1)
        constant = np.array([np.log(prior) - 0.5 * np.sum(np.log(scaling))])
        decisions.append(graph.add("Add", graph.add("Mul", distance, half), graph.add_numbers("constant", constant)))
    _add_outputs(graph, operator, graph.add("Concat", *decisions, axis=1))


def _add_outputs(graph: _Graph, operator: Operator, decisions: str) -> None:
    """Add label and probabilities from the decision values, shape [rows, classes]."""
    label, probabilities = (output.full_name for output in operator.outputs)
    shares = graph.add("Softmax", decisions, axis=1)
    graph.add("Cast", shares, output=probabilities, to=TensorProto.FLOAT)
    winner = graph.add("ArgMax", decisions, axis=1, keepdims=0)
    graph.add("Gather", graph.add_names(operator.raw_operator), winner, output=label)
