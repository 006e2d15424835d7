"""Linear models, GaussianNB and principal components in ONNX, in double precision, as scikit-learn computes them.

skl2onnx computes them in single precision. Of a column far from 0, such as a pressure around 101,325 Pa with a standard
deviation of 50, that loses digits: without a scaler before them, predictions of Ridge were off by 3e-5 standard
deviations, and probabilities of GaussianNB by 1e-4.
"""

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.naive_bayes import GaussianNB

from kfp_edge.components.export.converters.classifier_outputs import (
    CLASSIFIER_OPTIONS,
    add_outputs,
    convert_linear_classifier,
)
from kfp_edge.components.export.converters.graph_builder import GraphBuilder

#: All that predict the product of a row and `coef_`, and `intercept_`.
_REGRESSORS = tuple(kind for kind, alias in sklearn_operator_name_map.items() if alias == "SklearnLinearRegressor")


def register_converters() -> None:
    """Make skl2onnx convert these models with the converters here."""
    for regressor in _REGRESSORS:
        update_registered_converter(
            regressor, f"KfpEdgeLinear{regressor.__name__}", _set_number_types, _convert_regressor
        )
    for kind in (PCA, IncrementalPCA, TruncatedSVD):
        update_registered_converter(kind, f"KfpEdge{kind.__name__}", _set_component_types, _convert_components)
    shapes = calculate_linear_classifier_output_shapes
    for classifier, convert in (
        (GaussianNB, _convert_bayes),
        (LogisticRegression, convert_linear_classifier),
        (LogisticRegressionCV, convert_linear_classifier),
    ):
        options = {
            name: values
            for name, values in CLASSIFIER_OPTIONS.items()
            if hasattr(classifier, "decision_function") or name != "raw_scores"
        }
        update_registered_converter(classifier, f"KfpEdge{classifier.__name__}", shapes, convert, options=options)


def _set_number_types(operator: Operator) -> None:
    targets = np.atleast_2d(operator.raw_operator.coef_).shape[0]
    operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), targets])


def _convert_regressor(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    model, graph = operator.raw_operator, GraphBuilder(scope, operator, container)
    number = graph.add_linear(np.atleast_2d(model.coef_), np.ravel(model.intercept_))
    graph.cast(number, TensorProto.FLOAT, output=graph.outputs[0])


def _set_component_types(operator: Operator) -> None:
    width = operator.raw_operator.components_.shape[0]
    operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), width])


def _convert_components(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    model, graph = operator.raw_operator, GraphBuilder(scope, operator, container)
    components = np.asarray(model.components_, np.float64)
    if getattr(model, "whiten", False):
        components = components / np.sqrt(model.explained_variance_)[:, None]
    mean = getattr(model, "mean_", None)  # TruncatedSVD has none
    offsets = np.zeros(len(components)) if mean is None else -(components @ np.asarray(mean, np.float64))
    graph.cast(graph.add_linear(components, offsets), TensorProto.FLOAT, output=graph.outputs[0])


def _convert_bayes(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    model: GaussianNB = operator.raw_operator
    graph = GraphBuilder(scope, operator, container)
    rows, axis = graph.cast(graph.rows, TensorProto.DOUBLE), graph.add_constant(np.array([1]))
    decisions = []
    for mean, variance, prior in zip(model.theta_, model.var_, model.class_prior_, strict=True):
        centred = graph.add("Sub", rows, graph.add_constant(np.asarray(mean, np.float64)))
        scaled = graph.add("Div", centred, graph.add_constant(np.sqrt(np.asarray(variance, np.float64))))
        distance = graph.add("ReduceSum", graph.add("Mul", scaled, scaled), axis, keepdims=1)
        constant = np.array([np.log(prior) - 0.5 * np.sum(np.log(2 * np.pi * variance))], np.float64)
        half = graph.add("Mul", distance, graph.add_constant(np.array([-0.5])))
        decisions.append(graph.add("Add", half, graph.add_constant(constant)))
    add_outputs(graph, model, graph.add("Concat", *decisions, axis=1), gives_decisions=False)
