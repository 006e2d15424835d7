"""A regressor that learned a transformed target: its predictions are transformed back in double precision."""

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from kfp_edge.components.export.converters.graph_builder import GraphBuilder


def register_converter() -> None:
    """Make skl2onnx convert a `TransformedTargetRegressor` to one output of shape [n, 1]."""
    update_registered_converter(
        TransformedTargetRegressor, "KfpEdgeTransformedTargetRegressor", _set_output_types, _convert
    )


def _set_output_types(operator: Operator) -> None:
    operator.outputs[0].type = FloatTensorType([operator.inputs[0].get_first_dimension(), 1])


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    model, graph = operator.raw_operator, GraphBuilder(scope, operator, container)
    number = graph.cast(graph.add_regressor(model.regressor_), TensorProto.DOUBLE)
    graph.cast(_invert(graph, number, model.transformer_), TensorProto.FLOAT, output=graph.outputs[0])


def _invert(graph: GraphBuilder, number: str, transformer: BaseEstimator) -> str:
    """Add the inverse of what was done to the target.

    Raises:
        NotImplementedError: it is not known here.
    """
    if isinstance(transformer, StandardScaler):
        number = graph.add("Mul", number, graph.add_constant(transformer.scale_)) if transformer.with_std else number
        return graph.add("Add", number, graph.add_constant(transformer.mean_)) if transformer.with_mean else number
    if isinstance(transformer, FunctionTransformer):
        if transformer.inverse_func is None:
            return number
        if transformer.inverse_func is np.exp:
            return graph.add("Exp", number)
        if transformer.inverse_func is np.expm1:
            return graph.add("Sub", graph.add("Exp", number), graph.add_constant(1.0))
    raise NotImplementedError(
        "of transformed targets only StandardScaler and the functions exp and expm1 are transformed back"
    )
