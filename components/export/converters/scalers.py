"""Scalers in double precision: where a column is far from 0, float32 would lose the digits that make its difference.

skl2onnx rounds the mean to float32 before it is subtracted: of a pressure around 101,325 Pa with a standard deviation
of 50, scaled values were off by up to 8e-5, and probabilities behind them by 7e-5.
"""

from collections.abc import Callable

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from kfp_edge.components.export.converters.graph_builder import GraphBuilder
from kfp_edge.ml.arrays import Float64s

#: Adds to a graph what a scaler does to values in double precision, and returns the name of the result.
AddScaling = Callable[[GraphBuilder, str, BaseEstimator], str]


def register_converters() -> None:
    """Make skl2onnx convert scalers in double precision."""
    for model in _SCALINGS:
        update_registered_converter(model, f"KfpEdge{model.__name__}", _set_output_types, _convert)


def _set_output_types(operator: Operator) -> None:
    operator.outputs[0].type = FloatTensorType(list(operator.inputs[0].type.shape))


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    graph, scaler = GraphBuilder(scope, operator, container), operator.raw_operator
    values = graph.cast(graph.rows, TensorProto.DOUBLE)
    scaled = _SCALINGS[type(scaler)](graph, values, scaler)
    graph.cast(scaled, TensorProto.FLOAT, output=graph.outputs[0])


def _apply(graph: GraphBuilder, kind: str, values: str, numbers: Float64s | None) -> str:
    """Add an operator on each column and its number; without numbers, values stay as they are."""
    return (
        values
        if numbers is None
        else graph.add(kind, values, graph.add_constant(np.asarray(numbers, np.float64).reshape(1, -1)))
    )


def _standardize(graph: GraphBuilder, values: str, scaler: BaseEstimator) -> str:
    centred = _apply(graph, "Sub", values, scaler.mean_ if scaler.with_mean else None)
    return _apply(graph, "Div", centred, scaler.scale_ if scaler.with_std else None)


def _scale_robustly(graph: GraphBuilder, values: str, scaler: BaseEstimator) -> str:
    centred = _apply(graph, "Sub", values, scaler.center_ if scaler.with_centering else None)
    return _apply(graph, "Div", centred, scaler.scale_ if scaler.with_scaling else None)


def _scale_to_range(graph: GraphBuilder, values: str, scaler: BaseEstimator) -> str:
    scaled = _apply(graph, "Add", _apply(graph, "Mul", values, scaler.scale_), scaler.min_)
    return _clip(graph, scaled, *scaler.feature_range) if scaler.clip else scaled


def _divide_by_largest(graph: GraphBuilder, values: str, scaler: BaseEstimator) -> str:
    scaled = _apply(graph, "Div", values, scaler.scale_)
    return _clip(graph, scaled, -1.0, 1.0) if scaler.clip else scaled


def _clip(graph: GraphBuilder, values: str, lowest: float, highest: float) -> str:
    low, high = graph.add_constant(float(lowest)), graph.add_constant(float(highest))
    # comparisons keep a missing value missing
    raised = graph.add("Where", graph.add("Less", values, low), low, values)
    return graph.add("Where", graph.add("Greater", raised, high), high, raised)


_SCALINGS: dict[type[BaseEstimator], AddScaling] = {
    StandardScaler: _standardize,
    RobustScaler: _scale_robustly,
    MinMaxScaler: _scale_to_range,
    MaxAbsScaler: _divide_by_largest,
}
