"""Measure predictions on held-out rows; `kfp_edge.ml.metrics` says what each metric means."""

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu
from sklearn import metrics as sk

from kfp_edge.errors import DataError
from kfp_edge.ml.arrays import Float64s, Floats, Int64s, Labels, Mask
from kfp_edge.ml.events import count_events
from kfp_edge.ml.metrics import name_of_class
from kfp_edge.ml.predictions import Predictions


def evaluate(
    predictions: Predictions,
    labels: Labels | None,
    groups: Labels | None = None,
    is_left_out: Mask | None = None,
) -> dict[str, float]:
    """Measure predictions against the true labels, shape [n], or on their own where there are none.

    Classification: accuracy, balanced_accuracy, log_loss, and recall, precision and f1 of every class that occurs, as
    `recall(Fail)`; for two classes also roc_auc, roc_auc_p_value, average_precision, f1, precision, recall and
    brier_score of the positive class; for more, the means over the classes that occur of roc_auc one against the rest
    and of f1.
    Anomaly: alarm_rate; with labels also false_alarm_rate, specificity, recall, precision, roc_auc, roc_auc_p_value,
    average_precision, and event_recall: the share of events (unbroken runs of anomalous rows of a group) in which an
    alarm was raised.

    A metric that these labels do not define is left out, such as the recall of a class that does not occur.

    Args:
        predictions: What the model predicts.
        labels: The true labels, shape [n].
        groups: The group of each row, shape [n], by which events are counted.
        is_left_out: Rows of a detector, shape [n], that count neither as normal nor as anomalous.

    Raises:
        DataError: a classifier has no labels to compare with, a label is none of its classes, or all labels are
            anomalous.
        ModelError: the model gives no valid probabilities.
    """
    if predictions.score is not None:
        metrics = _measure_detector(predictions, labels, groups, is_left_out)
    elif labels is None:
        raise DataError("a classifier cannot be evaluated without labels; give ingest a target column.")
    else:
        metrics = _measure_classifier(predictions, labels)
    return {name: round(float(value), 6) for name, value in metrics.items()}


def count_confusion(predictions: Predictions, labels: Labels) -> Int64s:
    """Return the number of rows by true and predicted class, shape [classes, classes], in the order of `classes`.

    Raises:
        DataError: a label is none of the model's classes.
    """
    classes = len(predictions.classes)
    cells = encode_labels(labels, predictions) * classes + encode_labels(predictions.label, predictions)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def encode_labels(labels: Labels, predictions: Predictions) -> Int64s:
    """Return the position of each label, shape [n], among the model's classes.

    Raises:
        DataError: a label is none of them.
    """
    codes = pd.Index(predictions.classes).get_indexer(pd.Index(labels.reshape(-1))).astype(np.int64)
    if (codes < 0).any():
        known = ", ".join(repr(name) for name in predictions.classes)
        unknown = labels.reshape(-1)[[np.argmax(codes < 0)]].tolist()[0]
        raise DataError(f"a held-out row has the class {unknown!r}, which the model does not know; it knows {known}.")
    return codes


def _measure_classifier(predictions: Predictions, labels: Labels) -> dict[str, float]:
    codes, confusion = encode_labels(labels, predictions), count_confusion(predictions, labels)
    rows, right, predicted = confusion.sum(axis=1), confusion.diagonal(), confusion.sum(axis=0)
    occurs = rows > 0
    with np.errstate(invalid="ignore"):  # 0 / 0 for classes that do not occur, which are left out
        recall, f1 = right / rows, 2 * right / (rows + predicted)
    precision = right / np.maximum(predicted, 1)
    per_class = {
        name_of_class(metric, predictions.classes[code]): values[code]
        for metric, values in (("recall", recall), ("precision", precision), ("f1", f1))
        for code in np.flatnonzero(occurs)
    }
    agreement = {
        "accuracy": right.sum() / len(labels),
        "balanced_accuracy": recall[occurs].mean(),
        "log_loss": sk.log_loss(
            codes, predictions.normalized_probabilities, labels=list(range(len(predictions.classes)))
        ),
    }
    if len(predictions.classes) == 2:
        return agreement | _measure_two_classes(predictions, labels, per_class) | per_class
    return agreement | _measure_many_classes(predictions, codes, f1[occurs]) | per_class


def _measure_two_classes(
    predictions: Predictions, labels: Labels, per_class: dict[str, float]
) -> dict[str, float | np.floating]:
    positive = predictions.positive_class
    truth = np.asarray(labels == positive)
    names = {metric: name_of_class(metric, positive) for metric in ("recall", "precision", "f1")}
    return {
        **{metric: per_class[name] for metric, name in names.items() if name in per_class},
        **_measure_ranking(truth, predictions.ranking_score),
        "brier_score": sk.brier_score_loss(truth, predictions.positive_probability, pos_label=True),
    }


def _measure_ranking(truth: Mask, score: Floats) -> dict[str, float]:
    if truth.all() or not truth.any():
        return {}
    return {
        "roc_auc": sk.roc_auc_score(truth, score),
        "roc_auc_p_value": mannwhitneyu(score[truth], score[~truth], alternative="greater").pvalue,
        "average_precision": sk.average_precision_score(truth, score),
    }


def _measure_many_classes(predictions: Predictions, codes: Int64s, f1: Float64s) -> dict[str, float]:
    occurring = np.unique(codes)
    measured = {"f1": float(f1.mean())}
    if len(occurring) > 1:
        probabilities = predictions.normalized_probabilities
        areas = [sk.roc_auc_score(codes == code, probabilities[:, code]) for code in occurring]
        measured["roc_auc"] = float(np.mean(areas))
    return measured


def _measure_detector(
    predictions: Predictions, labels: Labels | None, groups: Labels | None, is_left_out: Mask | None
) -> dict[str, float]:
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
        **_measure_ranking(truth[measured], predictions.ranking_score[measured]),
        "events": events,
        "event_recall": sum(count.detected for count in counts) / events,
    }
