"""The figures of a classifier: curves, confusion matrix, probabilities and calibration."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from kfp_edge.metrics.intervals import measure_share
from kfp_edge.ml.arrays import Floats, Int64s, Mask
from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.html import BLUE, GREY, ORANGE
from kfp_edge.reports.labels import display_width, to_label, to_labels
from kfp_edge.reports.legends import add_legend
from kfp_edge.tasks.classification.predictions import ClassPredictions
from kfp_edge.tasks.task import Curves

#: A curve of more points looks the same.
_MAX_CURVE_POINTS = 500
#: A confusion matrix of more classes shows shares by colour only.
_MAX_COUNTED_CLASSES = 25
_MAX_LISTED_CONFUSIONS = 10
_BINS = np.linspace(0, 1, 31).tolist()


def plot_curves(data: Dataset, predictions: ClassPredictions, curves: Curves) -> Figure:
    """Plot the ROC curve, the precision-recall curve and the confusion matrix of two classes."""
    assert curves.roc is not None
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    roc, recall_axis, matrix = figure.subplots(1, 3)
    false, true, _ = curves.roc
    roc.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    roc.plot(false, true, color=BLUE)
    roc.set(xlabel="false positive rate", ylabel="true positive rate")
    truth, score = _separate(data, predictions)
    roc.set_title(f"ROC, area {roc_auc_score(truth, score):.3f}")
    precision, recall, _ = precision_recall_curve(truth, score)
    points = np.unique(np.linspace(0, len(recall) - 1, _MAX_CURVE_POINTS).astype(int))
    recall_axis.step(recall[points], precision[points], color=BLUE, where="post")
    recall_axis.axhline(truth.mean(), color=GREY, linestyle=":")
    _mark_operating_point(roc, recall_axis, truth, predictions)
    recall_axis.set(xlabel="recall", ylabel="precision", ylim=(0, 1.03))
    recall_axis.set_title(f"precision-recall, area {average_precision_score(truth, score):.3f}")
    names, counts = curves.confusion
    _draw_confusion(matrix, np.array(counts))
    labels = [to_label(name, 14) for name in names]
    matrix.set(xticks=range(2), yticks=range(2), xticklabels=labels, title="confusion matrix")
    matrix.set_yticks(range(2), labels, rotation=90, va="center")
    return figure


def _mark_operating_point(roc: Axes, recall_axis: Axes, truth: Mask, predictions: ClassPredictions) -> None:
    """Mark what the labels reach on both curves, which is where the threshold puts them."""
    alarm = np.asarray(predictions.label.reshape(-1) == predictions.positive_class)
    decision = predictions.decision
    name = "most probable class" if decision is None else f"threshold {decision.threshold:.3g}"
    recall = alarm[truth].mean()
    precision = truth[alarm].mean() if alarm.any() else 0.0
    roc.plot([alarm[~truth].mean()], [recall], color=ORANGE, marker="o", linestyle="none", label=name)
    recall_axis.plot([recall], [precision], color=ORANGE, marker="o", linestyle="none")
    roc.legend(loc="lower right", frameon=False)


def plot_confusion(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """Plot the confusion matrix of many classes: names on the left, and where they are long, numbers below.

    Counts are written into the cells as long as they can be read.

    Args:
        names: The classes.
        counts: The number of rows by true and by predicted class.
    """
    labels = to_labels(names, 28)
    cell = 0.5 if len(names) <= 12 else 0.36
    is_numbered = max(map(display_width, labels)) * 0.1 > cell
    if is_numbered:
        labels = [f"{label}  {number}" for number, label in enumerate(labels, 1)]
    size = "medium" if len(names) <= _MAX_COUNTED_CLASSES else "x-small"
    margin = 1.5 + max(map(display_width, labels)) * (0.09 if size == "medium" else 0.065)
    side = min(cell * len(names), 11 - margin)
    figure = Figure(figsize=(side + margin, side + 0.9), layout="constrained")
    axis = figure.subplots()
    _draw_confusion(axis, np.array(counts))
    below = [str(number) for number in range(1, len(names) + 1)] if is_numbered else labels
    axis.set_yticks(range(len(names)), labels, fontsize=size)
    axis.set_xticks(range(len(names)), below, fontsize=size)
    return figure


def list_confusions(names: Sequence[str], counts: Sequence[Sequence[int]]) -> list[tuple[str, str, str]]:
    """Return the most frequent mistakes: the true class, the predicted one, and the number of rows and their share."""
    matrix = np.array(counts)
    mistakes = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:_MAX_LISTED_CONFUSIONS]
    cells = zip(*np.unravel_index(order, matrix.shape), strict=True)
    return [
        (names[true], names[predicted], f"{mistakes[true, predicted]:,} ({mistakes[true, predicted] / rows:.1%})")
        for true, predicted in cells
        if (rows := matrix[true].sum()) and mistakes[true, predicted]
    ]


def _draw_confusion(axis: Axes, counts: Int64s) -> None:
    """Draw the matrix[true][predicted], each row coloured by its own shares."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set(xlabel="predicted", ylabel="true")
    if len(counts) > _MAX_COUNTED_CLASSES:
        return
    size = 10 if len(counts) <= 12 else 7
    for (true, predicted), count in np.ndenumerate(counts):
        if count or len(counts) <= 12:
            color = "white" if shares[true, predicted] > 0.5 else "black"
            text = f"{count:,}" if len(counts) == 2 else _format_count(int(count))
            axis.text(predicted, true, text, ha="center", va="center", color=color, fontsize=size)


def _format_count(count: int) -> str:
    """Return a count in at most four letters."""
    return f"{count}" if count < 1e4 else f"{count / 1e3:.0f}k" if count < 1e6 else f"{count / 1e6:.1f}M"


def plot_probabilities(data: Dataset, predictions: ClassPredictions, before: Floats | None = None) -> Figure:
    """Plot the probability of the positive class by true class, and how often it is right.

    Args:
        data: The held-out rows.
        predictions: What the model predicts.
        before: The probability of the positive class before it was calibrated, shape [rows]; None where it was not.
    """
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    histogram, calibration = figure.subplots(1, 2)
    positive = to_label(predictions.positive_class, 24)
    truth, probability = _separate(data, predictions)
    histogram.hist(probability[~truth], bins=_BINS, color=BLUE, alpha=0.7, label=f"true class is not {positive}")
    histogram.hist(probability[truth], bins=_BINS, color=ORANGE, alpha=0.8, label=f"true class is {positive}")
    histogram.set(xlabel=f"probability of {positive}", ylabel="rows (log scale)")
    # a bar of one row has to be visible
    histogram.set_yscale("log")
    histogram.set_ylim(bottom=0.5)
    add_legend(histogram)
    calibration.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    if before is not None:
        _draw_calibration(calibration, truth, before, ORANGE, "before calibration")
    _draw_calibration(calibration, truth, probability, BLUE, "" if before is None else "calibrated")
    if before is not None:
        calibration.legend(loc="upper left", frameon=False)
    calibration.set(xlabel="mean predicted probability", ylabel="observed share", title="calibration")
    return figure


def _draw_calibration(axis: Axes, truth: Mask, probability: Floats, color: str, name: str) -> None:
    """Draw the observed share of each tenth of the probabilities with its 95 % interval."""
    tenths = np.minimum((probability * 10).astype(np.int64), 9)
    points = []
    for tenth in np.unique(tenths):
        rows = tenths == tenth
        interval = measure_share(truth[rows], None)
        points.append((probability[rows].mean(), truth[rows].mean(), interval.low, interval.high))
    predicted, share, low, high = np.array(points).T
    axis.vlines(predicted, low, high, color=GREY, linewidth=1.5)
    axis.plot(predicted, share, color=color, marker="o", label=name or None)


def _separate(data: Dataset, predictions: ClassPredictions) -> tuple[Mask, Floats]:
    """Return which rows are of the positive class, and its probability; both of shape [rows]."""
    return np.asarray(data.y() == predictions.positive_class), predictions.ranking_score
