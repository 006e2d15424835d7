"""A regressor with quantiles in ONNX: each of its regressors is a tree ensemble, and the quantiles are sorted."""

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope, Variable
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator

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
    flat = _add_constant(scope, container, "flat", TensorProto.INT64, np.array([-1]))
    prediction, *quantiles = (output.full_name for output in operator.outputs)
    _add_node(scope, container, "Reshape", [_add_regressor(scope, operator, model.regressor_), flat], [prediction])
    columns = [_add_regressor(scope, operator, regressor) for regressor in model.quantile_regressors_]
    names = {name: scope.get_unique_variable_name(name) for name in ("columns", "moved", "sorted", "order")}
    shifts = _add_constant(scope, container, "shifts", TensorProto.FLOAT, model.shifts_)
    count = _add_constant(scope, container, "count", TensorProto.INT64, np.array([len(columns)]))
    _add_node(scope, container, "Concat", columns, [names["columns"]], axis=1)
    _add_node(scope, container, "Add", [names["columns"], shifts], [names["moved"]])
    _add_node(scope, container, "TopK", [names["moved"], count], [names["sorted"], names["order"]], axis=1, largest=0)
    parts = [scope.get_unique_variable_name("column") for _ in columns]
    _add_node(scope, container, "Split", [names["sorted"]], parts, axis=1, num_outputs=len(parts))
    for part, quantile in zip(parts, quantiles, strict=True):
        _add_node(scope, container, "Reshape", [part, flat], [quantile])


def _add_regressor(scope: Scope, operator: Operator, regressor: BaseEstimator) -> str:
    """Add a regressor with skl2onnx's own converter, and return the name of its output, of shape [n, 1]."""
    part = scope.declare_local_operator(sklearn_operator_name_map[type(regressor)], regressor)
    part.inputs = operator.inputs
    part.outputs.append(scope.declare_local_variable("number", FloatTensorType([None, 1])))
    return str(part.outputs[0].onnx_name)


def _add_constant(scope: Scope, container: ModelComponentContainer, name: str, element: int, values: np.ndarray) -> str:
    unique: str = scope.get_unique_variable_name(name)
    container.add_initializer(unique, element, [len(values)], values.tolist())
    return unique


def _add_node(
    scope: Scope,
    container: ModelComponentContainer,
    kind: str,
    inputs: list[str],
    outputs: list[str],
    **attributes: int,
) -> None:
    container.add_node(kind, inputs, outputs, op_version=18, name=scope.get_unique_operator_name(kind), **attributes)
