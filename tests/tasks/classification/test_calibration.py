"""Calibrated probabilities agree with the observed shares, are exported exactly, and are those of unweighted rows."""

import dataclasses

import numpy as np
import pytest

from kfp_edge.components.export.export import convert
from kfp_edge.components.train.train import fit, measure
from kfp_edge.errors import ParameterError
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel, read_signature
from kfp_edge.ml.skops_model import load_model, save_model
from kfp_edge.tasks.classification.evaluation import measure_calibration_error
from kfp_edge.tasks.classification.uncalibrated import predict_without_calibration
from kfp_edge.tasks.registry import check_options, predict, predict_onnx
from kfp_edge.tasks.task import TrainingOptions
from support.tables import failures

CALIBRATED = TrainingOptions(calibration="sigmoid")


def noisy(seed: int = 0, rows: int = 1500) -> Dataset:
    """Return rows of which one in ten has the wrong label, so that probabilities are no certainties."""
    data = failures(rows, seed)
    is_wrong = np.random.default_rng(seed).random(rows) < 0.1
    failed = np.where(is_wrong, 1 - data.frame["failed"], data.frame["failed"])
    return dataclasses.replace(data, frame=data.frame.assign(failed=failed))


@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "random_forest", "logistic_regression"])
def test_probabilities_agree_better_with_the_observed_shares(estimator: str) -> None:
    options = TrainingOptions(estimator=estimator)
    plain, calibrated = (
        measure(fit(noisy(), one), noisy(1)).metrics
        for one in (options, dataclasses.replace(options, calibration="sigmoid"))
    )
    assert calibrated["calibration_error"] < plain["calibration_error"]
    assert calibrated["brier_score"] < plain["brier_score"]


@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "random_forest", "logistic_regression", "linear_svm"])
@pytest.mark.parametrize("threshold", [{}, {"recall": 0.5}], ids=["most probable", "threshold"])
def test_a_calibrated_model_is_saved_and_exported_with_the_same_answers(tmp_path, estimator: str, threshold) -> None:
    data = noisy(rows=500)
    heat = data.frame["heat [K]"].where(np.arange(500) % 5 > 0)
    data = dataclasses.replace(data, frame=data.frame.assign(**{"heat [K]": heat}))
    options = TrainingOptions(estimator=estimator, calibration="sigmoid", threshold=threshold)
    save_model(fit(data, options), tmp_path / "model.skops")
    model = load_model(tmp_path / "model.skops")
    proto = convert(model, data)
    exported, expected = predict_onnx(OnnxModel(proto, read_signature(proto)), data.x()), predict(model, data)
    np.testing.assert_allclose(exported.probabilities, expected.probabilities, atol=1e-6)
    is_clear = expected.margin > 1e-6
    np.testing.assert_array_equal(exported.label[is_clear], expected.label[is_clear])


@pytest.mark.parametrize("names", [{0: "ok", 1: "defect"}, {0: 1, 1: 2}], ids=str)
@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "decision_tree", "logistic_regression", "linear_svm"])
def test_probabilities_do_not_depend_on_the_names_of_the_classes(tmp_path, estimator: str, names) -> None:
    data = noisy(rows=300)
    renamed = dataclasses.replace(data, frame=data.frame.assign(failed=data.frame["failed"].map(names)))
    options = TrainingOptions(estimator=estimator, calibration="sigmoid")
    save_model(fit(renamed, options), tmp_path / "model.skops")
    model = load_model(tmp_path / "model.skops")
    answers = predict(model, renamed)
    order = [list(answers.classes).index(names[label]) for label in (0, 1)]
    expected = predict(fit(data, options), data)
    np.testing.assert_allclose(answers.probabilities[:, order], expected.probabilities, atol=1e-6)
    proto = convert(model, renamed)
    exported = predict_onnx(OnnxModel(proto, read_signature(proto)), renamed.x())
    np.testing.assert_allclose(exported.probabilities, answers.probabilities, atol=1e-6)
    np.testing.assert_array_equal(exported.label, answers.label)


@pytest.mark.parametrize("estimator", ["logistic_regression", "svm"])
def test_weights_that_a_user_gives_to_named_classes_are_used(estimator: str) -> None:
    data = noisy(rows=300)
    named = dataclasses.replace(data, frame=data.frame.assign(failed=data.frame["failed"].map({0: "ok", 1: "bad"})))
    weights = {"class_weight": {"bad": 50.0}}
    options = TrainingOptions(estimator=estimator, calibration="sigmoid", hyperparameters=weights)
    plain = dataclasses.replace(options, hyperparameters={})
    weighted = fit(named, options)
    assert weighted[-1].estimator.class_weight == weights["class_weight"]
    assert not np.allclose(
        predict(weighted, named).probabilities, predict(fit(named, plain), named).probabilities, atol=1e-3
    )


def test_the_same_rows_give_the_same_bytes(tmp_path) -> None:
    for name in ("first", "second"):
        save_model(fit(noisy(rows=300), CALIBRATED), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_the_report_can_compare_with_the_probabilities_before() -> None:
    data = noisy(rows=300)
    before = predict_without_calibration(fit(data, CALIBRATED), data, 1)
    assert before is not None
    assert measure_calibration_error(data.y() == 1, before) > 0
    assert predict_without_calibration(fit(data, TrainingOptions()), data, 1) is None


def test_isotonic_calibration_is_refused_by_name_with_the_reason() -> None:
    with pytest.raises(ParameterError, match="isotonic.*because its steps amplify rounding.*; write sigmoid, or leave"):
        check_options(TrainingOptions(calibration="isotonic"), "classification")


def test_other_tasks_are_not_calibrated() -> None:
    with pytest.raises(ParameterError, match="calibration is given, which task=anomaly does not use; leave it empty"):
        check_options(TrainingOptions(calibration="sigmoid"), "anomaly")


def test_the_calibration_error_is_the_mean_distance_of_the_tenths() -> None:
    truth = np.array([True, False, False, False, True, True])
    probability = np.array([0.25, 0.25, 0.25, 0.25, 0.9, 1.0])  # a quarter of the first four, both of the others
    assert measure_calibration_error(truth, probability) == pytest.approx((0 + 0.1) / 6)
