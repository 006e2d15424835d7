"""The figures of a regression: predicted against true numbers, residuals, and how often quantiles hold."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kfp_edge.metrics.intervals import find_clusters
from kfp_edge.ml.arrays import Float64s, Int64s
from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.html import BLUE, GREY, ORANGE
from kfp_edge.reports.labels import to_label
from kfp_edge.reports.legends import add_legend
from kfp_edge.tasks.regression.predictions import NumberPredictions
from kfp_edge.tasks.regression.tenths import divide, measure_tenths
from kfp_edge.tasks.time_axis import format_axis, to_axis_values

#: Points that a figure shows; of more rows, the largest residuals and a sample of the others.
_MAX_POINTS, _LARGEST = 4_000, 100
_MAX_GROUPS = 20


def plot_predictions(data: Dataset, predictions: NumberPredictions) -> Figure:
    """Plot predicted against true numbers, and the residuals over the predicted ones with their middle half."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    truth, value, residual = _separate(data, predictions)
    rows, target = _select_points(residual), to_label(data.roles.target)
    ends = [float(min(truth.min(), value.min())), float(max(truth.max(), value.max()))]
    left.plot(ends, ends, color="black", linestyle=":", linewidth=0.9)
    _draw_points(left, truth[rows], value[rows])
    left.set(xlabel=f"true {target}", ylabel=f"predicted {target}")
    right.axhline(0, color="black", linestyle=":", linewidth=0.9)
    _draw_points(right, value[rows], residual[rows])
    _draw_quartiles(right, value, residual)
    right.set(xlabel=f"predicted {target}", ylabel="true - predicted")
    add_legend(right)
    return figure


def plot_residuals(data: Dataset, predictions: NumberPredictions) -> Figure:
    """Plot the distribution of the residuals and, where there is a time column, the residuals over time."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    axes = figure.subplots(1, 2 if data.roles.time else 1, squeeze=False)[0]
    residual = _separate(data, predictions)[2]
    axes[0].hist(residual, bins=60, color=BLUE)
    axes[0].axvline(0, color="black", linestyle=":", linewidth=0.9)
    mean = float(residual.mean())
    axes[0].axvline(mean, color=ORANGE, linewidth=1.2, label=f"mean {mean:.3g}")
    axes[0].set(xlabel="true - predicted", ylabel="rows (log scale)", yscale="log")
    axes[0].set_ylim(bottom=0.5)
    add_legend(axes[0])
    if data.roles.time:
        rows, times = _select_points(residual), to_axis_values(data)
        axes[1].axhline(0, color="black", linestyle=":", linewidth=0.9)
        _draw_points(axes[1], times[rows], residual[rows])
        _draw_quartiles(axes[1], times, residual, is_line=False)
        format_axis(axes[1], data)
        axes[1].set(xlabel=to_label(data.roles.time, 60), ylabel="true - predicted")
        add_legend(axes[1])
    return figure


def plot_groups(residuals: Sequence[tuple[str, Float64s]]) -> Figure:
    """Plot the residuals of groups beside each other: median, middle half and 5 % to 95 %."""
    drawn = residuals[:_MAX_GROUPS]
    figure = Figure(figsize=(11, 1.0 + 0.34 * len(drawn)), layout="constrained")
    axis = figure.subplots()
    axis.axvline(0, color="black", linestyle=":", linewidth=0.9)
    axis.boxplot(
        [values for _, values in drawn],
        orientation="horizontal",
        whis=(5, 95),
        showfliers=False,
        tick_labels=[to_label(name) for name, _ in drawn],
        boxprops={"color": BLUE},
        whiskerprops={"color": GREY},
        capprops={"color": GREY},
        medianprops={"color": ORANGE},
    )
    axis.invert_yaxis()
    axis.set(xlabel="true - predicted")
    return figure


def plot_coverage(data: Dataset, predictions: NumberPredictions) -> Figure:
    """Plot the share of true values between the outer quantiles, and their distance, in tenths of the predictions."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    truth, value, _ = _separate(data, predictions)
    tenths = measure_tenths(predictions, truth, find_clusters(data))
    middle = [float(np.median(value[rows])) for rows in divide(value)]
    ends = [tenth.interval for tenth in tenths]
    left.vlines(middle, [each.low for each in ends], [each.high for each in ends], color=GREY, linewidth=1.5)
    left.plot(middle, [tenth.covered for tenth in tenths], color=BLUE, marker="o", label="measured")
    asked = predictions.levels[-1] - predictions.levels[0]
    left.axhline(asked, color="black", linestyle=":", linewidth=0.9, label=f"asked for, {asked:.3g}")
    left.set(ylabel="share between the quantiles", ylim=(0, 1.03))
    add_legend(left)
    right.plot(middle, [tenth.width for tenth in tenths], color=BLUE, marker="o")
    right.set(ylabel="mean distance of the quantiles")
    right.set_ylim(bottom=0)
    for axis in (left, right):
        axis.set(xlabel=f"predicted {to_label(data.roles.target)}")
    return figure


def _separate(data: Dataset, predictions: NumberPredictions) -> tuple[Float64s, Float64s, Float64s]:
    """Return the true numbers, the predicted ones and the residuals, each of shape [rows]."""
    truth, value = data.target_values(), predictions.value.astype(np.float64)
    return truth, value, truth - value


def _select_points(residual: Float64s) -> Int64s:
    """Return the numbers of the rows that a figure shows."""
    if len(residual) <= _MAX_POINTS:
        return np.arange(len(residual))
    largest = np.argsort(-np.abs(residual), kind="stable")[:_LARGEST]
    spread = np.linspace(0, len(residual) - 1, _MAX_POINTS - _LARGEST).astype(np.int64)
    return np.union1d(largest, spread)


def _draw_points(axis: Axes, x: Float64s, y: Float64s) -> None:
    axis.plot(x, y, color=BLUE, linestyle="none", marker=".", markersize=4, alpha=0.35, rasterized=True)


def _draw_quartiles(axis: Axes, x: Float64s, residual: Float64s, *, is_line: bool = True) -> None:
    parts = divide(x)
    middle = [float(np.median(x[rows])) for rows in parts]
    low, median, high = np.array([np.quantile(residual[rows], (0.25, 0.5, 0.75)) for rows in parts]).T
    axis.vlines(middle, low, high, color="black", linewidth=1.2, label="middle half")
    style = "-" if is_line else "none"
    axis.plot(middle, median, color=ORANGE, marker="o", markersize=4, linewidth=1.5, linestyle=style, label="median")
