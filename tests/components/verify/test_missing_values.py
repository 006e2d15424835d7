"""Missing values: the bundle answers them as the original does, or says that the column may not be missing."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kfp_edge.components.export.export import export_model
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.bundle import Bundle, Column
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import read_signature
from kfp_edge.ml.skops_model import load_model, save_model
from kfp_edge.tasks.registry import predict
from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.errors import RequestError
from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions
from support.models import verify_model, write_model
from support.tables import anomalies, failures

#: Instead of the default gates: these models need not find anything.
NO_GATES = {"balanced_accuracy": 0, "recall": 0, "roc_auc": 0}
NO_ANOMALY_GATES = {"event_recall": 0, "recall": 0, "roc_auc": 0, "false_alarm_rate": "<=1"}


def _remove(data: Dataset, share: float, names: tuple[str, ...], seed: int = 0) -> Dataset:
    """Return the rows with a share of the cells of some columns missing."""
    rng, frame = np.random.default_rng(seed), data.frame.copy()
    for name in names:
        frame.loc[rng.random(len(frame)) < share, name] = None if frame[name].dtype == object else np.nan
    return dataclasses.replace(data, frame=frame)


def _bundle_of(estimator: BaseEstimator, folder: Path, train: Dataset, test: Dataset, **requirements: Any) -> Bundle:
    save_model(estimator.fit(train.x(), train.y()), folder / "model.skops")
    export_model(folder / "model.skops", train, folder / "model.onnx")
    return verify_model(folder, train, test, **requirements)


def _columns(bundle: Bundle) -> dict[str, Column]:
    return {column.name: column for tensor in bundle.signature.inputs for column in tensor.columns}


def _ask(bundle: Bundle, rows: Dataset) -> list[int]:
    """Return the labels of the server for rows of named columns, null where a value is missing."""
    model = Model(load_bundle(bundle.folder, check_name=False), ModelOptions())
    frame = rows.frame[list(rows.roles.features)].astype(object)
    body = {"rows": frame.where(frame.notna(), None).to_dict(orient="records")}
    labels: list[int] = json.loads(json_codec.infer(model, json.dumps(body).encode()).body)["outputs"][0]["data"]
    return labels


@pytest.mark.parametrize(("make", "gates"), [(failures, NO_GATES), (anomalies, NO_ANOMALY_GATES)])
@pytest.mark.parametrize(("in_training", "held_out"), [(0.05, 0.05), (0.3, 0), (0.3, 1.0), (0, 0.3), (0, 1.0)])
def test_tables_with_missing_cells_give_a_bundle_whose_server_answers_as_scikit_learn(
    tmp_path, make, gates, in_training, held_out
):
    roles = make().roles
    # a category that is missing in held-out rows only is refused, which another test has
    names = roles.features[1:] if in_training else roles.numeric[1:]
    train, test = _remove(make(), in_training, names), _remove(make(seed=1), held_out, names, seed=1)
    bundle = verify_model(write_model(tmp_path, train), train, test, gates=gates)
    assert _ask(bundle, test) == predict(load_model(tmp_path / "model.skops"), test).label.tolist()


def test_the_report_and_the_card_state_missing_values(tmp_path):
    train, test = failures(), _remove(failures(seed=1), 1.0, ("heat [K]",))
    verify_model(write_model(tmp_path, train), train, test, gates=NO_GATES)
    assert ">missing</td>" in (tmp_path / "report.html").read_text()
    assert "may be missing" in (tmp_path / "bundle" / "model_card.md").read_text()


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(random_state=0),
        RandomForestClassifier(21, random_state=0),
        make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
    ],
    ids=["boosting", "forest", "imputer"],
)
def test_a_column_that_may_be_missing_only_at_the_edge_is_answered_as_scikit_learn_does(tmp_path, estimator):
    train, test = failures(categorical=False), failures(seed=1, categorical=False)
    bundle = _bundle_of(estimator, tmp_path, train, test, may_be_missing=["heat [K]", "torque [Nm]"])
    assert not any(column.required for column in _columns(bundle).values())
    edge = _remove(test, 0.3, ("torque [Nm]",))
    assert _ask(bundle, edge) == predict(estimator, edge).label.tolist()


def test_a_column_that_the_data_never_lacks_is_required(tmp_path):
    """The model answers as scikit-learn does, which is no reason to answer: it has learned nothing about it."""
    train, test = failures(categorical=False), failures(seed=1, categorical=False)
    bundle = _bundle_of(HistGradientBoostingClassifier(random_state=0), tmp_path, train, test)
    assert all(column.required for column in _columns(bundle).values())
    with pytest.raises(RequestError, match=r"^row 0 lacks the column 'torque \[Nm\]', which cannot be missing\.$"):
        _ask(bundle, _remove(test, 1.0, ("torque [Nm]",)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torqe [Nm]", r"'torqe \[Nm\]', which the model does not have; did you mean torque \[Nm\]\?"),
        ("type", "'type', which has no value that means missing"),
    ],
)
def test_may_be_missing_names_columns_that_can_be(tmp_path, name, message):
    write_model(tmp_path, failures())
    with pytest.raises(KfpEdgeError, match=f"may_be_missing names the column {message}"):
        verify_model(tmp_path, failures(), failures(seed=1), may_be_missing=[name])


def test_a_column_that_the_original_cannot_miss_is_refused_by_the_server(tmp_path):
    train, test = failures(categorical=False), failures(seed=1, categorical=False)
    estimator, names = make_pipeline(StandardScaler(), LogisticRegression()), ["heat [K]", "torque [Nm]"]
    bundle = _bundle_of(estimator, tmp_path, train, test, may_be_missing=names)
    assert [column.required for column in _columns(bundle).values()] == [True, True]
    with pytest.raises(RequestError, match=r"^row 0 lacks the column 'torque \[Nm\]', which cannot be missing\.$"):
        _ask(bundle, _remove(test, 1.0, ("torque [Nm]",)))


def test_a_column_that_the_export_answers_otherwise_is_refused_by_the_server(tmp_path, monkeypatch):
    train, test = failures(categorical=False), failures(seed=1, categorical=False)
    # as skl2onnx does it: every missing value goes to the right
    monkeypatch.setattr("kfp_edge.components.export.export.copy_missing_sides", lambda *_: None)
    names = ["heat [K]", "torque [Nm]"]
    bundle = _bundle_of(RandomForestClassifier(21, random_state=0), tmp_path, train, test, may_be_missing=names)
    required = [column.name for column in _columns(bundle).values() if column.required]
    assert required
    with pytest.raises(RequestError, match="cannot be missing"):
        _ask(bundle, _remove(test, 1.0, (required[0],)))


def test_held_out_rows_that_the_original_cannot_predict_are_one_sentence(tmp_path):
    train = failures(categorical=False)
    test = _remove(failures(seed=1, categorical=False), 0.1, ("torque [Nm]",))
    message = r"cannot predict the held-out rows: .*NaN.*columns with missing values: torque \[Nm\]; fit a Pipeline"
    with pytest.raises(KfpEdgeError, match=message) as error:
        _bundle_of(make_pipeline(StandardScaler(), LogisticRegression()), tmp_path, train, test)
    assert "\n" not in str(error.value)


def test_without_an_original_only_what_was_missing_in_training_may_be_missing(tmp_path):
    train = _remove(failures(), 0.1, ("torque [Nm]",))
    write_model(tmp_path, train)
    (tmp_path / "model.skops").write_bytes((tmp_path / "model.onnx").read_bytes())
    columns = _columns(verify_model(tmp_path, train, failures(seed=1)))
    assert {name: column.required for name, column in columns.items()} == {
        "heat [K]": True,
        "torque [Nm]": False,
        "type": True,
    }


def test_the_signature_in_the_model_is_that_of_the_bundle(tmp_path):
    train, test = failures(categorical=False), failures(seed=1, categorical=False)
    bundle = _bundle_of(make_pipeline(StandardScaler(), LogisticRegression()), tmp_path, train, test)
    assert read_signature(onnx.load(bundle.model)) == bundle.signature
