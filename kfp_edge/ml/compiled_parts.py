"""Checks of the parts of a model whose compiled code follows numbers from the file without checking them.

scikit-learn trusts the numbers of a fitted model. In a file that was altered they could make a prediction read or write
memory out of bounds, or never end.
"""

from collections.abc import Callable, Iterator

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm._base import BaseLibSVM
from sklearn.tree import BaseDecisionTree
from sklearn.tree._tree import Tree

from kfp_edge.ml.arrays import Int64s, Mask
from kfp_edge.ml.estimators import iterate_parts


def find_unsound_part(model: BaseEstimator) -> object | None:
    """Return a part of a model whose numbers point outside of it, None if there is none."""
    parts: list[object] = list(iterate_parts(model))
    owned = {id(tree) for part in parts for tree in _list_owned_trees(part)}
    # nobody says how many features a tree without an estimator may ask for
    stray: list[object] = [tree for tree in parts if isinstance(tree, Tree | TreePredictor) and id(tree) not in owned]
    if stray:
        return stray[0]
    for kind, is_sound in _CHECKS:
        for part in parts:
            if isinstance(part, kind) and not is_sound(part):
                return part
    return None


def _list_owned_trees(part: object) -> list[object]:
    if isinstance(part, BaseDecisionTree):
        return [tree for tree in [vars(part).get("tree_")] if tree is not None]
    if isinstance(part, BaseHistGradientBoosting):
        return list(_iterate_predictors(part))
    return []


def _is_sound_decision_tree(estimator: BaseDecisionTree) -> bool:
    tree = vars(estimator).get("tree_")
    if tree is None:
        return True
    if not isinstance(tree, Tree):
        return False
    # children come after their parent, so that every path ends in a leaf
    numbers = np.arange(tree.node_count)
    is_leaf = (tree.children_left == -1) & (tree.children_right == -1)
    children = [side[~is_leaf] for side in (tree.children_left, tree.children_right)]
    return (
        tree.n_features == estimator.n_features_in_
        and all(_is_within(side, numbers[~is_leaf] + 1, tree.node_count) for side in children)
        and _is_within(tree.feature[~is_leaf], 0, tree.n_features)
    )


def _is_sound_boosting(estimator: GradientBoostingClassifier | GradientBoostingRegressor) -> bool:
    """Return whether the trees of each stage, which add to one column of the output each, have such columns."""
    stages = vars(estimator).get("estimators_")
    if stages is None:
        return True
    is_table = isinstance(stages, np.ndarray) and stages.ndim == 2
    if not is_table or not all(isinstance(tree, BaseDecisionTree) for tree in stages.ravel()):
        return False
    width = len(estimator.classes_) if hasattr(estimator, "classes_") and len(estimator.classes_) > 2 else 1
    features = estimator.n_features_in_
    return (
        stages.size > 0
        and stages.shape[1] == width
        and all(tree.n_features_in_ == features and tree.tree_.n_outputs == 1 for tree in stages.ravel())
        and estimator._raw_predict_init(np.zeros((1, features), dtype=np.float32)).shape == (1, width)
    )


def _is_sound_hist_boosting(estimator: BaseHistGradientBoosting) -> bool:
    features: int = vars(estimator).get("_n_features", 0)
    known = getattr(vars(estimator).get("_bin_mapper"), "is_categorical_", None)
    categorical = np.zeros(features, dtype=bool) if known is None else np.asarray(known, dtype=bool)
    return len(categorical) == features and all(
        isinstance(part, TreePredictor) and _is_sound_predictor(part, categorical)
        for part in _iterate_predictors(estimator)
    )


def _is_sound_predictor(predictor: TreePredictor, categorical: Mask) -> bool:
    nodes = predictor.nodes
    if not len(nodes):
        return False
    numbers = np.flatnonzero(nodes["is_leaf"] == 0)
    branches = nodes[numbers]
    splits = branches[branches["is_categorical"] != 0]
    return (
        all(_is_within(branches[side], numbers + 1, len(nodes)) for side in ("left", "right"))
        and _is_within(branches["feature_idx"], 0, len(categorical))
        and _is_within(splits["bitset_idx"], 0, len(predictor.raw_left_cat_bitsets))
        and bool(np.all(categorical[splits["feature_idx"]]))
    )


def _iterate_predictors(estimator: BaseHistGradientBoosting) -> Iterator[object]:
    for stage in vars(estimator).get("_predictors", []):
        yield from stage


def _is_sound_svm(svm: BaseLibSVM) -> bool:
    """Return whether the arrays of a fitted support vector machine have the lengths that libsvm takes for granted."""
    if "support_vectors_" not in vars(svm):
        return True
    if svm._sparse:
        return False
    vectors, counts, coefficients = len(svm.support_), svm._n_support, svm._dual_coef_
    is_classifier = svm._impl in ("c_svc", "nu_svc")
    classes = len(svm.classes_) if is_classifier else 2
    pairs = classes * (classes - 1) // 2
    return (
        classes >= 2
        and len(counts) == classes
        and bool(np.all(np.asarray(counts) >= 0))
        and (not is_classifier or int(np.sum(counts)) == vectors)
        and coefficients.shape == (classes - 1, vectors)
        and len(svm._intercept_) == pairs
        and all(len(values) in (0, pairs) for values in (svm._probA, svm._probB))
        and len(svm._probB) in (0, len(svm._probA))
        and (svm.kernel == "precomputed" or svm.support_vectors_.shape == (vectors, svm.n_features_in_))
        and _is_within(svm.support_, 0, svm.shape_fit_[0])
    )


def _is_sound_encoder(encoder: OneHotEncoder) -> bool:
    widths = vars(encoder).get("_n_features_outs")
    return widths is None or list(widths) == list(encoder._compute_n_features_outs())


def _is_sound_vectorizer(vectorizer: CountVectorizer) -> bool:
    vocabulary = vars(vectorizer).get("vocabulary_", {})
    return sorted(vocabulary.values()) == list(range(len(vocabulary)))


def _is_within(numbers: Int64s, least: Int64s | int, end: int) -> bool:
    signed = np.asarray(numbers).astype(np.int64)
    return bool(np.all((signed >= least) & (signed < end)))


_CHECKS: tuple[tuple[type | tuple[type, ...], Callable[[object], bool]], ...] = (
    (BaseDecisionTree, _is_sound_decision_tree),
    (BaseHistGradientBoosting, _is_sound_hist_boosting),
    (BaseLibSVM, _is_sound_svm),
    (OneHotEncoder, _is_sound_encoder),
    (CountVectorizer, _is_sound_vectorizer),
    # the last one, because it runs the estimator that its first predictions come from
    ((GradientBoostingClassifier, GradientBoostingRegressor), _is_sound_boosting),
)
