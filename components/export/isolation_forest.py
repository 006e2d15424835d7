"""An isolation forest as one ONNX tree ensemble.

skl2onnx converts every tree into about twenty nodes; 200 trees take half a minute to convert and milliseconds to run.
The length of a path is a constant of its leaf, so the whole forest is one `TreeEnsembleRegressor` that sums
leaf constants, and the score of Liu, Ting and Zhou (ICDM 2008, eq. 2) is one power of the sum.
"""

from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn.ensemble import IsolationForest
from sklearn.tree._tree import Tree

from kfp_edge.components.export.float32_thresholds import round_down_to_float32
from kfp_edge.ml.arrays import Int64s

_EULER = float(np.euler_gamma)


def register_converter() -> None:
    """Make skl2onnx convert an `IsolationForest` to outputs `label` (1 = alarm) and `score`, both of shape [n]."""
    update_registered_converter(
        IsolationForest,
        "SklearnIsolationForest",
        _set_output_types,
        _convert,
        options={"score_samples": [True, False]},  # skl2onnx's parser reads this option
    )


def expected_path_length(samples: int) -> float:
    """Return the average path length of an unsuccessful search in a binary tree (Liu et al. 2008, eq. 1)."""
    if samples <= 1:
        return 0.0
    if samples == 2:
        return 1.0
    return 2.0 * (float(np.log(samples - 1.0)) + _EULER) - 2.0 * (samples - 1.0) / samples


@dataclass
class _Ensemble:
    """The attributes of a `TreeEnsembleRegressor`, filled tree by tree (ONNX ai.onnx.ml operators, version 1)."""

    nodes_treeids: list[int] = field(default_factory=list)
    nodes_nodeids: list[int] = field(default_factory=list)
    nodes_featureids: list[int] = field(default_factory=list)
    nodes_modes: list[str] = field(default_factory=list)
    nodes_values: list[float] = field(default_factory=list)
    nodes_truenodeids: list[int] = field(default_factory=list)
    nodes_falsenodeids: list[int] = field(default_factory=list)
    nodes_missing_value_tracks_true: list[int] = field(default_factory=list)
    target_treeids: list[int] = field(default_factory=list)
    target_nodeids: list[int] = field(default_factory=list)
    target_weights: list[float] = field(default_factory=list)

    def add_tree(self, tree_id: int, tree: Tree, features: Int64s) -> None:
        """Add a tree; `features[i]` is the model's column that the tree knows as column i."""
        depths = _compute_depths(tree)
        thresholds = round_down_to_float32(tree.threshold)
        for node in range(tree.node_count):
            is_leaf = tree.children_left[node] == -1
            self.nodes_treeids.append(tree_id)
            self.nodes_nodeids.append(node)
            self.nodes_modes.append("LEAF" if is_leaf else "BRANCH_LEQ")
            self.nodes_featureids.append(0 if is_leaf else int(features[tree.feature[node]]))
            self.nodes_values.append(0.0 if is_leaf else float(thresholds[node]))
            self.nodes_truenodeids.append(0 if is_leaf else int(tree.children_left[node]))
            self.nodes_falsenodeids.append(0 if is_leaf else int(tree.children_right[node]))
            self.nodes_missing_value_tracks_true.append(0 if is_leaf else int(tree.missing_go_to_left[node]))
            if is_leaf:
                self.target_treeids.append(tree_id)
                self.target_nodeids.append(node)
                self.target_weights.append(depths[node] + expected_path_length(int(tree.n_node_samples[node])))


def _compute_depths(tree: Tree) -> list[int]:
    depths = [0] * tree.node_count
    for node in range(tree.node_count):  # children come after their parent
        for child in (tree.children_left[node], tree.children_right[node]):
            if child != -1:
                depths[child] = depths[node] + 1
    return depths


def _set_output_types(operator: Operator) -> None:
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = Int64TensorType([rows])
    operator.outputs[1].type = FloatTensorType([rows])


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    forest: IsolationForest = operator.raw_operator
    ensemble = _Ensemble()
    for tree_id, (tree, features) in enumerate(zip(forest.estimators_, forest.estimators_features_, strict=True)):
        ensemble.add_tree(tree_id, tree.tree_, features)
    scale = len(forest.estimators_) * expected_path_length(forest._max_samples)
    # the names are part of the model's bytes
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
