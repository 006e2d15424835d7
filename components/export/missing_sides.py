"""The side to which each branch of a decision tree sends a missing value; skl2onnx does not write it for all trees."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import onnx
from sklearn.base import BaseEstimator
from sklearn.tree._tree import Tree

from kfp_edge.components.export.float32_thresholds import round_down_to_float32
from kfp_edge.ml.arrays import Float32s, Mask
from kfp_edge.ml.estimators import iterate_parts


def copy_missing_sides(estimator: BaseEstimator, proto: onnx.ModelProto) -> None:
    """Write into an ONNX model which way each branch of the estimator's decision trees takes a missing value.

    skl2onnx writes it for gradient-boosted trees with histograms only; from all others a missing value goes to the
    right. Trees are found by their features and thresholds; two that differ in nothing but the sides are left alone.
    """
    sides: dict[bytes, list[Mask]] = defaultdict(list)
    for part in iterate_parts(estimator):
        if isinstance(part, Tree):
            is_branch = part.children_left != -1
            thresholds = round_down_to_float32(part.threshold[is_branch])
            goes_left = np.zeros(part.node_count, dtype=bool)
            goes_left[is_branch] = part.missing_go_to_left[is_branch].astype(bool)
            sides[_make_key(part.feature[is_branch], thresholds)].append(goes_left)
    for node in proto.graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            _write_sides(node, sides)


def _write_sides(node: onnx.NodeProto, sides: dict[bytes, list[Mask]]) -> None:
    attributes = {attribute.name: attribute for attribute in node.attribute}
    written = attributes.get("nodes_missing_value_tracks_true")
    if written is None or any(written.ints):  # the converter of this estimator writes them
        return
    features = np.array(attributes["nodes_featureids"].ints, dtype=np.int64)
    thresholds = np.array(attributes["nodes_values"].floats, dtype=np.float32)
    is_branch = np.array([mode != b"LEAF" for mode in attributes["nodes_modes"].strings])
    goes_left = np.zeros(len(features), dtype=bool)
    for tree in _split_by_tree(attributes["nodes_treeids"].ints):
        branches = is_branch[tree]
        known = sides.get(_make_key(features[tree][branches], thresholds[tree][branches]), [])
        if known and all(np.array_equal(known[0], other) for other in known):
            goes_left[tree] = known[0]
    written.ints[:] = goes_left.astype(int).tolist()


def _split_by_tree(tree_ids: object) -> Iterator[slice]:
    ids = np.array(tree_ids, dtype=np.int64)
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
        yield slice(int(start), int(stop))


def _make_key(features: object, thresholds: Float32s) -> bytes:
    return np.asarray(features, dtype=np.int64).tobytes() + b"|" + thresholds.astype(np.float32).tobytes()
