"""An isolation forest as one ONNX tree ensemble.

skl2onnx converts every tree into about twenty nodes; 200 trees take half a minute to convert and milliseconds to run.
The length of a path is a constant of its leaf, so the whole forest is one `TreeEnsembleRegressor` that sums
leaf constants, and the score of Liu, Ting and Zhou (ICDM 2008, eq. 2) is one power of the sum.
"""

from dataclasses import dataclass, field

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.tree._tree import Tree

from kfp_edge.components.export.converters.graph_builder import GraphBuilder
from kfp_edge.components.export.float32_thresholds import round_down_to_float32
from kfp_edge.ml.arrays import Int64s

_EULER = float(np.euler_gamma)


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


def add_forest_score(graph: GraphBuilder, forest: BaseEstimator) -> str:
    """Add the score of an isolation forest to a graph, and return its name."""
    ensemble = _Ensemble()
    for tree_id, (tree, features) in enumerate(zip(forest.estimators_, forest.estimators_features_, strict=True)):
        ensemble.add_tree(tree_id, tree.tree_, features)
    lengths = graph.add_trees(**vars(ensemble), target_ids=[0] * len(ensemble.target_nodeids), n_targets=1)
    scale = len(forest.estimators_) * expected_path_length(forest._max_samples)
    share = graph.add("Mul", lengths, graph.add_constant(np.float32(-1.0 / scale)))
    return graph.add("Pow", graph.add_constant(np.float32(2.0)), share)
