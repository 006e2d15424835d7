"""Metrics have the values that gates rely on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.evaluation import evaluate, find_events
from kfp_edge.ml.predictions import Predictions


def _detector(score: list[float], threshold: float = 0.5) -> Predictions:
    values = np.array(score)
    return Predictions((values > threshold).astype(int), score=values, classes=(0, 1), threshold=threshold)


def _classifier(probability: list[float], classes: tuple[object, object] = (0, 1)) -> Predictions:
    positive = np.array(probability, dtype=np.float32)
    label = np.array([classes[int(value > 0.5)] for value in positive], dtype=object if classes[0] else None)
    return Predictions(label, probabilities=np.stack([1 - positive, positive], axis=1), classes=classes)


def test_a_perfect_classifier_has_perfect_metrics():
    metrics = evaluate(_classifier([0.1, 0.9, 0.2, 0.8]), np.array([0, 1, 0, 1]))
    assert metrics["roc_auc"] == metrics["f1"] == metrics["accuracy"] == metrics["balanced_accuracy"] == 1


def test_recall_and_precision_are_those_of_the_second_class():
    metrics = evaluate(_classifier([0.9, 0.1, 0.1], ("broken", "fine")), np.array(["fine", "broken", "fine"]))
    assert (metrics["recall"], metrics["precision"]) == (0.5, 1.0)


def test_several_classes_are_measured_one_against_the_rest():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    metrics = evaluate(Predictions(np.array([0, 1, 2]), probabilities, classes=(0, 1, 2)), np.array([0, 1, 2]))
    assert (metrics["accuracy"], metrics["f1"], metrics["roc_auc"]) == (1, 1, 1)


def test_false_alarms_are_counted_on_normal_rows_only():
    metrics = evaluate(_detector([0.9, 0.1, 0.1, 0.1, 0.9, 0.9]), np.array([0, 0, 0, 0, 1, 1]))
    assert (metrics["false_alarm_rate"], metrics["specificity"], metrics["recall"]) == (0.25, 0.75, 1.0)


def test_an_event_counts_once_however_long_it_is():
    metrics = evaluate(_detector([0, 0.9, 0, 0, 0, 0]), np.array([1, 1, 1, 0, 1, 0]))
    assert (metrics["events"], metrics["event_recall"]) == (2, 0.5)


def test_without_labels_only_the_alarms_are_counted():
    assert evaluate(_detector([0.9, 0.1]), None) == {"alarm_rate": 0.5}


def test_a_classifier_cannot_be_measured_without_labels():
    with pytest.raises(KfpEdgeError, match="cannot be evaluated without labels"):
        evaluate(_classifier([0.1]), None)


def test_held_out_rows_that_are_all_anomalous_are_refused():
    with pytest.raises(KfpEdgeError, match="false alarms cannot be counted"):
        evaluate(_detector([0.9, 0.8]), np.array([1, 1]))


@given(arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 1)))
def test_events_cover_exactly_the_anomalous_rows(labels):
    covered = np.zeros_like(labels)
    for event in find_events(labels):
        covered[event] += 1
    assert np.array_equal(covered, labels)
