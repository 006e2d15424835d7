"""Measure a detector on held-out rows; `kfp_edge.metrics.catalog` says what each metric means."""

import numpy as np

from kfp_edge.errors import DataError
from kfp_edge.metrics.events import count_events
from kfp_edge.metrics.intervals import Interval, ShareRows, compute_exact_interval, measure_shares
from kfp_edge.metrics.ranking import measure_ranking, measure_ranking_interval
from kfp_edge.ml.arrays import Int64s, Labels, Mask
from kfp_edge.tasks.anomaly.predictions import AnomalyPredictions


def evaluate(
    predictions: AnomalyPredictions,
    labels: Labels | None,
    groups: Labels | None = None,
    is_left_out: Mask | None = None,
) -> dict[str, float]:
    """Return the metrics of predictions, compared with the true labels, or on their own where there are none.

    They are alarm_rate; with labels also false_alarm_rate, specificity, recall, precision, roc_auc, roc_auc_p_value,
    average_precision, and event_recall: the share of events (unbroken runs of anomalous rows of a group) in which an
    alarm was raised. A metric that these labels do not define is left out.

    Args:
        predictions: What the model predicts.
        labels: The true labels, shape [n]; 1 is anomalous.
        groups: The group of each row, shape [n], by which events are counted.
        is_left_out: Rows, shape [n], that count neither as normal nor as anomalous.

    Raises:
        DataError: all labels are anomalous.
        ModelError: a score is missing.
    """
    alarm = np.asarray(predictions.label == 1)
    metrics = {"alarm_rate": float(alarm.mean())}
    if labels is None:
        return metrics
    truth = np.asarray(labels == 1)
    normal = ~truth if is_left_out is None else ~truth & ~is_left_out
    if not normal.any():
        raise DataError("every held-out row is labelled anomalous, so false alarms cannot be counted; hold out more.")
    false_alarm_rate = float(alarm[normal].mean())
    metrics |= {"false_alarm_rate": false_alarm_rate, "specificity": 1 - false_alarm_rate}
    if not truth.any():
        return metrics
    counts = count_events(truth, alarm, groups)
    events = sum(count.events for count in counts)
    detected = int((alarm & truth).sum())
    measured = truth | normal
    return metrics | {
        "recall": detected / truth.sum(),
        "precision": detected / max(int(alarm[measured].sum()), 1),
        **measure_ranking(truth[measured], predictions.ranking_score[measured]),
        "events": events,
        "event_recall": sum(count.detected for count in counts) / events,
    }


def measure_intervals(
    predictions: AnomalyPredictions,
    labels: Labels | None,
    groups: Labels | None = None,
    clusters: Int64s | None = None,
    is_left_out: Mask | None = None,
) -> dict[str, Interval]:
    """Return the intervals of the shares among the metrics, of roc_auc and of event_recall, by metric.

    Args:
        predictions: What the model predicts.
        labels: The true labels, shape [n], or None.
        groups: The group of each row, shape [n], by which events are counted.
        clusters: A number for each row, shape [n], the same for rows that depend on each other.
        is_left_out: Rows, shape [n], that count neither as normal nor as anomalous.
    """
    measured = np.ones(len(predictions.label), dtype=bool) if is_left_out is None else ~is_left_out
    intervals = measure_shares(_select_rows(predictions, labels, measured), clusters)
    truth = np.zeros(len(measured), dtype=bool) if labels is None else np.asarray(labels == 1)
    if not truth.any():
        return intervals
    clusters = None if clusters is None else clusters[measured]
    intervals |= measure_ranking_interval(truth[measured], predictions.ranking_score[measured], clusters)
    counts = count_events(truth, predictions.label == 1, groups)
    detected, events = sum(count.detected for count in counts), sum(count.events for count in counts)
    return intervals | {"event_recall": compute_exact_interval(detected, events)}


def _select_rows(predictions: AnomalyPredictions, labels: Labels | None, measured: Mask) -> dict[str, ShareRows]:
    alarm = np.asarray(predictions.label == 1)
    rows: dict[str, ShareRows] = {"alarm_rate": (alarm, np.ones(len(alarm), dtype=bool))}
    if labels is not None:
        truth = np.asarray(labels == 1)
        rows |= {
            "false_alarm_rate": (alarm, ~truth & measured),
            "specificity": (~alarm, ~truth & measured),
            "recall": (alarm, truth),
            "precision": (truth, alarm & measured),
        }
    return rows


def count_confusion(predictions: AnomalyPredictions, labels: Labels) -> tuple[list[str], list[list[int]]]:
    """Return the names of the classes, 0 and 1, and the number of rows by true and predicted class."""
    cells = 2 * (labels == 1) + (predictions.label == 1)
    return ["0", "1"], np.bincount(cells, minlength=4).reshape(2, 2).tolist()
