"""A regressor with quantiles in ONNX: each of its regressors is a tree ensemble, and the quantiles are sorted."""

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope, Variable
from skl2onnx.common.data_types import FloatTensorType

from kfp_edge.components.export.converters.graph_builder import GraphBuilder
from kfp_edge.tasks.regression.quantile_regressor import QuantileRegressor
from kfp_edge.tasks.regression.task import name_quantile

_ALIAS = "KfpEdgeQuantileRegressor"


def register_converter() -> None:
    """Make skl2onnx convert a `QuantileRegressor` to `prediction` and `quantile_0.1`, ..., each of shape [n]."""
    update_registered_converter(QuantileRegressor, _ALIAS, _set_output_types, _convert, parser=_parse)


def _parse(
    scope: Scope, model: QuantileRegressor, inputs: list[Variable], custom_parsers: object = None
) -> list[Variable]:
    operator = scope.declare_local_operator(_ALIAS, model)
    operator.inputs = inputs
    for name in ("prediction", *map(name_quantile, model.levels)):
        operator.outputs.append(scope.declare_local_variable(name, FloatTensorType([None])))
    return list(operator.outputs)


def _set_output_types(operator: Operator) -> None:
    for output in operator.outputs:
        output.type = FloatTensorType([operator.inputs[0].get_first_dimension()])


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    model: QuantileRegressor = operator.raw_operator
    graph = GraphBuilder(scope, operator, container)
    prediction, *quantiles = graph.outputs
    graph.flatten(graph.add_regressor(model.regressor_), output=prediction)
    columns = [graph.add_regressor(regressor) for regressor in model.quantile_regressors_]
    moved = graph.add("Add", graph.add("Concat", *columns, axis=1), graph.add_constant(np.float32(model.shifts_)))
    ordered = [scope.get_unique_variable_name(name) for name in ("sorted", "order")]
    count = graph.add_constant(np.array([len(columns)]))
    graph.add_many("TopK", [moved, count], ordered, axis=1, largest=0)
    parts = [scope.get_unique_variable_name("column") for _ in columns]
    graph.add_many("Split", ordered[:1], parts, axis=1, num_outputs=len(parts))
    for part, quantile in zip(parts, quantiles, strict=True):
        graph.flatten(part, output=quantile)
