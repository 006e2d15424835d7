"""Measure predictions on held-out rows; `kfp_edge.ml.metrics` says what each metric means."""

import numpy as np
from sklearn import metrics as sk

from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import Float64s, Labels, Mask
from kfp_edge.ml.predictions import Predictions


def evaluate(predictions: Predictions, labels: Labels | None) -> dict[str, float]:
    """Measure predictions against the true labels, shape [n], or on their own where there are none.

    Classification: accuracy, balanced_accuracy, log_loss; for two classes also roc_auc, average_precision,
    f1, precision, recall (of the second class) and brier_score; for more, roc_auc one against the rest and
    macro f1. Anomaly: alarm_rate; with labels also false_alarm_rate, specificity, recall, precision, roc_auc,
    average_precision, and event_recall: the share of unbroken runs of anomalous rows in which an alarm was raised.

    Raises:
        DataError: a classifier has no labels to compare with, or all labels are anomalous.
    """
    if predictions.score is not None:
        metrics = _measure_detector(predictions, labels)
    elif labels is None:
        raise DataError("a classifier cannot be evaluated without labels; give ingest a target column.")
    elif len(predictions.classes) == 2:
        metrics = _measure_two_classes(predictions, labels)
    else:
        metrics = _measure_many_classes(predictions, labels)
    return {name: round(float(value), 6) for name, value in metrics.items()}


def find_events(labels: Labels | Mask) -> list[slice]:
    """Return the unbroken runs of 1 in `labels`, shape [n], in order."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], labels.astype(int), [0]))))
    return [slice(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _measure_two_classes(predictions: Predictions, labels: Labels) -> dict[str, float]:
    positive = predictions.classes[-1]
    truth, predicted = labels == positive, predictions.label == positive
    probability = predictions.ranking_score
    return {
        **_measure_agreement(predictions, labels),
        "roc_auc": sk.roc_auc_score(truth, probability),
        "average_precision": sk.average_precision_score(truth, probability),
        "f1": sk.f1_score(truth, predicted, zero_division=0),
        "precision": sk.precision_score(truth, predicted, zero_division=0),
        "recall": sk.recall_score(truth, predicted, zero_division=0),
        "brier_score": sk.brier_score_loss(truth, probability),
    }


def _measure_many_classes(predictions: Predictions, labels: Labels) -> dict[str, float]:
    return {
        **_measure_agreement(predictions, labels),
        "roc_auc": sk.roc_auc_score(
            labels, _normalize_rows(predictions), multi_class="ovr", labels=list(predictions.classes)
        ),
        "f1": sk.f1_score(labels, predictions.label, average="macro", zero_division=0),
    }


def _measure_agreement(predictions: Predictions, labels: Labels) -> dict[str, float]:
    return {
        "accuracy": sk.accuracy_score(labels, predictions.label),
        "balanced_accuracy": sk.recall_score(labels, predictions.label, average="macro", zero_division=0),
        "log_loss": sk.log_loss(labels, _normalize_rows(predictions), labels=list(predictions.classes)),
    }


def _normalize_rows(predictions: Predictions) -> Float64s:
    """Return probabilities whose rows sum to 1 in double precision; in single precision they miss it by rounding."""
    assert predictions.probabilities is not None
    rows = predictions.probabilities.astype(np.float64)
    normalized: Float64s = rows / rows.sum(axis=1, keepdims=True)
    return normalized


def _measure_detector(predictions: Predictions, labels: Labels | None) -> dict[str, float]:
    alarm = predictions.label == 1
    metrics = {"alarm_rate": float(alarm.mean())}
    if labels is None:
        return metrics
    truth = labels == 1
    if not (~truth).any():
        raise DataError("every held-out row is labelled anomalous, so false alarms cannot be counted; hold out more.")
    false_alarm_rate = float(alarm[~truth].mean())
    metrics |= {"false_alarm_rate": false_alarm_rate, "specificity": 1 - false_alarm_rate}
    if not truth.any():
        return metrics
    events = find_events(truth)
    return metrics | {
        "recall": sk.recall_score(truth, alarm, zero_division=0),
        "precision": sk.precision_score(truth, alarm, zero_division=0),
        "roc_auc": sk.roc_auc_score(truth, predictions.ranking_score),
        "average_precision": sk.average_precision_score(truth, predictions.ranking_score),
        "events": len(events),
        "event_recall": np.mean([alarm[event].any() for event in events]),
    }
