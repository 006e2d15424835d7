"""An isolation forest as one ONNX tree ensemble.

skl2onnx draws some twenty nodes for every tree; 200 trees take half a minute to convert and milliseconds to run.
A path's length is a constant of its leaf, so the whole forest is one `TreeEnsembleRegressor` that sums
leaf constants, and the score of Liu, Ting and Zhou (ICDM 2008, eq. 2) is one power of the sum.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.ensemble import IsolationForest

_EULER = float(np.euler_gamma)


def register() -> None:
    """Make skl2onnx convert an `IsolationForest` to outputs `label` (1 = alarm) and `score`, both of shape [n]."""
    update_registered_converter(
        IsolationForest,
        "SklearnIsolationForest",
        _shapes,
        _convert,
        options={"score_samples": [True, False]},  # skl2onnx's parser asks for it
    )


def expected_path_length(samples: int) -> float:
    """Average path length of an unsuccessful search in a binary tree of n samples (Liu et al. 2008, eq. 1)."""
    if samples <= 1:
        return 0.0
    if samples == 2:
        return 1.0
    return 2.0 * (float(np.log(samples - 1.0)) + _EULER) - 2.0 * (samples - 1.0) / samples


@dataclass
class _Ensemble:
    """The attributes of a `TreeEnsembleRegressor` as they grow (ONNX ai.onnx.ml operators, version 1)."""

    nodes_treeids: list[int] = field(default_factory=list)
    nodes_nodeids: list[int] = field(default_factory=list)
    nodes_featureids: list[int] = field(default_factory=list)
    nodes_modes: list[str] = field(default_factory=list)
    nodes_values: list[float] = field(default_factory=list)
    nodes_truenodeids: list[int] = field(default_factory=list)
    nodes_falsenodeids: list[int] = field(default_factory=list)
    target_treeids: list[int] = field(default_factory=list)
    target_nodeids: list[int] = field(default_factory=list)
    target_weights: list[float] = field(default_factory=list)

    def add(self, number: int, tree: Any, features: Any) -> None:
        depth = _depths(tree)
        for node in range(tree.node_count):
            leaf = tree.children_left[node] == -1
            self.nodes_treeids.append(number)
            self.nodes_nodeids.append(node)
            self.nodes_modes.append("LEAF" if leaf else "BRANCH_LEQ")
            self.nodes_featureids.append(0 if leaf else int(features[tree.feature[node]]))
            self.nodes_values.append(0.0 if leaf else _float_below(tree.threshold[node]))
            self.nodes_truenodeids.append(0 if leaf else int(tree.children_left[node]))
            self.nodes_falsenodeids.append(0 if leaf else int(tree.children_right[node]))
            if leaf:
                self.target_treeids.append(number)
                self.target_nodeids.append(node)
                self.target_weights.append(depth[node] + expected_path_length(int(tree.n_node_samples[node])))


def _depths(tree: Any) -> list[int]:
    depth = [0] * tree.node_count
    for node in range(tree.node_count):  # children come after their parent
        for child in (tree.children_left[node], tree.children_right[node]):
            if child != -1:
                depth[child] = depth[node] + 1
    return depth


def _float_below(threshold: float) -> float:
    """Largest float32 not above a float64 threshold, so that `x <= threshold` means the same for a float32 x."""
    rounded = np.float32(threshold)
    return float(np.nextafter(rounded, np.float32(-np.inf)) if rounded > threshold else rounded)


def _shapes(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = Int64TensorType([rows])
    operator.outputs[1].type = FloatTensorType([rows])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    forest: IsolationForest = operator.raw_operator
    ensemble = _Ensemble()
    for number, (tree, features) in enumerate(zip(forest.estimators_, forest.estimators_features_, strict=True)):
        ensemble.add(number, tree.tree_, features)
    scale = len(forest.estimators_) * expected_path_length(forest._max_samples)
    names = {name: scope.get_unique_variable_name(name) for name in ("length", "share", "column", "alarm")}
    constants = {
        "scale": (TensorProto.FLOAT, [], [-1.0 / scale]),
        "two": (TensorProto.FLOAT, [], [2.0]),
        "flat": (TensorProto.INT64, [1], [-1]),
        "threshold": (TensorProto.FLOAT, [], [-forest.offset_]),
    }
    for name, (element, shape, values) in constants.items():
        names[name] = scope.get_unique_variable_name(name)
        container.add_initializer(names[name], element, shape, values)

    label, score = (output.full_name for output in operator.outputs)
    attributes = {**vars(ensemble), "target_ids": [0] * len(ensemble.target_nodeids), "n_targets": 1}
    steps = [
        ("TreeEnsembleRegressor", [operator.inputs[0].full_name], names["length"], attributes),
        ("Mul", [names["length"], names["scale"]], names["share"], {}),
        ("Pow", [names["two"], names["share"]], names["column"], {}),
        ("Reshape", [names["column"], names["flat"]], score, {}),
        ("Greater", [score, names["threshold"]], names["alarm"], {}),
        ("Cast", [names["alarm"]], label, {"to": TensorProto.INT64}),
    ]
    for kind, inputs, output, extra in steps:
        trees = kind == "TreeEnsembleRegressor"
        version = {"op_domain": "ai.onnx.ml", "op_version": 1} if trees else {"op_version": 13}
        container.add_node(kind, inputs, output, name=scope.get_unique_operator_name(kind), **version, **extra)
