"""The part of the training report that only a detector has: its score over time, and of normal and anomalous rows."""

import numpy as np
from matplotlib.figure import Figure

from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.html import BLUE, GREY, ORANGE, Page
from kfp_edge.tasks.anomaly import timeline
from kfp_edge.tasks.anomaly.predictions import AnomalyPredictions
from kfp_edge.tasks.anomaly.threshold_rows import find_normal_rows
from kfp_edge.tasks.task import Evaluation


def add_figures(page: Page, data: Dataset, evaluation: Evaluation) -> None:
    """Add the figures of a fitted detector on held-out rows to a report."""
    predictions = evaluation.predictions
    assert isinstance(predictions, AnomalyPredictions)
    page.heading("Score over the held-out rows")
    panels = timeline.make_panels(data, predictions)
    page.text(timeline.describe_panels(data, panels))
    scores = timeline.plot_timeline(data, panels, predictions.threshold)
    page.figure(scores, "anomaly score over time with threshold and labelled failures")
    page.heading("Scores of normal and anomalous rows" if data.roles.target else "Distribution of the scores")
    page.figure(plot_scores(data, predictions), "histogram of anomaly scores")


def plot_scores(data: Dataset, predictions: AnomalyPredictions) -> Figure:
    """Plot the distribution of anomaly scores, of normal and anomalous rows apart where there are labels."""
    figure = Figure(figsize=(11, 3), layout="constrained")
    axis = figure.subplots()
    score = predictions.ranking_score
    normal = find_normal_rows(data)
    anomalous = data.y() == 1 if data.roles.target else ~normal
    rows = {"normal" if data.roles.target else "all rows": normal, "anomalous": anomalous}
    rows["after an event, which their windows contain"] = ~normal & ~anomalous
    bins = np.histogram_bin_edges(score, 60).tolist()
    for (name, selected), color in zip(rows.items(), (BLUE, ORANGE, GREY), strict=True):
        if selected.any():
            axis.hist(score[selected], bins=bins, color=color, alpha=0.7, label=name)
    axis.axvline(predictions.threshold, color="black", linestyle="--", linewidth=0.9, label="threshold")
    axis.set(xlabel="anomaly score", ylabel="rows (log scale)", yscale="log")
    axis.set_ylim(bottom=0.5)
    figure.legend(loc="outside upper left", ncols=4, frameon=False)
    return figure
