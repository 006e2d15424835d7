"""Measure a classifier on held-out rows; `kfp_edge.metrics.catalog` says what each metric means."""

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from kfp_edge.errors import DataError
from kfp_edge.metrics.catalog import name_of_class
from kfp_edge.metrics.costs import Costs, read_costs
from kfp_edge.metrics.intervals import Interval, ShareRows, measure_shares
from kfp_edge.metrics.ranking import measure_ranking, measure_ranking_interval
from kfp_edge.ml.arrays import Float64s, Floats, Int64s, Labels, Mask
from kfp_edge.tasks.classification.predictions import ClassPredictions


def evaluate(predictions: ClassPredictions, labels: Labels) -> dict[str, float]:
    """Return the metrics of predictions, compared with the true labels, shape [n].

    They are accuracy, balanced_accuracy, log_loss, and recall, precision and f1 of every class that occurs, as
    `recall(Fail)`; for two classes also roc_auc, roc_auc_p_value, average_precision, f1, precision, recall,
    false_alarm_rate, brier_score and calibration_error of the positive class, and cost_per_row where the threshold was
    chosen for costs; for more, the means over the classes that occur of roc_auc one against the rest
    and of f1. A metric that these labels do not define is left out, such as the recall of a class that does not occur.

    Raises:
        DataError: a label is none of the model's classes.
        ModelError: the model gives no valid probabilities.
    """
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


def measure_intervals(predictions: ClassPredictions, labels: Labels, clusters: Int64s | None) -> dict[str, Interval]:
    """Return the intervals of the shares among the metrics, and of roc_auc for two classes, by metric.

    Args:
        predictions: What the model predicts.
        labels: The true labels, shape [n].
        clusters: A number for each row, shape [n], the same for rows that depend on each other.
    """
    intervals = measure_shares(_select_rows(predictions, labels), clusters)
    if len(predictions.classes) == 2:
        truth = np.asarray(labels == predictions.positive_class)
        intervals |= measure_ranking_interval(truth, predictions.ranking_score, clusters)
        costs = _read_costs(predictions)
        if costs is not None:
            intervals["cost_per_row"] = costs.measure_interval(truth, _find_alarms(predictions), clusters)
    return intervals


def compute_confusion(predictions: ClassPredictions, labels: Labels) -> tuple[list[str], list[list[int]]]:
    """Return the names of the classes and the matrix[true][predicted], of two classes the positive one last.

    Raises:
        DataError: a label is none of the model's classes.
    """
    classes = predictions.classes
    order = list(range(len(classes)))
    if len(classes) == 2:
        order.sort(key=lambda code: classes[code] == predictions.positive_class)
    matrix = count_confusion(predictions, labels)[np.ix_(order, order)]
    return [str(classes[code]) for code in order], matrix.tolist()


def count_confusion(predictions: ClassPredictions, labels: Labels) -> Int64s:
    """Return the number of rows by true and predicted class, shape [classes, classes], in the order of `classes`.

    Raises:
        DataError: a label is none of the model's classes.
    """
    classes = len(predictions.classes)
    cells = encode_labels(labels, predictions) * classes + encode_labels(predictions.label, predictions)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def encode_labels(labels: Labels, predictions: ClassPredictions) -> Int64s:
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


def _measure_two_classes(
    predictions: ClassPredictions, labels: Labels, per_class: dict[str, float]
) -> dict[str, float | np.floating]:
    positive = predictions.positive_class
    truth = np.asarray(labels == positive)
    names = {metric: name_of_class(metric, positive) for metric in ("recall", "precision", "f1")}
    return {
        **{metric: per_class[name] for metric, name in names.items() if name in per_class},
        **measure_ranking(truth, predictions.ranking_score),
        **_measure_alarms(predictions, truth),
        "brier_score": sk.brier_score_loss(truth, predictions.positive_probability, pos_label=True),
        "calibration_error": measure_calibration_error(truth, predictions.positive_probability),
    }


def measure_calibration_error(truth: Mask, probability: Floats) -> float:
    """Return the expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015) with ten bins of equal width.

    Args:
        truth: Whether a row is of the positive class, shape [n].
        probability: Its probability, shape [n].
    """
    tenths = np.minimum((probability * 10).astype(np.int64), 9)
    distances = np.bincount(tenths, weights=truth - probability, minlength=10)
    return float(np.abs(distances).sum() / len(truth))


def _measure_alarms(predictions: ClassPredictions, truth: Mask) -> dict[str, float]:
    """Return false_alarm_rate where there are rows of the other class, and cost_per_row where costs are known."""
    alarm = _find_alarms(predictions)
    measured = {} if truth.all() else {"false_alarm_rate": float(alarm[~truth].mean())}
    costs = _read_costs(predictions)
    return measured if costs is None else measured | {"cost_per_row": costs.measure(truth, alarm)}


def _find_alarms(predictions: ClassPredictions) -> Mask:
    """Return the rows that are predicted as the positive class, shape [n]."""
    return np.asarray(predictions.label.reshape(-1) == predictions.positive_class)


def _read_costs(predictions: ClassPredictions) -> Costs | None:
    decision = predictions.decision
    if decision is None or decision.choice is None or decision.positive != predictions.positive_class:
        return None
    return read_costs(decision.choice.asked)


def _measure_many_classes(predictions: ClassPredictions, codes: Int64s, f1: Float64s) -> dict[str, float]:
    occurring = np.unique(codes)
    measured = {"f1": float(f1.mean())}
    if len(occurring) > 1:
        probabilities = predictions.normalized_probabilities
        areas = [sk.roc_auc_score(codes == code, probabilities[:, code]) for code in occurring]
        measured["roc_auc"] = float(np.mean(areas))
    return measured


def _select_rows(predictions: ClassPredictions, labels: Labels) -> dict[str, ShareRows]:
    truth, predicted = encode_labels(labels, predictions), encode_labels(predictions.label, predictions)
    right = truth == predicted
    rows: dict[str, ShareRows] = {"accuracy": (right, np.ones(len(right), dtype=bool))}
    for code in np.unique(truth):  # the metrics of other classes are not defined
        label = predictions.classes[code]
        rows[name_of_class("recall", label)] = (right, truth == code)
        rows[name_of_class("precision", label)] = (right, predicted == code)
    if len(predictions.classes) == 2:
        names = {metric: name_of_class(metric, predictions.positive_class) for metric in ("recall", "precision")}
        rows |= {metric: rows[name] for metric, name in names.items() if name in rows}
        positive = np.asarray(predictions.classes.index(predictions.positive_class))
        rows["false_alarm_rate"] = (predicted == positive, truth != positive)
    return rows
