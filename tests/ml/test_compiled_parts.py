"""Models whose compiled code would read or write outside of its arrays are refused before they predict."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from kfp_edge.errors import KfpEdgeError, ModelError
from kfp_edge.ml.skops_model import load_model, save_model
from support.skops_files import set_attribute

ROWS = np.random.default_rng(0).normal(size=(80, 2))
LABELS = (ROWS[:, 0] > 0).astype(int) + (ROWS[:, 1] > 1)


def _assert_refused(tmp_path, model, kind: str) -> None:
    path = tmp_path / "model.skops"
    save_model(model, path)
    with pytest.raises(KfpEdgeError, match=f"was altered: a {kind} in it points outside itself; save it again"):
        load_model(path)


def _alter_tree(tree: Tree, n_features: int = 2, **fields: tuple[int, int]) -> Tree:
    """Return a tree with `field=(node, value)` in its nodes."""
    state = tree.__getstate__()
    nodes = state["nodes"].copy()
    for field, (node, value) in fields.items():
        nodes[field][node] = value
    altered = Tree(n_features, tree.n_classes.astype(np.intp), tree.n_outputs)
    altered.__setstate__({**state, "nodes": nodes})
    return altered


@pytest.mark.parametrize(
    "change",
    [
        {"left_child": (0, 10_000)},
        {"left_child": (0, 0)},  # a path without an end
        {"right_child": (0, -5)},
        {"right_child": (0, -1)},
        {"feature": (0, 2)},
        {"n_features": 3},
    ],
    ids=str,
)
def test_a_tree_that_points_outside_itself_is_refused(tmp_path, change):
    model = DecisionTreeClassifier(max_depth=3).fit(ROWS, LABELS)
    model.tree_ = _alter_tree(model.tree_, **change)
    _assert_refused(tmp_path, model, "DecisionTreeClassifier")


def test_a_tree_that_counts_nodes_beyond_its_own_has_only_those_that_it_has(tmp_path):
    model = DecisionTreeClassifier(max_depth=3).fit(ROWS, LABELS)
    save_model(model, tmp_path / "model.skops")
    set_attribute(tmp_path / "model.skops", "node_count", 1_000_000)
    assert load_model(tmp_path / "model.skops").tree_.node_count == model.tree_.node_count


def test_a_tree_inside_a_calibrated_classifier_is_found(tmp_path):
    model = CalibratedClassifierCV(DecisionTreeClassifier(max_depth=3), cv=2).fit(ROWS, LABELS)
    tree = model.calibrated_classifiers_[1].estimator
    tree.tree_ = _alter_tree(tree.tree_, feature=(0, 9))
    _assert_refused(tmp_path, model, "DecisionTreeClassifier")


def test_a_tree_that_no_estimator_holds_is_refused(tmp_path):
    model = LogisticRegression().fit(ROWS, LABELS)
    model.extra_ = DecisionTreeClassifier().fit(ROWS, LABELS).tree_
    _assert_refused(tmp_path, model, "Tree")


@pytest.mark.parametrize(
    ("field", "value"),
    [("feature_idx", 2), ("left", 10_000), ("right", 0), ("is_categorical", 1), ("feature_idx", -1)],
)
def test_a_tree_of_histogram_boosting_that_points_outside_itself_is_refused(tmp_path, field, value):
    model = HistGradientBoostingClassifier(max_iter=2).fit(ROWS, LABELS)
    predictor = model._predictors[1][0]
    predictor.nodes[field][np.flatnonzero(predictor.nodes["is_leaf"] == 0)[0]] = value
    _assert_refused(tmp_path, model, "HistGradientBoostingClassifier")


def test_histogram_boosting_with_categories_is_refused_with_the_reason(tmp_path):
    rows = np.column_stack([ROWS, np.arange(80) % 5])
    model = HistGradientBoostingClassifier(categorical_features=[2], min_samples_leaf=5).fit(rows, np.arange(80) % 2)
    save_model(model, tmp_path / "model.skops")
    with pytest.raises(KfpEdgeError, match="with categorical_features is not exported, because ONNX compares"):
        load_model(tmp_path / "model.skops")


def test_boosting_with_more_trees_in_a_stage_than_columns_is_refused(tmp_path):
    model = GradientBoostingClassifier(n_estimators=2).fit(ROWS, LABELS > 0)
    model.estimators_ = np.concatenate([model.estimators_] * 3, axis=1)
    _assert_refused(tmp_path, model, "GradientBoostingClassifier")


def test_boosting_whose_first_predictions_are_too_narrow_is_refused(tmp_path):
    model = GradientBoostingClassifier(n_estimators=2).fit(ROWS, LABELS)
    model.init_ = "zero"
    model.n_trees_per_iteration_ = 1
    _assert_refused(tmp_path, model, "GradientBoostingClassifier")


@pytest.mark.filterwarnings("ignore:The `probability` parameter was deprecated")
@pytest.mark.parametrize(
    "change",
    [
        lambda svm: {"_n_support": svm._n_support + 100},
        lambda svm: {"_n_support": svm._n_support[:2]},
        lambda svm: {"_dual_coef_": svm._dual_coef_[:1]},
        lambda svm: {"_dual_coef_": svm._dual_coef_[:, :-1]},
        lambda svm: {"_intercept_": svm._intercept_[:1]},
        lambda svm: {"_probA": svm._probA[:1], "_probB": svm._probB[:1]},
        lambda svm: {"support_": svm.support_ + 100},
        lambda svm: {"support_vectors_": svm.support_vectors_[1:]},
    ],
)
def test_a_support_vector_machine_whose_arrays_do_not_fit_is_refused(tmp_path, change):
    model = make_pipeline(SVC(probability=True, random_state=0)).fit(ROWS, LABELS)
    save_model(model, tmp_path / "model.skops")
    load_model(tmp_path / "model.skops")
    vars(model[-1]).update(change(model[-1]))
    _assert_refused(tmp_path, model, "SVC")


def test_a_support_vector_machine_of_sparse_rows_is_refused_with_the_way_out(tmp_path):
    save_model(make_pipeline(SVC()).fit(csr_matrix(ROWS), LABELS), tmp_path / "model.skops")
    with pytest.raises(ModelError, match="is not taken: a model that was fitted on sparse rows .*; fit it on dense"):
        load_model(tmp_path / "model.skops")


def test_a_detector_by_support_vectors_is_sound(tmp_path):
    model = OneClassSVM().fit(ROWS)
    save_model(model, tmp_path / "model.skops")
    assert np.array_equal(load_model(tmp_path / "model.skops").predict(ROWS), model.predict(ROWS))


def test_encoders_whose_widths_do_not_fit_their_categories_are_refused(tmp_path):
    model = OneHotEncoder().fit([["a"], ["b"], ["c"]])
    model._n_features_outs = [1]
    _assert_refused(tmp_path, model, "OneHotEncoder")


def test_a_vocabulary_that_counts_past_its_end_is_refused(tmp_path):
    model = CountVectorizer().fit(["low pressure", "high pressure"])
    model.vocabulary_ = {word: 10 * number for word, number in model.vocabulary_.items()}
    _assert_refused(tmp_path, model, "CountVectorizer")


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
def test_the_trees_of_nearest_neighbours_are_never_loaded(tmp_path, algorithm):
    save_model(KNeighborsClassifier(algorithm=algorithm).fit(ROWS, LABELS), tmp_path / "model.skops")
    with pytest.raises(KfpEdgeError, match="nearest neighbours are not exported"):
        load_model(tmp_path / "model.skops")
    save_model(NearestNeighbors(algorithm=algorithm).fit(ROWS), tmp_path / "model.skops")
    with pytest.raises(KfpEdgeError, match=r"not trusted: sklearn.metrics._dist_metrics.*Tree"):
        load_model(tmp_path / "model.skops")
