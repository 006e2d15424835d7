"""The training report: metrics, curves, feature importance and calibration, or anomaly scores over time."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.pipeline import Pipeline

from kfp_edge.components.train import classification_plots, timeline
from kfp_edge.components.train.importance import Importance, measure_importance
from kfp_edge.components.train.train import Evaluation
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.threshold_rows import describe_threshold_rows, find_normal_rows
from kfp_edge.reports.facts import ModelFacts
from kfp_edge.reports.html import BLUE, GREY, ORANGE, Page, format_number


def write_report(
    path: Path,
    estimator: Pipeline,
    train_data: Dataset,
    test_data: Dataset,
    evaluation: Evaluation,
    *,
    seed: int,
    false_alarm_rate: float,
) -> None:
    """Write the report of a fitted Pipeline as one self-contained HTML page.

    Args:
        path: Where the page goes.
        estimator: The fitted Pipeline.
        train_data: The rows that it was fitted on.
        test_data: The held-out rows.
        evaluation: What was measured on the held-out rows.
        seed: Seed of the split and the training.
        false_alarm_rate: The share of normal rows in which a detector was asked to raise an alarm at most.
    """
    data, roles = test_data, test_data.roles
    target = f"target {roles.target}" if roles.target else "no labels"
    page = Page("Training report", f"Task {roles.task}, {target}, {len(data.frame):,} held-out rows, seed {seed}.")
    is_detector = roles.task == "anomaly"
    facts = ModelFacts(
        train_data,
        test_data,
        evaluation.measurement,
        false_alarm_rate,
        evaluation.predictions.threshold if is_detector else None,
        describe_threshold_rows(train_data, false_alarm_rate) if is_detector else "",
    )
    page.warnings(facts.warnings)
    facts.add_to(page)
    if roles.task == "classification":
        _add_classification(page, estimator, data, evaluation, seed)
    else:
        _add_anomaly(page, data, evaluation)
    page.write(path)


def _add_classification(page: Page, estimator: Pipeline, data: Dataset, evaluation: Evaluation, seed: int) -> None:
    if evaluation.confusion is None:
        page.text(f"Every held-out row is of the class {data.y()[0]}, so there are no curves.")
        return
    if evaluation.roc is None:
        page.heading("Confused classes")
        page.text("Each row is a true class, each column a predicted one; the darker, the larger the share of the row.")
        page.figure(classification_plots.plot_confusion(*evaluation.confusion), "confusion matrix")
        mistakes = classification_plots.list_confusions(*evaluation.confusion)
        if mistakes:
            page.text("The most frequent mistakes, with their share of the rows of the true class:")
            page.table(("true", "predicted", "rows"), mistakes)
    else:
        page.heading("ROC curve, precision-recall curve and confusion matrix")
        page.text(f"The curves are those of the class {evaluation.predictions.positive_class}.")
        curves = classification_plots.plot_curves(data, evaluation)
        page.figure(curves, "ROC curve, precision-recall curve and confusion matrix")
    page.heading("Permutation importance")
    importance = measure_importance(estimator, data, seed)
    page.text(_describe_importance(importance))
    page.figure(classification_plots.plot_importance(importance), "permutation importance by feature")
    if evaluation.roc is not None:
        page.heading("Probabilities and calibration")
        page.text("On the right, a well calibrated model follows the dotted line; grey lines are 95 % intervals.")
        probabilities = classification_plots.plot_probabilities(data, evaluation)
        page.figure(probabilities, "probabilities by true class, and calibration")


def _describe_importance(importance: Importance) -> str:
    text = "Drop in balanced accuracy when a feature's values are shuffled; the line is one standard deviation."
    if importance.unmeasured:
        text += f" Left out are {importance.unmeasured:,} features by which the splits of the trees gain less."
    rest = importance.mean[classification_plots.MAX_FEATURES :]
    if not len(rest):
        return text
    if rest[0] <= 0:
        return f"{text} Shuffling any of the other {len(rest):,} features costs nothing."
    most = format_number(float(rest[0]))
    return f"{text} Shuffling any of the other {len(rest):,} features costs at most {most}."


def _add_anomaly(page: Page, data: Dataset, evaluation: Evaluation) -> None:
    page.heading("Score over the held-out rows")
    panels = timeline.make_panels(data, evaluation.predictions)
    page.text(timeline.describe_panels(data, panels))
    scores = timeline.plot_timeline(data, panels, evaluation.predictions.threshold)
    page.figure(scores, "anomaly score over time with threshold and labelled failures")
    page.heading("Scores of normal and anomalous rows" if data.roles.target else "Distribution of the scores")
    page.figure(plot_scores(data, evaluation), "histogram of anomaly scores")


def plot_scores(data: Dataset, evaluation: Evaluation) -> Figure:
    """Plot the distribution of anomaly scores, of normal and anomalous rows apart where there are labels."""
    figure = Figure(figsize=(11, 3), layout="constrained")
    axis = figure.subplots()
    score = evaluation.predictions.ranking_score
    normal = find_normal_rows(data)
    anomalous = data.y() == 1 if data.roles.target else ~normal
    rows = {"normal" if data.roles.target else "all rows": normal, "anomalous": anomalous}
    rows["after an event, which their windows contain"] = ~normal & ~anomalous
    bins = np.histogram_bin_edges(score, 60).tolist()
    for (name, selected), color in zip(rows.items(), (BLUE, ORANGE, GREY), strict=True):
        if selected.any():
            axis.hist(score[selected], bins=bins, color=color, alpha=0.7, label=name)
    axis.axvline(evaluation.predictions.threshold, color="black", linestyle="--", linewidth=0.9, label="threshold")
    axis.set(xlabel="anomaly score", ylabel="rows (log scale)", yscale="log")
    axis.set_ylim(bottom=0.5)
    figure.legend(loc="outside upper left", ncols=4, frameon=False)
    return figure
