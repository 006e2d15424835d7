"""Models of XGBoost, LightGBM, CatBoost and skl2onnx as users bring them: released with the libraries' own answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.base import clone
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.estimators import final_estimator
from support.brought import answer, export_brought
from support.brought_tables import make_data, make_features, make_labels, make_regression_data

MODELS = Path(__file__).parents[2] / "support" / "brought_models"
ANSWERS: dict[str, dict[str, list[Any]]] = json.loads((MODELS / "answers.json").read_text())


def make_table(name: str) -> Dataset:
    """Return the table that a model of the folder was trained on."""
    kind = name.partition("_")[2]
    if kind == "number":
        return make_regression_data()
    names: dict[str, tuple[object, ...]] = {"three": (0, 1, 2), "text": ("bad", "good"), "one_two": (1, 2)}
    return make_data(names.get(kind, (0, 1)), missing=kind == "missing")


@pytest.mark.parametrize("name", ANSWERS)
def test_a_model_of_another_library_answers_as_in_that_library(name: str, tmp_path: Path) -> None:
    data = make_table(name)
    answers = answer(export_brought(MODELS / f"{name}.onnx", data, tmp_path), data, rows=30)
    assert list(answers) == list(ANSWERS[name])
    for output, values in ANSWERS[name].items():
        if output == "label":
            assert answers[output].tolist() == values
        else:
            np.testing.assert_allclose(answers[output], values, atol=2e-6)


@pytest.mark.parametrize("name", ["xgboost_two", "lightgbm_two", "catboost_two"])
def test_labels_from_0_with_data_of_other_labels_need_a_mapping_that_the_error_proposes(
    name: str, tmp_path: Path
) -> None:
    data = make_data(("ok", "worn"))
    with pytest.raises(KfpEdgeError, match=r'state which .* model_classes, such as \{"0": "ok", "1": "worn"\}, with'):
        export_brought(MODELS / f"{name}.onnx", data, tmp_path)
    model = export_brought(MODELS / f"{name}.onnx", data, tmp_path, classes={"0": "ok", "1": "worn"})
    answers = answer(model, data, rows=30)
    assert answers["label"].tolist() == [("ok", "worn")[label] for label in ANSWERS[name]["label"]]
    np.testing.assert_allclose(answers["probabilities"], ANSWERS[name]["probabilities"], atol=2e-6)
    assert model.signature.outputs[1].classes == ("ok", "worn")


ESTIMATORS = [
    make_pipeline(StandardScaler(), LogisticRegression()),
    RandomForestClassifier(5, random_state=0),
    HistGradientBoostingClassifier(max_iter=5, random_state=0),
    GradientBoostingClassifier(n_estimators=5, random_state=0),
    make_pipeline(StandardScaler(), SVC(probability=True, random_state=0)),
    make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=20, random_state=0)),
    make_pipeline(StandardScaler(), KNeighborsClassifier(5)),
    GaussianNB(),
    DecisionTreeClassifier(max_depth=3, random_state=0),
]


@pytest.mark.parametrize("zipmap", [True, False, "columns"])
@pytest.mark.parametrize("names", [(0, 1), ("bad", "fair", "good")], ids=["two", "three texts"])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(final_estimator(each)).__name__)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::FutureWarning")
def test_a_classifier_of_skl2onnx_answers_as_scikit_learn(
    estimator: Any, names: tuple[object, ...], zipmap: object, tmp_path: Path
) -> None:
    data, features = make_data(names), make_features()
    fitted = clone(estimator).fit(features, make_labels(names).tolist())
    proto = to_onnx(fitted, features[:1], options={id(fitted): {"zipmap": zipmap}}, target_opset=18)
    model = export_brought(proto, data, tmp_path)
    answers = answer(model, data)
    assert model.signature.outputs[1].classes == tuple(map(str, names))
    np.testing.assert_allclose(answers["probabilities"], fitted.predict_proba(features), atol=1e-4)
    is_decided = np.sort(fitted.predict_proba(features))[:, -1] > np.sort(fitted.predict_proba(features))[:, -2] + 1e-4
    assert answers["label"][is_decided].tolist() == fitted.predict(features)[is_decided].tolist()


def test_a_classifier_in_double_precision_whose_zip_map_no_runtime_takes_is_released(tmp_path: Path) -> None:
    data, features = make_data(), make_features().astype(np.float64)
    fitted = LogisticRegression(solver="newton-cholesky").fit(features, make_labels().astype(int))
    answers = answer(export_brought(to_onnx(fitted, features[:1]), data, tmp_path), data)
    assert answers["probabilities"].dtype == np.float64
    np.testing.assert_allclose(answers["probabilities"], fitted.predict_proba(features), atol=1e-12)


@pytest.mark.parametrize("estimator", [Ridge(), RandomForestRegressor(5, random_state=0)])
def test_a_regressor_of_skl2onnx_answers_as_scikit_learn(estimator: Any, tmp_path: Path) -> None:
    data, features = make_regression_data(), make_features()
    fitted = estimator.fit(features, data.target_values())
    answers = answer(export_brought(to_onnx(fitted, features[:1]), data, tmp_path), data)
    assert answers["prediction"].shape == (400,)
    np.testing.assert_allclose(answers["prediction"], fitted.predict(features), rtol=1e-5)


@pytest.mark.parametrize("estimator", [Ridge(), RandomForestRegressor(5, random_state=0)])
def test_a_regressor_is_no_classifier(estimator: Any, tmp_path: Path) -> None:
    features = make_features()
    fitted = estimator.fit(features, features @ [1, 0, 0] - 50)
    with pytest.raises(KfpEdgeError, match=r"predicts a number \(.*Regressor, such as .* with task=regression"):
        export_brought(to_onnx(fitted, features[:1]), make_data(), tmp_path)


def test_a_classifier_is_no_regressor(tmp_path: Path) -> None:
    features = make_features()
    fitted = DecisionTreeClassifier(max_depth=3).fit(features, make_labels().astype(int))
    with pytest.raises(KfpEdgeError, match=r"one number for each row is needed; deliver a classifier with task=class"):
        export_brought(to_onnx(fitted, features[:1]), make_regression_data(), tmp_path)


def test_a_regressor_of_two_targets_is_refused_with_its_outputs(tmp_path: Path) -> None:
    data, features = make_regression_data(), make_features()
    fitted = Ridge().fit(features, np.column_stack([data.target_values(), data.target_values()]))
    with pytest.raises(KfpEdgeError, match=r"outputs variable \[rows, 2\], and one number .* is needed; give a model"):
        export_brought(to_onnx(fitted, features[:1]), data, tmp_path)


def test_a_regressor_on_another_scale_is_refused(tmp_path: Path) -> None:
    data, features = make_regression_data(), make_features()
    fitted = RandomForestRegressor(5, random_state=0).fit(features, data.target_values() / 100)
    with pytest.raises(KfpEdgeError, match="on another scale .*undo the scaling of the target"):
        export_brought(to_onnx(fitted, features[:1]), data, tmp_path)


def test_a_regressor_whose_numbers_vary_much_less_than_the_target_is_on_another_scale(tmp_path: Path) -> None:
    data, features = make_regression_data(), make_features()
    target = data.target_values()
    fitted = RandomForestRegressor(5, random_state=0).fit(features, target.mean() + 0.1 * (target - target.mean()))
    with pytest.raises(KfpEdgeError, match="on another scale"):
        export_brought(to_onnx(fitted, features[:1]), data, tmp_path)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_support_vector_classifier_without_probabilities_is_refused(tmp_path: Path) -> None:
    features = make_features()
    fitted = make_pipeline(StandardScaler(), SVC()).fit(features, make_labels().astype(int))
    with pytest.raises(KfpEdgeError, match="a label and numbers that are no probabilities.*CalibratedClassifierCV"):
        export_brought(to_onnx(fitted, features[:1]), make_data(), tmp_path)
