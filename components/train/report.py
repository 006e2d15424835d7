"""The training report: metrics, curves, feature importance and calibration, or anomaly scores over time."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.inspection import permutation_importance
from sklearn.metrics import average_precision_score, precision_recall_curve
from sklearn.pipeline import Pipeline

from kfp_edge.components.train.train import Evaluation
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.evaluation import find_events
from kfp_edge.reports.html import BLUE, GREY, ORANGE, RED, Page

#: Permutation importance predicts every row many times; this many rows are enough to rank the features.
_IMPORTANCE_ROWS = 2_000
_MAX_FEATURES = 15


def write_report(path: Path, estimator: Pipeline, data: Dataset, evaluation: Evaluation, *, seed: int) -> None:
    """Write the report of a fitted Pipeline on held-out rows as one self-contained HTML page."""
    roles = data.roles
    lead = (
        f"{roles.task} on {len(data.frame):,} held-out rows with {len(roles.features)} features; "
        f"seed {seed}, data sha256 {data.sha256[:12]}."
    )
    page = Page("Training report", lead)
    page.heading("Metrics on held-out rows").table(("metric", "value"), sorted(evaluation.metrics.items()))
    if roles.task == "classification":
        _add_classification(page, estimator, data, evaluation, seed)
    else:
        _add_anomaly(page, data, evaluation)
    page.write(path)


def _add_classification(page: Page, estimator: Pipeline, data: Dataset, evaluation: Evaluation, seed: int) -> None:
    page.heading("How well it ranks and decides")
    page.figure(_plot_curves(data, evaluation), "ROC curve, precision-recall curve and confusion matrix")
    page.heading("What it looks at")
    page.text("Drop in balanced accuracy when a feature's values are shuffled; the line is one standard deviation.")
    page.figure(_plot_importance(estimator, data, seed), "permutation importance by feature")
    if len(evaluation.predictions.classes) == 2:
        page.heading("How its probabilities spread")
        page.figure(_plot_probabilities(data, evaluation), "probabilities by true class, and calibration")


def _add_anomaly(page: Page, data: Dataset, evaluation: Evaluation) -> None:
    page.heading("Score over the held-out rows")
    page.text("An alarm is raised above the dashed threshold; shaded stretches are labelled as failures.")
    page.figure(_plot_timeline(data, evaluation), "anomaly score over time with threshold and labelled failures")
    page.heading("Scores of normal and anomalous rows")
    page.figure(_plot_scores(data, evaluation), "histogram of anomaly scores")


def _plot_curves(data: Dataset, evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    if evaluation.roc is None:
        _draw_confusion(figure.subplots(), evaluation)
        return figure
    roc, recall_axis, matrix = figure.subplots(1, 3)
    false, true, _ = evaluation.roc
    roc.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    roc.plot(false, true, color=BLUE)
    roc.set(xlabel="false positive rate", ylabel="true positive rate")
    roc.set_title(f"ROC, area {evaluation.metrics['roc_auc']:.3f}")
    truth = data.y() == evaluation.predictions.classes[-1]
    score = evaluation.predictions.ranking_score
    precision, recall, _ = precision_recall_curve(truth, score)
    recall_axis.step(recall, precision, color=BLUE, where="post")
    recall_axis.axhline(truth.mean(), color=GREY, linestyle=":")
    recall_axis.set(xlabel="recall", ylabel="precision", ylim=(0, 1.03))
    recall_axis.set_title(f"precision-recall, area {average_precision_score(truth, score):.3f}")
    _draw_confusion(matrix, evaluation)
    return figure


def _draw_confusion(axis: Axes, evaluation: Evaluation) -> None:
    assert evaluation.confusion is not None
    names, matrix = evaluation.confusion
    shares = np.array(matrix) / np.maximum(np.sum(matrix, axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for true, row in enumerate(matrix):
        for predicted, count in enumerate(row):
            dark = shares[true, predicted] > 0.5
            axis.text(predicted, true, f"{count:,}", ha="center", va="center", color="white" if dark else "black")
    axis.set(xticks=range(len(names)), yticks=range(len(names)), xticklabels=names, yticklabels=names)
    axis.set(xlabel="predicted", ylabel="true", title="confusion matrix")


def _plot_importance(estimator: Pipeline, data: Dataset, seed: int) -> Figure:
    rows = data.frame.sample(min(len(data.frame), _IMPORTANCE_ROWS), random_state=seed)
    result = permutation_importance(
        estimator,
        rows[list(data.roles.features)],
        rows[data.roles.target].to_numpy(),
        scoring="balanced_accuracy",
        n_repeats=5,
        random_state=seed,
    )
    order = np.argsort(result.importances_mean)[-_MAX_FEATURES:]
    figure = Figure(figsize=(11, 0.8 + 0.36 * len(order)), layout="constrained")
    axis = figure.subplots()
    names = [data.roles.features[index] for index in order]
    axis.barh(names, result.importances_mean[order], xerr=result.importances_std[order], color=BLUE, ecolor=GREY)
    axis.set(xlabel="drop in balanced accuracy")
    return figure


def _plot_probabilities(data: Dataset, evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    histogram, calibration = figure.subplots(1, 2)
    positive = evaluation.predictions.classes[-1]
    truth = data.y() == positive
    probability = evaluation.predictions.ranking_score
    bins = np.linspace(0, 1, 31).tolist()
    histogram.hist(
        evaluation.predictions.ranking_score[~truth], bins=bins, color=BLUE, alpha=0.7, label=f"not {positive}"
    )
    histogram.hist(probability[truth], bins=bins, color=ORANGE, alpha=0.8, label=f"{positive}")
    histogram.set(xlabel=f"probability of {positive}", ylabel="rows (log scale)", yscale="log")
    histogram.legend(title="true class")
    actual, predicted = calibration_curve(truth, probability, n_bins=10, strategy="uniform")
    calibration.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    calibration.plot(predicted, actual, color=BLUE, marker="o")
    calibration.set(xlabel="mean predicted probability", ylabel="observed share", title="calibration")
    return figure


def _plot_timeline(data: Dataset, evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axis = figure.subplots()
    times = pd.to_datetime(data.frame[data.roles.time]) if data.roles.time else data.frame.index.to_series()
    score, threshold = evaluation.predictions.ranking_score, evaluation.predictions.threshold
    axis.plot(times, score, color=BLUE, linewidth=0.6, rasterized=True)
    alarm = evaluation.predictions.label == 1
    axis.scatter(times[alarm], score[alarm], color=RED, s=8, label="alarm", zorder=3)
    axis.axhline(threshold, color="black", linestyle="--", linewidth=0.9, label=f"threshold {threshold:.3f}")
    for event in find_events(data.y()) if data.roles.time and data.roles.target else []:
        axis.axvspan(times.iloc[event.start], times.iloc[event.stop - 1], color=ORANGE, alpha=0.25, linewidth=0)
    axis.set(ylabel="anomaly score", xlabel=data.roles.time or "row")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return figure


def _plot_scores(data: Dataset, evaluation: Evaluation) -> Figure:
    figure = Figure(figsize=(11, 3), layout="constrained")
    axis = figure.subplots()
    score = evaluation.predictions.ranking_score
    truth = data.y() == 1 if data.roles.target else np.zeros(len(score), dtype=bool)
    bins = np.linspace(score.min(), score.max(), 60).tolist()
    axis.hist(score[~truth], bins=bins, color=BLUE, alpha=0.7, label="normal")
    if truth.any():
        axis.hist(score[truth], bins=bins, color=ORANGE, alpha=0.7, label="anomalous")
    axis.axvline(evaluation.predictions.threshold, color="black", linestyle="--", linewidth=0.9, label="threshold")
    axis.set(xlabel="anomaly score", ylabel="rows (log scale)", yscale="log")
    axis.legend()
    return figure
