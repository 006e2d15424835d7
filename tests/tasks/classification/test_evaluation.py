"""Metrics of a classifier have the values that gates rely on."""

from dataclasses import replace

import numpy as np
import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.tasks.classification.evaluation import evaluate, measure_intervals
from kfp_edge.tasks.classification.predictions import ClassPredictions


def _classifier(probability: list[float], classes: tuple[object, object] = (0, 1)) -> ClassPredictions:
    positive = np.array(probability, dtype=np.float32)
    label = np.array([classes[int(value > 0.5)] for value in positive], dtype=object if classes[0] else None)
    return ClassPredictions(label, np.stack([1 - positive, positive], axis=1), classes=classes)


def test_a_perfect_classifier_has_perfect_metrics():
    metrics = evaluate(_classifier([0.1, 0.9, 0.2, 0.8]), np.array([0, 1, 0, 1]))
    assert metrics["roc_auc"] == metrics["f1"] == metrics["accuracy"] == metrics["balanced_accuracy"] == 1


def test_metrics_of_two_classes_are_those_of_the_last_class_where_no_positive_one_is_named():
    metrics = evaluate(_classifier([0.9, 0.1, 0.1], ("broken", "fine")), np.array(["fine", "broken", "fine"]))
    assert (metrics["recall"], metrics["precision"]) == (0.5, 1.0)


@pytest.mark.parametrize(
    "labels", [("Pass", "Fail"), ("healthy", "broken"), ("no", "yes"), ("yes", "no"), (0, 1), (1, 0)]
)
def test_metrics_are_the_same_however_the_classes_are_called(labels):
    good, bad = labels
    truth, probability = [0, 0, 1, 1, 0, 1, 0, 0], [0.1, 0.3, 0.9, 0.4, 0.6, 0.7, 0.2, 0.05]
    classes = tuple(sorted(labels))
    share = np.array([[1 - value, value] if classes[1] == bad else [value, 1 - value] for value in probability])
    kind = object if isinstance(bad, str) else np.int64
    predicted = np.array([bad if value > 0.5 else good for value in probability], dtype=kind)
    true_labels = np.array([labels[value] for value in truth], dtype=kind)
    metrics = evaluate(ClassPredictions(predicted, share, classes=classes, positive=bad), true_labels)
    expected = {"recall": 0.666667, "precision": 0.666667, "f1": 0.666667, "roc_auc": 0.933333, "brier_score": 0.120312}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert metrics[f"recall({bad})"] == metrics["recall"]
    assert metrics[f"recall({good})"] == 0.8


def test_a_positive_class_that_the_model_does_not_know_is_refused():
    predictions = replace(_classifier([0.1, 0.9], ("broken", "fine")), positive="Fail")
    with pytest.raises(KfpEdgeError, match="the positive class is 'Fail', which the model does not know"):
        evaluate(predictions, np.array(["broken", "fine"], dtype=object))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1e-7, 1 - 1e-7)])
def test_probabilities_of_zero_and_one_have_a_finite_log_loss(low, high):
    assert np.isfinite(evaluate(_classifier([low, high, high]), np.array([1, 0, 1]))["log_loss"])


def test_probabilities_in_single_precision_whose_sum_misses_one_are_measured():
    share = np.array([[0.3, 0.7000001], [1.0000001, 0.0], [0.0, 1.0000001]], dtype=np.float32)
    metrics = evaluate(ClassPredictions(np.array([1, 0, 1]), share, classes=(0, 1)), np.array([1, 0, 1]))
    assert metrics["brier_score"] == pytest.approx(0.03, abs=1e-6)


@pytest.mark.parametrize("row", [[np.nan, np.nan], [np.nan, 1.0], [-0.5, 1.5], [2.0, 3.0], [0.0, 0.0], [np.inf, 0.0]])
def test_what_is_no_probability_is_refused_in_one_sentence(row):
    predictions = ClassPredictions(np.array([1, 0]), np.array([[0.5, 0.5], row]), classes=(0, 1))
    with pytest.raises(KfpEdgeError, match="gives no valid probabilities for 1 of 2 rows, such as .* with the sum 1;"):
        evaluate(predictions, np.array([1, 0]))


def test_a_label_that_the_model_does_not_know_is_refused():
    with pytest.raises(
        KfpEdgeError, match="a held-out row has the class 2, which the model does not know; it knows 0, 1"
    ):
        evaluate(_classifier([0.1, 0.9]), np.array([0, 2]))


def test_metrics_that_one_class_alone_does_not_define_are_left_out():
    metrics = evaluate(_classifier([0.1, 0.2, 0.9]), np.array([0, 0, 0]))
    assert metrics["accuracy"] == metrics["recall(0)"] == pytest.approx(2 / 3, abs=1e-6)
    assert {"roc_auc", "average_precision", "recall", "recall(1)"}.isdisjoint(metrics)


def test_a_class_that_no_test_row_has_does_not_count_among_several():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    metrics = evaluate(ClassPredictions(np.array([0, 1, 2]), probabilities, classes=(0, 1, 2)), np.array([0, 1, 1]))
    assert (metrics["balanced_accuracy"], metrics["recall(1)"], metrics["roc_auc"]) == (0.75, 0.5, 1.0)
    assert "recall(2)" not in metrics


def test_several_classes_are_measured_one_against_the_rest():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    metrics = evaluate(ClassPredictions(np.array([0, 1, 2]), probabilities, classes=(0, 1, 2)), np.array([0, 1, 2]))
    assert (metrics["accuracy"], metrics["f1"], metrics["roc_auc"]) == (1, 1, 1)


def test_a_perfect_ranking_of_three_failures_is_told_from_chance():
    metrics = evaluate(_classifier([0.1, 0.2, 0.3, 0.4, 0.45, 0.6, 0.7, 0.8]), np.array([0] * 5 + [1] * 3))
    assert metrics["roc_auc_p_value"] == pytest.approx(1 / 56, abs=1e-6)  # one of 56 ways to order them


def test_a_ranking_of_one_failure_among_few_rows_is_not_told_from_chance():
    metrics = evaluate(_classifier([0.1, 0.2, 0.3, 0.9]), np.array([0, 0, 0, 1]))
    assert metrics["roc_auc_p_value"] == 0.25


def test_a_class_without_held_out_rows_has_neither_metrics_nor_intervals():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7]], dtype=np.float32)
    classes = ("fine", "stuck", "worn")
    predictions = ClassPredictions(np.array(classes, dtype=object), probabilities, classes=classes)
    labels = np.array(["fine", "stuck", "stuck"], dtype=object)
    assert not [name for name in evaluate(predictions, labels) if "worn" in name]
    assert measure_intervals(predictions, labels, None).keys() <= evaluate(predictions, labels).keys()
