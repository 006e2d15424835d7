"""The ONNX model of a classifier decides by its threshold exactly as the scikit-learn model does."""

import dataclasses

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kfp_edge.components.export.export import convert
from kfp_edge.components.train.train import fit
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.decision import Decision, read_decision, set_decision, without_decision
from kfp_edge.ml.onnx_model import OnnxModel, read_signature
from kfp_edge.ml.skops_model import load_model, save_model
from kfp_edge.tasks.registry import predict, predict_onnx
from kfp_edge.tasks.task import TrainingOptions
from support.tables import failures


def export(estimator, data: Dataset) -> OnnxModel:
    proto = convert(estimator, data)
    return OnnxModel(proto, read_signature(proto))


def with_gaps(data: Dataset) -> Dataset:
    """Return the rows with missing numbers in one of three."""
    heat = data.frame["heat [K]"].where(np.arange(len(data.frame)) % 3 > 0)
    return dataclasses.replace(data, frame=data.frame.assign(**{"heat [K]": heat}))


@pytest.mark.parametrize("labels", [(0, 1), ("ok", "bad")], ids=["numbers", "words"])
@pytest.mark.parametrize("estimator", ["hist_gradient_boosting", "random_forest", "logistic_regression"])
@pytest.mark.parametrize("make", [failures, lambda **kind: with_gaps(failures(categorical=False, **kind))])
def test_labels_are_those_of_scikit_learn_at_every_probability_that_occurs(make, estimator, labels) -> None:
    data = make(rows=400, labels=labels)
    fitted = fit(data, TrainingOptions(estimator=estimator))
    exported = export(fitted, data)
    column = sorted(labels).index(labels[1])
    probabilities = predict_onnx(exported, data.x()).probabilities[:, column]
    for threshold in (0.02, 0.3, *np.quantile(probabilities, [0.1, 0.5, 0.95], method="nearest").tolist()):
        deciding = set_decision(fitted, Decision(float(np.float32(threshold)), labels[1]))
        decided, expected = predict_onnx(export(deciding, data), data.x()), predict(deciding, data)
        is_near = np.abs(probabilities - threshold) <= 1e-6  # where both round differently
        np.testing.assert_array_equal(decided.label[~is_near], expected.label[~is_near])
        is_above = decided.probabilities[:, column] > np.float32(threshold)
        np.testing.assert_array_equal(decided.label == labels[1], is_above)


def test_a_model_that_was_saved_decides_by_its_threshold(tmp_path) -> None:
    data = failures()
    fitted = fit(data, TrainingOptions(threshold={"recall": 0.9}))
    save_model(fitted, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    assert read_decision(loaded) == read_decision(fitted)
    np.testing.assert_array_equal(loaded.predict(data.x()), fitted.predict(data.x()))


def test_the_signature_has_the_threshold_its_class_and_the_reason() -> None:
    data = failures(labels=("ok", "bad"))
    data = dataclasses.replace(data, roles=dataclasses.replace(data.roles, positive="bad"))
    fitted = fit(data, TrainingOptions(threshold={"false_alarm_rate": 0.02}))
    label, probabilities = export(fitted, data).signature.outputs
    decision = read_decision(fitted)
    assert (probabilities.threshold, probabilities.positive) == (decision.threshold, "bad")
    assert probabilities.choice == decision.choice
    assert label.threshold is None


def test_the_positive_class_may_be_the_first_one() -> None:
    data = failures(labels=("bad", "ok"))
    deciding = set_decision(fit(data, TrainingOptions()), Decision(0.25, "bad"))
    decided = predict_onnx(export(deciding, data), data.x())
    np.testing.assert_array_equal(decided.label == "bad", decided.probabilities[:, 0] > 0.25)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: FixedThresholdClassifier(model, threshold=0.05),
        lambda model: TunedThresholdClassifierCV(model, scoring="f1", cv=3, random_state=0),
    ],
    ids=["fixed", "tuned"],
)
@pytest.mark.parametrize("model", [LogisticRegression(), RandomForestClassifier(20, random_state=0)])
def test_a_threshold_that_scikit_learn_was_given_elsewhere_is_exported(wrap, model) -> None:
    data = failures(categorical=False)
    estimator = make_pipeline(StandardScaler(), wrap(model)).fit(data.x(), data.y())
    decided, expected = predict_onnx(export(estimator, data), data.x()), predict(estimator, data)
    assert (expected.label != predict(without_decision(estimator), data).label).any()
    is_clear = expected.margin > 1e-6
    np.testing.assert_array_equal(decided.label[is_clear], expected.label[is_clear])


def test_a_threshold_of_another_number_than_a_probability_is_refused() -> None:
    data = failures(categorical=False)
    model = FixedThresholdClassifier(LogisticRegression(), threshold=1.0, response_method="decision_function")
    with pytest.raises(KfpEdgeError, match="is one of decision_function, .* with response_method='predict_proba'"):
        export(make_pipeline(StandardScaler(), model).fit(data.x(), data.y()), data)
