"""Anomaly detectors in ONNX: a score, higher being more anomalous, and the label 1 where it is above the threshold.

skl2onnx's own conversions have labels 1 and -1 and the opposite direction, and compute in float32.
"""

from collections.abc import Callable

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope, Variable
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.svm import OneClassSVM

from kfp_edge.components.export.converters.graph_builder import GraphBuilder
from kfp_edge.components.export.converters.isolation_forest import add_forest_score
from kfp_edge.estimators.pca_residual import PcaResidual

#: Adds the score of a detector to a graph, and returns its name: n numbers in float32 or double precision.
AddScore = Callable[[GraphBuilder, BaseEstimator], str]


def find_threshold(detector: BaseEstimator) -> float:
    """Return the score above which a fitted detector of scikit-learn raises an alarm."""
    return -float(np.ravel(detector.offset_)[0])


def is_detector(estimator: BaseEstimator) -> bool:
    """Return whether an estimator is a detector that can be exported."""
    return type(estimator) in _SCORES


def register_converters() -> None:
    """Make skl2onnx convert detectors to outputs `label` and `score`, both of shape [n]."""
    for model in _SCORES:
        # skl2onnx's parser reads the option
        options = {"score_samples": [True, False]}
        alias = _name_alias(model)
        update_registered_converter(model, alias, _set_output_types, _convert, options=options, parser=_parse)


def _name_alias(model: type[BaseEstimator]) -> str:
    return f"KfpEdge{model.__name__}"


def _parse(scope: Scope, model: BaseEstimator, inputs: list[Variable], custom_parsers: object = None) -> list[Variable]:
    operator = scope.declare_local_operator(_name_alias(type(model)), model)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable("label", Int64TensorType([None])))
    operator.outputs.append(scope.declare_local_variable("score", FloatTensorType([None])))
    return list(operator.outputs)


def _set_output_types(operator: Operator) -> None:
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = Int64TensorType([rows])
    operator.outputs[1].type = FloatTensorType([rows])


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    graph = GraphBuilder(scope, operator, container)
    label, score = graph.outputs
    detector = operator.raw_operator
    exact = _SCORES[type(detector)](graph, detector)
    graph.flatten(graph.cast(exact, TensorProto.FLOAT), output=score)
    threshold = graph.add_constant(np.float32(find_threshold(detector)))
    graph.cast(graph.add("Greater", score, threshold), TensorProto.INT64, output=label)


def _add_svm_score(graph: GraphBuilder, detector: BaseEstimator) -> str:
    """Add the negative weighted sum of the kernels between a row and the support vectors."""
    kernels = _add_kernels(graph, detector)
    return graph.add("Neg", graph.add("MatMul", kernels, graph.add_constant(detector.dual_coef_.T)))


def _add_kernels(graph: GraphBuilder, detector: BaseEstimator) -> str:
    """Add the kernel between each row and each support vector, shape [n, vectors].

    Raises:
        NotImplementedError: the kernel is a function, or was computed in advance.
    """
    rows, vectors = graph.cast(graph.rows, TensorProto.DOUBLE), detector.support_vectors_
    products = graph.add("MatMul", rows, graph.add_constant(vectors.T))
    if detector.kernel == "linear":
        return products
    gamma = graph.add_constant(float(detector._gamma))
    if detector.kernel == "rbf":
        squares = graph.add("ReduceSumSquare", rows, graph.add_constant(np.array([1])), keepdims=1)
        sums = graph.add("Add", squares, graph.add_constant((vectors**2).sum(axis=1)[None, :]))
        distances = graph.add("Sub", sums, graph.add("Add", products, products))
        return graph.add("Exp", graph.add("Neg", graph.add("Mul", distances, gamma)))
    if detector.kernel not in ("poly", "sigmoid"):
        raise NotImplementedError(f"the kernel {detector.kernel} of {type(detector).__name__} is not converted")
    scaled = graph.add("Add", graph.add("Mul", products, gamma), graph.add_constant(float(detector.coef0)))
    if detector.kernel == "sigmoid":
        return graph.add("Tanh", scaled)
    return graph.add("Pow", scaled, graph.add_constant(float(detector.degree)))


def _add_residual_score(graph: GraphBuilder, detector: BaseEstimator) -> str:
    """Add the root mean square of what principal components do not explain of a row."""
    centred = graph.add("Sub", graph.cast(graph.rows, TensorProto.DOUBLE), graph.add_constant(detector.mean_[None, :]))
    residual = centred
    if len(detector.components_):
        parts = graph.add("MatMul", centred, graph.add_constant(detector.components_.T))
        explained = graph.add("MatMul", parts, graph.add_constant(detector.components_))
        residual = graph.add("Sub", centred, explained)
    mean = graph.add("ReduceMean", graph.add("Mul", residual, residual), graph.add_constant(np.array([1])), keepdims=0)
    return graph.add("Sqrt", mean)


_SCORES: dict[type[BaseEstimator], AddScore] = {
    IsolationForest: add_forest_score,
    OneClassSVM: _add_svm_score,
    PcaResidual: _add_residual_score,
}
