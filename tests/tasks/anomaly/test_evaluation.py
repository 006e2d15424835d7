"""Metrics of a detector have the values that gates rely on."""

import numpy as np
import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.tasks.anomaly.evaluation import evaluate
from kfp_edge.tasks.anomaly.predictions import AnomalyPredictions


def _detector(score: list[float], threshold: float = 0.5) -> AnomalyPredictions:
    values = np.array(score)
    return AnomalyPredictions((values > threshold).astype(int), values, threshold)


def test_a_missing_score_is_refused_in_one_sentence():
    with pytest.raises(KfpEdgeError, match=r"the model's score is missing \(NaN\) in 1 of 3 rows"):
        evaluate(_detector([np.nan, 0.1, 0.9]), np.array([0, 0, 1]))


def test_false_alarms_are_counted_on_normal_rows_only():
    metrics = evaluate(_detector([0.9, 0.1, 0.1, 0.1, 0.9, 0.9]), np.array([0, 0, 0, 0, 1, 1]))
    assert (metrics["false_alarm_rate"], metrics["specificity"], metrics["recall"]) == (0.25, 0.75, 1.0)


def test_an_event_counts_once_however_long_it_is():
    metrics = evaluate(_detector([0, 0.9, 0, 0, 0, 0]), np.array([1, 1, 1, 0, 1, 0]))
    assert (metrics["events"], metrics["event_recall"]) == (2, 0.5)


def test_events_are_counted_machine_by_machine():
    machines = np.array(["a", "b", "c"] * 100, dtype=object)
    labels = ((np.arange(300) >= 90) & (np.arange(300) < 270) & (machines == "b")).astype(np.int64)
    metrics = evaluate(_detector(list(labels * 0.9)), labels, machines)
    assert (metrics["events"], metrics["event_recall"]) == (1, 1.0)


def test_without_labels_only_the_alarms_are_counted():
    assert evaluate(_detector([0.9, 0.1]), None) == {"alarm_rate": 0.5}


def test_held_out_rows_that_are_all_anomalous_are_refused():
    with pytest.raises(KfpEdgeError, match="false alarms cannot be counted"):
        evaluate(_detector([0.9, 0.8]), np.array([1, 1]))


def test_rows_that_differ_by_rounding_only_rank_the_same():
    score = np.array([0.3, np.nextafter(0.3, 1), 0.1, 0.2])
    alarms = AnomalyPredictions(np.zeros(4, dtype=np.int64), score, threshold=0.5)
    assert evaluate(alarms, np.array([0, 1, 0, 0]))["roc_auc"] == pytest.approx(5 / 6, abs=1e-6)
