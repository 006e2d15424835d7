"""Exporting: ONNX predicts as scikit-learn does, and the file describes its own inputs and outputs."""

import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skl2onnx import to_onnx
from sklearn.cluster import FeatureAgglomeration, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from kfp_edge.components.export.converters.isolation_forest import expected_path_length
from kfp_edge.components.export.export import TARGET_OPSET, convert, export_model
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.onnx_model import OnnxModel, read_signature
from kfp_edge.ml.skops_model import save_model
from kfp_edge.tasks.brought import BroughtOptions
from kfp_edge.tasks.registry import predict, predict_onnx
from support.tables import SHA, anomalies, failures, mark_training_failures, train_model


def _exported(estimator, data, tmp_path) -> OnnxModel:
    save_model(estimator, tmp_path / "model.skops")
    export_model(tmp_path / "model.skops", data, tmp_path / "model.onnx")
    return OnnxModel.load(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "data",
    [failures(), failures(categorical=False), failures(labels=("ok", "bad")), anomalies()],
    ids=["mixed", "numeric", "words", "anomaly"],
)
def test_onnx_predicts_as_scikit_learn_does(tmp_path, data):
    estimator = train_model(data)
    predicted, expected = predict_onnx(_exported(estimator, data, tmp_path), data.x()), predict(estimator, data)
    assert np.array_equal(predicted.label, expected.label)
    assert np.allclose(predicted.ranking_score, expected.ranking_score, atol=1e-5)


def test_numeric_features_are_one_tensor_in_the_order_of_the_data(tmp_path):
    data = failures(categorical=False)
    signature = _exported(train_model(data), data, tmp_path).signature
    (tensor,) = signature.inputs
    assert (tensor.name, tensor.datatype, tensor.shape) == ("features", "FP32", (-1, 2))
    assert [(column.name, column.units) for column in tensor.columns] == [("heat [K]", "K"), ("torque [Nm]", "Nm")]


def test_with_a_categorical_feature_every_column_is_a_named_input(tmp_path):
    data = failures()
    signature = _exported(train_model(data), data, tmp_path).signature
    kinds = [(tensor.columns[0].name, tensor.datatype, tensor.shape) for tensor in signature.inputs]
    assert kinds == [("heat [K]", "FP32", (-1, 1)), ("torque [Nm]", "FP32", (-1, 1)), ("type", "BYTES", (-1, 1))]
    assert signature.inputs[2].columns[0].categories == ("A", "B")


def test_the_signature_names_classes_and_threshold(tmp_path):
    data = anomalies()
    estimator = train_model(data)
    label, score = _exported(estimator, data, tmp_path).signature.outputs
    assert (label.name, label.datatype, score.name) == ("label", "INT64", "score")
    assert score.threshold == pytest.approx(-estimator[-1].offset_)


def test_an_isolation_forest_is_one_tree_ensemble(tmp_path):
    data = anomalies()
    model = _exported(train_model(data), data, tmp_path)
    kinds = [node.op_type for node in model.proto.graph.node]
    assert kinds.count("TreeEnsembleRegressor") == 1
    assert len(kinds) < 12


def test_path_lengths_follow_the_paper():
    assert [expected_path_length(n) for n in (0, 1, 2)] == [0, 0, 1]
    assert expected_path_length(256) == pytest.approx(10.244770920, abs=1e-8)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-3, 1.0, 1e4]))
def test_any_detector_scores_any_rows_as_scikit_learn_does(seed, scale):
    data = anomalies(500, seed)
    rows = pd.DataFrame(np.random.default_rng(seed).normal(0, scale, (200, 2)), columns=list(data.roles.features))
    estimator = IsolationForest(n_estimators=20, random_state=seed).fit(data.x())
    proto = convert(estimator, data)
    model = OnnxModel(proto, read_signature(proto))
    expected = -estimator.score_samples(rows.astype(np.float32).astype(float))
    assert np.allclose(predict_onnx(model, rows).ranking_score, expected, atol=1e-5)


def test_missing_numbers_are_predicted_as_scikit_learn_does(tmp_path):
    data = failures(categorical=False)
    frame = data.frame.copy()
    frame.loc[::7, "heat [K]"] = np.nan
    data = Dataset(frame, data.roles, SHA)
    estimator = train_model(data)
    assert np.allclose(
        predict_onnx(_exported(estimator, data, tmp_path), data.x()).ranking_score,
        predict(estimator, data).ranking_score,
        atol=1e-5,
    )


def test_a_missing_category_is_a_category_of_its_own(tmp_path):
    data = failures()
    frame = data.frame.copy()
    frame.loc[::7, "type"] = None
    data = Dataset(frame, data.roles, SHA)
    estimator = train_model(data)
    model = _exported(estimator, data, tmp_path)
    assert model.signature.inputs[2].columns[0].categories == ("", "A", "B")
    assert np.allclose(predict_onnx(model, data.x()).ranking_score, predict(estimator, data).ranking_score, atol=1e-5)


def test_a_pipeline_that_selects_columns_by_name_is_exported(tmp_path):
    data = failures(categorical=False)
    prepare = ColumnTransformer([("scale", StandardScaler(), ["torque [Nm]"]), ("fill", SimpleImputer(), ["heat [K]"])])
    estimator = make_pipeline(prepare, LogisticRegression()).fit(data.x(), data.y())
    predicted = predict_onnx(_exported(estimator, data, tmp_path), data.x())
    assert np.allclose(predicted.probabilities, estimator.predict_proba(data.x()), atol=1e-5)


def test_the_same_model_gives_the_same_file(tmp_path):
    data = anomalies()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        _exported(train_model(data), data, tmp_path / name)
    first, second = ((tmp_path / name / "model.onnx").read_bytes() for name in ("first", "second"))
    assert first == second


def test_an_onnx_model_with_a_signature_is_unchanged(tmp_path):
    data = failures()
    _exported(train_model(data), data, tmp_path)
    export_model(tmp_path / "model.onnx", data, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("model.skops", BroughtOptions(outputs=("score",))),
        ("model.skops", BroughtOptions(threshold=0.5)),
        ("model.onnx", BroughtOptions(classes={"0": 0, "1": 1})),
    ],
)
def test_what_is_stated_about_a_model_that_says_it_itself_is_refused(name, options, tmp_path):
    data = failures()
    _exported(train_model(data), data, tmp_path)
    with pytest.raises(KfpEdgeError, match="model_outputs and model_threshold are not used for .* leave them empty"):
        export_model(tmp_path / name, data, tmp_path / "again.onnx", options)


def test_an_onnx_model_without_a_signature_gets_one(tmp_path):
    data = failures(categorical=False)
    foreign = convert(RandomForestClassifier(5, random_state=0).fit(data.x().to_numpy(), data.y()), data)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    export_model(tmp_path / "foreign.onnx", data, tmp_path / "model.onnx")
    signature = OnnxModel.load(tmp_path / "model.onnx").signature
    assert [column.name for column in signature.inputs[0].columns] == ["heat [K]", "torque [Nm]"]
    assert signature.outputs[1].classes == ("0", "1")


def test_an_onnx_model_without_probabilities_is_refused(tmp_path):
    data = failures(categorical=False)
    foreign = convert(RandomForestClassifier(5, random_state=0).fit(data.x().to_numpy(), data.y()), data)
    del foreign.metadata_props[:]
    del foreign.graph.output[1:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(KfpEdgeError, match="labels only .*export it with probabilities"):
        export_model(tmp_path / "foreign.onnx", data, tmp_path / "model.onnx")


def test_an_onnx_model_for_other_data_is_refused(tmp_path):
    data = failures(categorical=False)
    foreign = convert(RandomForestClassifier(5, random_state=0).fit(data.x().to_numpy(), data.y()), data)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(KfpEdgeError, match="the ONNX model takes features .* the data has 3 features"):
        export_model(tmp_path / "foreign.onnx", failures(), tmp_path / "model.onnx")


@pytest.mark.parametrize("model", [LinearSVC(), KMeans(2, n_init=1)])
def test_a_model_without_probabilities_is_refused(model):
    data = failures(300, categorical=False)
    with pytest.raises(KfpEdgeError, match=f"{type(model).__name__} gives neither probabilities nor an anomaly score"):
        convert(model.fit(data.x(), data.y()), data)


@pytest.mark.parametrize(
    "model", [make_pipeline(SimpleImputer(), LinearRegression()), RandomForestClassifier(5)], ids=["number", "class"]
)
def test_a_model_of_two_targets_is_refused_with_their_number(model):
    data = failures(300, categorical=False)
    model.fit(data.x(), np.column_stack([data.y(), data.y()]))
    with pytest.raises(KfpEdgeError, match="predicts 2 targets at once, and a release has one; train a model for each"):
        convert(model, data)


def test_a_model_without_a_converter_is_refused_with_its_name():
    data = failures(300, categorical=False)
    model = make_pipeline(FeatureAgglomeration(2), LogisticRegression()).fit(data.x(), data.y())
    with pytest.raises(KfpEdgeError, match="there is no converter for FeatureAgglomeration; use another estimator"):
        convert(model, data)


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        (DummyClassifier(), "use one that learns from them, such as LogisticRegression"),
        (make_pipeline(KBinsDiscretizer(2), LogisticRegression()), "use encode='onehot-dense'"),
    ],
    ids=["dummy", "bins"],
)
def test_what_onnx_cannot_express_is_refused_with_what_to_use(tmp_path, model, remedy):
    data = failures(300, categorical=False)
    save_model(model.fit(data.x(), data.y()), tmp_path / "model.skops")
    with pytest.raises(KfpEdgeError, match=remedy):
        export_model(tmp_path / "model.skops", data, tmp_path / "model.onnx")


def test_a_model_of_other_columns_is_refused_with_their_names():
    data = failures(categorical=False)
    other = data.x().rename(columns={"heat [K]": "humidity"})
    with pytest.raises(KfpEdgeError, match=r"trained on other columns.*heat \[K\], humidity"):
        convert(LogisticRegression().fit(other, data.y()), data)


@pytest.fixture(scope="module")
def onnx_bytes():
    data = failures(100, categorical=False)
    return convert(LogisticRegression().fit(data.x(), data.y()), data).SerializeToString()


@given(cut=st.floats(min_value=0, max_value=0.99))
@settings(deadline=None)
def test_a_truncated_onnx_file_is_refused(onnx_bytes, tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "model.onnx"
    path.write_bytes(onnx_bytes[: int(len(onnx_bytes) * cut)])
    with pytest.raises(KfpEdgeError, match="no (valid )?ONNX file|carries no signature"):
        OnnxModel.load(path)


def test_roles_decide_which_inputs_are_text():
    frame = pd.DataFrame({"a": [1.0, 2.0] * 20, "b": ["x", "y"] * 20, "t": [0, 1] * 20})
    data = Dataset(frame, Roles("classification", "t", ("a",), ("b",)), SHA)
    proto = convert(train_model(data), data)
    assert [value.type.tensor_type.elem_type for value in proto.graph.input] == [1, 8]


def test_the_last_version_of_an_operator_set_that_is_listed_twice_stays(tmp_path):
    data = failures(categorical=False)
    proto = convert(DecisionTreeClassifier(max_depth=2).fit(data.x(), data.y()), data)
    listed = {entry.domain: entry.version for entry in proto.opset_import}
    proto.opset_import.insert(0, onnx.helper.make_opsetid("", listed[""] + 1))
    proto.opset_import.insert(0, onnx.helper.make_opsetid("ai.onnx.ml", 2))
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "brought.onnx")
    export_model(tmp_path / "brought.onnx", data, tmp_path / "model.onnx")
    exported = onnx.load(tmp_path / "model.onnx").opset_import
    assert sorted((entry.domain, entry.version) for entry in exported) == sorted(listed.items())


def test_columns_of_zeros_and_ones_are_boolean_and_texts_without_missing_values_required(tmp_path):
    data = failures()
    data.frame["heat [K]"] = (data.frame["heat [K]"] > 300).astype(float).mask(data.frame.index % 7 == 0)
    signature = _exported(train_model(data), data, tmp_path).signature
    columns = {column.name: column for tensor in signature.inputs for column in tensor.columns}
    assert {name: column.boolean for name, column in columns.items()} == {
        "heat [K]": True,
        "torque [Nm]": False,
        "type": False,
    }
    assert columns["type"].required


def test_failures_among_the_training_rows_of_a_detector_are_no_part_of_its_ranges(tmp_path):
    data = mark_training_failures()
    (tensor,) = _exported(train_model(data), data, tmp_path).signature.inputs
    assert all(column.range is not None and column.range[1] <= 1 for column in tensor.columns)


def test_what_a_notebook_converts_itself_does_not_depend_on_an_export_before() -> None:
    data = anomalies()
    rows = data.x().to_numpy(np.float32)
    models = [make_pipeline(StandardScaler(), IsolationForest(n_estimators=5, random_state=0)).fit(rows)]
    models.append(make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, data.y()))

    def convert_as_users_do() -> list[bytes]:
        return [to_onnx(model, rows[:1], target_opset=TARGET_OPSET).SerializeToString() for model in models]

    before = convert_as_users_do()
    convert(train_model(data), data)
    assert convert_as_users_do() == before


def test_an_estimator_that_needs_operators_of_one_runtime_only_is_refused():
    data = failures(60, categorical=False)
    model = make_pipeline(StandardScaler(), GaussianProcessClassifier()).fit(data.x(), data.y())
    with pytest.raises(KfpEdgeError, match="it has no operator Solve; use another estimator"):
        convert(model, data)
