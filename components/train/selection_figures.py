"""The figures of cross-validation and tuning."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kfp_edge.model_selection.record import CrossValidation, FoldSummary, TrainingRecord, Tuning
from kfp_edge.model_selection.tuning_metric import is_lower_better
from kfp_edge.reports.html import BLUE, GREY, ORANGE, RED, Page

#: Trials that the table lists, the best ones first.
_MAX_LISTED_TRIALS = 20
_COLUMNS = 3


def add_selection(page: Page, record: TrainingRecord, metrics: Mapping[str, float]) -> None:
    """Add the folds beside the held-out rows, whose metrics are `metrics`, and the trials."""
    if record.cross_validation is not None:
        page.heading("Metrics of each fold")
        page.figure(plot_folds(record.cross_validation, metrics), "metrics of each fold, their mean and its interval")
    if record.tuning is not None:
        page.heading("Trials of the search for hyperparameters")
        page.figure(plot_trials(record.tuning), "the metric of each trial, and the best so far")
        _add_trials(page, record.tuning)


def plot_folds(cross_validation: CrossValidation, metrics: Mapping[str, float]) -> Figure:
    """Plot each metric of all classes: its folds, their mean with its interval, and its value on held-out rows.

    Every metric has an axis of its own: on a common one, the folds of a high ROC AUC would lie on each other.
    """
    summaries = {name: summary for name, summary in cross_validation.metrics.items() if "(" not in name}
    rows = -(-len(summaries) // _COLUMNS)
    figure = Figure(figsize=(11, 0.5 + 0.85 * rows), layout="constrained")
    axes = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
    for axis, name in zip(axes, summaries, strict=False):
        _draw_metric(axis, summaries[name], metrics.get(name))
        axis.set_title(name, loc="left", fontsize="medium")
    for axis in axes[len(summaries) :]:
        axis.axis("off")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)
    return figure


def _draw_metric(axis: Axes, summary: FoldSummary, held_out: float | None) -> None:
    if summary.interval is not None:
        axis.hlines(0, *summary.interval, color=BLUE, linewidth=9, alpha=0.3)
    axis.plot(summary.values, [0] * len(summary.values), "o", color=GREY, markersize=5, label="one fold")
    axis.plot(summary.mean, 0, "|", color=BLUE, markersize=15, markeredgewidth=2.5, label="mean, 95 % interval")
    if held_out is not None:
        axis.plot(held_out, 0, "D", color=ORANGE, markersize=6, label="held-out rows")
    axis.set(yticks=[], ylim=(-1, 1))
    axis.locator_params(axis="x", nbins=5)
    axis.spines[["top", "left", "right"]].set_visible(False)


def plot_trials(tuning: Tuning) -> Figure:
    """Plot the metric of each trial and the best one so far."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axis = figure.subplots()
    best = min if is_lower_better(tuning.metric) else max
    numbers = [number for number, trial in enumerate(tuning.trials, start=1) if trial.score is not None]
    scores = [trial.score for trial in tuning.trials if trial.score is not None]
    so_far = [best(scores[: end + 1]) for end in range(len(scores))]
    axis.step(numbers, so_far, where="post", color=BLUE, label="best so far")
    axis.plot(numbers[1:], scores[1:], "o", color=GREY, label="trial")
    axis.plot(numbers[0], scores[0], "s", color="black", label="default hyperparameters")
    axis.plot(tuning.best + 1, best(scores), "D", color=ORANGE, label="chosen")
    failed = [number for number, trial in enumerate(tuning.trials, start=1) if trial.score is None]
    if failed:
        axis.plot(failed, [min(scores)] * len(failed), "x", color=RED, label="failed")
    axis.set_xlabel("trial")
    # two lines fit beside the axis, and the space keeps them off numbers that a browser's font makes wider
    axis.set_ylabel(f"{tuning.metric},\nmean over folds", labelpad=10)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper left", ncols=5, frameon=False)
    return figure


def _add_trials(page: Page, tuning: Tuning) -> None:
    sign = 1 if is_lower_better(tuning.metric) else -1
    order = sorted(
        range(len(tuning.trials)),
        key=lambda number: (sign * score if (score := tuning.trials[number].score) is not None else math.inf, number),
    )
    names = list(tuning.trials[0].hyperparameters)
    page.table(("trial", tuning.metric, *names), _list_trials(tuning, order[:_MAX_LISTED_TRIALS]))
    if len(order) > _MAX_LISTED_TRIALS:
        page.text(f"The best {_MAX_LISTED_TRIALS} of {len(order):,} trials.")


def _list_trials(tuning: Tuning, numbers: Sequence[int]) -> list[tuple[str, ...]]:
    rows = []
    for number in numbers:
        trial = tuning.trials[number]
        score = trial.problem if trial.score is None else f"{trial.score:.6g}"
        rows.append((f"{number + 1}", score, *trial.hyperparameters.values()))
    return rows
