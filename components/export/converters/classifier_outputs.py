"""What converters of classifiers share: labels, and probabilities or decision values."""

import numpy as np
from onnx import TensorProto
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from sklearn.base import BaseEstimator

from kfp_edge.components.export.converters.graph_builder import GraphBuilder

#: What skl2onnx's parser of classifiers reads.
CLASSIFIER_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],  # set where it is calibrated: decision values in place of probabilities
}


def convert_linear_classifier(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Convert a classifier whose probabilities are the softmax, or the logistic function, of linear decision values."""
    model, graph = operator.raw_operator, GraphBuilder(scope, operator, container)
    weights, offsets = model.coef_, np.broadcast_to(model.intercept_, len(model.coef_))
    if len(weights) == 1:  # two classes: the logistic function of d is the softmax of 0 and d
        weights, offsets = np.concatenate([0 * weights, weights]), np.concatenate([0 * offsets, offsets])
    add_outputs(graph, model, graph.add_linear(weights, offsets), gives_decisions=asks_for_decisions(container, model))


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
