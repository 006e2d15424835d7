"""A released regression: the server answers as scikit-learn does, whatever the units of the target."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from kfp_edge.components.export.export import export_model
from kfp_edge.components.fleet_summary.fleet_summary import write_fleet_summary
from kfp_edge.components.gitops_commit.model_summary import summarize_model
from kfp_edge.components.train.report import write_report
from kfp_edge.components.train.train import fit, measure
from kfp_edge.errors import DataError, ParameterError, RequirementsNotMetError
from kfp_edge.ml.bundle import Bundle
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from kfp_edge.ml.skops_model import load_model, save_model
from kfp_edge.tasks.registry import TASKS, predict
from kfp_edge.tasks.task import TrainingOptions
from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions
from support.models import IDENTITY, verify_model
from support.tables import SHA
from support.wear_tables import split_wear, wear

LEVELS = (0.1, 0.9)


def release(
    folder: Path, train: Dataset, test: Dataset, quantiles: tuple[float, ...] = LEVELS, **requirements
) -> Bundle:
    save_model(fit(train, TrainingOptions(quantiles=quantiles)), folder / "model.skops")
    export_model(folder / "model.skops", train, folder / "model.onnx")
    return verify_model(folder, train, test, **requirements)


def ask(bundle: Bundle, data: Dataset) -> dict[str, np.ndarray]:
    """Return the outputs of the server for rows, as a client with named columns gets them."""
    columns = data.x()
    values = [
        {name: None if row[name] != row[name] else row[name] for name in columns}
        for row in columns.astype(object).to_dict("records")
    ]
    model = Model(load_bundle(bundle.folder, check_name=False), ModelOptions())
    body = json.dumps({"rows": values}).encode()
    outputs = json.loads(json_codec.infer(model, body).body)["outputs"]
    assert all(output["shape"] == [len(values)] for output in outputs)
    return {output["name"]: np.array(output["data"]) for output in outputs}


@pytest.fixture(scope="module")
def parts() -> tuple[Dataset, Dataset]:
    return split_wear(wear())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, parts: tuple[Dataset, Dataset]) -> Bundle:
    return release(tmp_path_factory.mktemp("released"), *parts)


def test_the_server_answers_as_scikit_learn_does(bundle, parts):
    expected = predict(load_model(bundle.folder.parent / "model.skops"), parts[1])
    outputs = ask(bundle, parts[1])
    assert list(outputs) == ["prediction", "quantile_0.1", "quantile_0.9"]
    assert outputs["prediction"] == pytest.approx(expected.value, abs=1e-4)
    assert np.column_stack([outputs["quantile_0.1"], outputs["quantile_0.9"]]) == pytest.approx(
        expected.quantiles, abs=1e-4
    )


def test_quantiles_never_cross_and_hold_about_as_often_as_they_should(bundle, parts):
    outputs = ask(bundle, parts[1])
    assert (outputs["quantile_0.1"] <= outputs["quantile_0.9"]).all()
    assert 0.7 < bundle.manifest.metrics["coverage"] < 0.92


def test_the_signature_says_what_a_client_reads(bundle, parts):
    prediction, low, high = bundle.signature.outputs
    target = parts[0].target_values()
    assert (prediction.name, prediction.datatype, prediction.shape) == ("prediction", "FP32", (-1,))
    assert (prediction.units, prediction.range) == ("mm", (target.min(), target.max()))
    assert [(each.name, each.quantile) for each in (low, high)] == [("quantile_0.1", 0.1), ("quantile_0.9", 0.9)]


def test_recorded_samples_are_spread_over_the_predicted_numbers(bundle, parts):
    recorded = [sample.response["outputs"][0]["data"][0] for sample in bundle.samples.samples]
    predicted = ask(bundle, parts[1])["prediction"]
    assert min(recorded) < np.quantile(predicted, 0.15)
    assert max(recorded) > np.quantile(predicted, 0.85)


def test_a_missing_value_that_training_had_is_answered(bundle, parts):
    columns = {column.name: column for tensor in bundle.signature.inputs for column in tensor.columns}
    assert not columns["heat [K]"].required
    missing = replace(parts[1], frame=parts[1].frame.iloc[:5].assign(**{"heat [K]": np.float32(np.nan)}))
    expected = predict(load_model(bundle.folder.parent / "model.skops"), missing)
    assert ask(bundle, missing)["prediction"] == pytest.approx(expected.value, abs=1e-4)


def test_the_card_and_the_commit_state_the_errors_in_the_units_of_the_target(bundle):
    card = (bundle.folder / "model_card.md").read_text()
    assert "A model for regression, fitted on 480 rows" in card
    assert "| baseline | predicting " in card
    assert "parity of labels" not in card
    assert "- mae: " in summarize_model(bundle.manifest, bundle.signature)


@pytest.mark.parametrize(("offset", "scale"), [(1e5, 1.0), (-1e6, 10.0), (0.0, 1e-6), (1e9, 1e5)])
def test_targets_far_from_zero_or_in_small_units_are_released(tmp_path, offset, scale):
    train, test = split_wear(wear(300, offset=offset, scale=scale))
    released = release(tmp_path, train, test)
    truth, predicted = test.target_values(), ask(released, test)["prediction"]
    assert np.abs(truth - predicted).mean() < 0.4 * truth.std()


def test_a_table_that_scikit_learn_ships_is_released(tmp_path):
    frame = load_diabetes(as_frame=True).frame
    names = tuple(name for name in frame if name != "target")
    preparation = Preparation("random", target_median=float(frame["target"].median()))
    parts = [
        Dataset(frame[mask].reset_index(drop=True), Roles("regression", "target", names, ()), SHA, preparation)
        for mask in (np.arange(len(frame)) % 5 != 0, np.arange(len(frame)) % 5 == 0)
    ]
    metrics = release(tmp_path, *parts).manifest.metrics
    assert metrics["r2"] > 0.3
    assert metrics["coverage"] > 0.7


def test_a_target_that_nothing_explains_is_refused_and_no_bundle_is_written(tmp_path):
    data = wear(300)
    shuffled = np.random.default_rng(0).permutation(data.target_values())
    train, test = split_wear(replace(data, frame=data.frame.assign(**{data.roles.target: shuffled})))
    with pytest.raises(RequirementsNotMetError, match="gate r2 was not met"):
        release(tmp_path, train, test, ())
    assert not (tmp_path / "bundle").exists()


def test_the_same_data_and_seed_give_the_same_bytes(tmp_path, bundle, parts):
    assert release(tmp_path, *parts).digest == bundle.digest


def test_a_champion_is_compared_by_rmse_and_must_have_the_metrics_that_gates_name(tmp_path, bundle, parts):
    released = release(tmp_path, *parts, (), champion=str(bundle.folder))
    assert "champion rmse" in (released.folder / "model_card.md").read_text()
    with pytest.raises(ParameterError, match="has no coverage, which the gates name"):
        release(tmp_path, *parts, champion=str(released.folder), gates={"coverage": 0.5})


def test_a_fleet_is_sorted_by_r2(tmp_path, bundle, parts):
    other = release(tmp_path, *parts, (), identity=replace(IDENTITY, name="press"))
    summary = write_fleet_summary([bundle.folder, other.folder], tmp_path / "fleet.html")
    assert summary["models"] == 2
    assert "worst r2 first" in (tmp_path / "fleet.html").read_text()


@pytest.mark.parametrize("levels", [(0.5,), (0.1, 0.1), (0.0, 0.9), (0.1, 1.5), (10, 90)])
def test_levels_that_are_none_are_refused_before_anything_is_fitted(parts, levels):
    with pytest.raises(ParameterError, match=r"give at least two different shares between 0 and 1"):
        fit(parts[0], TrainingOptions(quantiles=levels))


def test_few_rows_are_refused(parts):
    few = replace(parts[0], frame=parts[0].frame.iloc[:12])
    with pytest.raises(DataError, match="12 training rows are too few to predict a number; give at least 40"):
        fit(few, TrainingOptions())


def test_the_report_shows_residuals_worst_rows_and_importance(tmp_path, parts):
    options = TrainingOptions(quantiles=LEVELS)
    write_report(tmp_path / "train.html", *parts, measure(fit(parts[0], options), parts[1]), options)
    page = (tmp_path / "train.html").read_text()
    for heading in ("Predicted and true values", "Residuals by machine", "Quantiles", "Rows with the largest errors"):
        assert f"<h2>{heading}</h2>" in page
    assert "Rise of the mean absolute error" in page


def test_an_estimator_without_quantiles_is_refused_with_the_one_that_has_them() -> None:
    options = TrainingOptions(estimator="random_forest", quantiles=LEVELS)
    with pytest.raises(ParameterError, match="random_forest predicts no quantiles; give estimator=hist_gradient_boost"):
        TASKS["regression"].check_options(options)
