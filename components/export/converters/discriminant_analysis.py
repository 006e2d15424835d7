"""Linear and quadratic discriminant analysis in ONNX, in double precision.

skl2onnx 1.20 gives two classes of the linear one the probabilities of twice the decision value, up to 0.15 off, and
converts the quadratic one for a single row only.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

from kfp_edge.components.export.graph_builder import GraphBuilder
from kfp_edge.ml.arrays import Float64s

#: What skl2onnx's parser of classifiers reads.
CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],  # set where it is calibrated: decision values in place of probabilities
}


def register_converters() -> None:
    """Make skl2onnx convert both kinds of discriminant analysis with the converters here."""
    for kind, convert in (
        (LinearDiscriminantAnalysis, convert_linear_classifier),
        (QuadraticDiscriminantAnalysis, _convert_quadratic),
    ):
        update_registered_converter(
            kind,
            f"KfpEdge{kind.__name__}",
            calculate_linear_classifier_output_shapes,
            convert,
            options=CLASSIFIER_OPTIONS,
        )


def convert_linear_classifier(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Convert a classifier whose probabilities are the softmax, or the logistic function, of linear decision values."""
    model = operator.raw_operator
    weights, offsets = _to_doubles((model.coef_, np.broadcast_to(model.intercept_, len(model.coef_))))
    if len(weights) == 1:  # two classes: the logistic function of d is the softmax of 0 and d
        weights, offsets = np.concatenate([0 * weights, weights]), np.concatenate([0 * offsets, offsets])
    graph = GraphBuilder(scope, operator, container)
    rows = graph.cast(graph.rows, TensorProto.DOUBLE)
    product = graph.add("MatMul", rows, graph.add_constant(weights.T))
    decisions = graph.add("Add", product, graph.add_constant(offsets))
    add_outputs(graph, model, decisions, gives_decisions=asks_for_decisions(container, model))


def _convert_quadratic(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    model: QuadraticDiscriminantAnalysis = operator.raw_operator
    graph = GraphBuilder(scope, operator, container)
    rows, axis = graph.cast(graph.rows, TensorProto.DOUBLE), graph.add_constant(np.array([1]))
    half = graph.add_constant(np.array([-0.5]))
    decisions = []
    for mean, rotation, scaling, prior in zip(
        *(_to_doubles(parts) for parts in (model.means_, model.rotations_, model.scalings_, model.priors_)), strict=True
    ):
        centred = graph.add("Sub", rows, graph.add_constant(mean))
        whitened = graph.add("MatMul", centred, graph.add_constant(rotation / np.sqrt(scaling)))
        distance = graph.add("ReduceSum", graph.add("Mul", whitened, whitened), axis, keepdims=1)
        constant = np.array([np.log(prior) - 0.5 * np.sum(np.log(scaling))])
        decisions.append(graph.add("Add", graph.add("Mul", distance, half), graph.add_constant(constant)))
    joined = graph.add("Concat", *decisions, axis=1)
    add_outputs(graph, model, joined, gives_decisions=asks_for_decisions(container, model))


def _to_doubles(parts: Iterable[npt.ArrayLike]) -> list[Float64s]:
    """Return the parts of a model in double precision: one that was fitted on float32 rows may be of float32."""
    return [np.asarray(part, np.float64) for part in parts]


def asks_for_decisions(container: ModelComponentContainer, model: BaseEstimator) -> bool:
    """Return whether decision values are asked for in place of probabilities."""
    return bool(container.get_options(model, {"raw_scores": False})["raw_scores"])


def add_outputs(graph: GraphBuilder, model: BaseEstimator, decisions: str, *, gives_decisions: bool) -> None:
    """Add label and probabilities, or decision values in their place, from those of shape [rows, classes]."""
    label, probabilities = graph.outputs
    if not gives_decisions:
        numbers = graph.add("Softmax", decisions, axis=1)
    elif len(model.classes_) == 2:  # that of the second class is its distance from the first one's
        first = graph.add("Gather", decisions, graph.add_constant(np.array([0])), axis=1)
        numbers = graph.add("Sub", decisions, first)
    else:
        numbers = decisions
    graph.cast(numbers, TensorProto.FLOAT, output=probabilities)
    winner = graph.add("ArgMax", decisions, axis=1, keepdims=0)
    graph.add("Gather", graph.add_labels(model.classes_.tolist()), winner, output=label)
