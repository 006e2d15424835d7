"""The answer of a random forest, exactly as scikit-learn finds it, also where its trees are divided.

skl2onnx weights every tree by one over their number, which float32 cannot hold, and takes the label from the sum: with
ten of twenty votes for each class, rounding decides. Here the votes are summed as they are, and scaled afterwards.
"""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor

from kfp_edge.ml.arrays import Float64s, Int64s


def sum_votes_exactly(estimator: BaseEstimator, proto: onnx.ModelProto) -> None:
    """Replace the tree ensemble in the ONNX model of a forest; a model of another estimator stays as it is."""
    nodes = list(proto.graph.node)
    positions = [index for index, node in enumerate(nodes) if node.op_type == "TreeEnsembleClassifier"]
    if not isinstance(estimator, RandomForestClassifier | ExtraTreesClassifier) or len(positions) != 1:
        return
    ensemble = nodes[positions[0]]
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in ensemble.attribute}
    classes = attributes.get("classlabels_int64s") or [name.decode() for name in attributes["classlabels_strings"]]
    constants = {
        f"{ensemble.name}_classes": np.array(classes, dtype=object if isinstance(classes[0], str) else np.int64),
        f"{ensemble.name}_trees": np.array([len(estimator.estimators_)], dtype=np.float32),
    }
    class_names, trees = constants
    proto.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    votes, winner = f"{ensemble.name}_votes", f"{ensemble.name}_winner"
    label, probabilities = ensemble.output
    structure = {name: value for name, value in attributes.items() if name.startswith("nodes_")}
    regressor = helper.make_node(
        "TreeEnsembleRegressor", list(ensemble.input), [votes], name=ensemble.name, domain="ai.onnx.ml"
    )
    for name, value in (structure | _list_leaves(estimator, _to_shares) | {"n_targets": len(classes)}).items():
        regressor.attribute.append(helper.make_attribute(name, value))
    replacement = [
        regressor,
        helper.make_node("ArgMax", [votes], [winner], name=winner, axis=1, keepdims=0),
        helper.make_node("Gather", [class_names, winner], [label], name=f"{ensemble.name}_label"),
        helper.make_node("Div", [votes, trees], [probabilities], name=f"{ensemble.name}_probabilities"),
    ]
    del proto.graph.node[:]
    proto.graph.node.extend([*nodes[: positions[0]], *replacement, *nodes[positions[0] + 1 :]])


def center_leaves(estimator: BaseEstimator, proto: onnx.ModelProto) -> None:
    """Let the trees of a forest that predicts a number hold differences from the mean of the target.

    skl2onnx adds up the numbers of all trees in float32: of a target around 1,000,000 that loses half a unit. A model
    of another estimator stays as it is.
    """
    nodes = [node for node in proto.graph.node if node.op_type == "TreeEnsembleRegressor"]
    if not isinstance(estimator, RandomForestRegressor | ExtraTreesRegressor) or len(nodes) != 1:
        return
    trees = len(estimator.estimators_)
    mean = np.float32(np.mean([tree.tree_.value[0, 0, 0] for tree in estimator.estimators_]))
    replaced = _list_leaves(estimator, lambda values: (values - float(mean)) / trees) | {"base_values": [float(mean)]}
    kept = [attribute for attribute in nodes[0].attribute if attribute.name not in replaced]
    del nodes[0].attribute[:]
    nodes[0].attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in replaced.items())])


def _to_shares(votes: Float64s) -> Float64s:
    """Return the share of every class, shape [leaves, classes], of the votes in the leaves of a tree."""
    shares: Float64s = votes / votes.sum(axis=1, keepdims=True)
    return shares


def _list_leaves(
    forest: BaseEstimator, to_weights: Callable[[Float64s], Float64s]
) -> dict[str, list[int] | list[float]]:
    """Return the attributes of an ensemble for what is in every leaf.

    Args:
        forest: The fitted forest.
        to_weights: Computes what a leaf adds to each output, shape [leaves, outputs], of its values.
    """
    tree_ids, node_ids, class_ids, weights = [], [], [], []
    for number, estimator in enumerate(forest.estimators_):
        leaves: Int64s = np.flatnonzero(estimator.tree_.children_left == -1)
        added = to_weights(estimator.tree_.value[leaves, 0, :])
        width = added.shape[1]
        tree_ids += [number] * added.size
        node_ids += np.repeat(leaves, width).tolist()
        class_ids += list(range(width)) * len(leaves)
        weights += added.ravel().tolist()
    return {
        "target_treeids": tree_ids,
        "target_nodeids": node_ids,
        "target_ids": class_ids,
        "target_weights": weights,
    }
