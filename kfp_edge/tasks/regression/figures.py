"""The part of the training report that only a regression has: predictions, residuals, worst rows, importance."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error
from sklearn.pipeline import Pipeline

from kfp_edge.metrics.intervals import find_clusters
from kfp_edge.ml.arrays import Float64s, Int64s, Labels
from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.html import Page
from kfp_edge.reports.numbers import format_number
from kfp_edge.tasks.importance import SAMPLED_ROWS, Importance, shuffle_features
from kfp_edge.tasks.importance_figure import add_importance
from kfp_edge.tasks.regression import plots
from kfp_edge.tasks.regression.predictions import NumberPredictions
from kfp_edge.tasks.regression.tenths import Tenth, measure_tenths
from kfp_edge.tasks.task import Evaluation

_MAX_GROUPS = 30
_WORST_ROWS = 5
_MAX_FEATURES = 10


def add_figures(page: Page, data: Dataset, evaluation: Evaluation, seed: int) -> None:
    """Add the figures of a fitted regressor on held-out rows to a report."""
    predictions = evaluation.predictions
    assert isinstance(predictions, NumberPredictions)
    residual = data.target_values() - predictions.value
    page.heading("Predicted and true values")
    page.text(
        "A good model follows the dotted line. On the right are the residuals; the median of each tenth of the rows "
        "stays near 0 where a model is right on average, and the black lines hold the middle half."
    )
    page.figure(plots.plot_predictions(data, predictions), "predicted against true values, and residuals")
    page.heading("Residuals")
    page.figure(plots.plot_residuals(data, predictions), "histogram of the residuals, and residuals over time")
    if data.roles.group:
        _add_groups(page, data, residual)
    if predictions.levels:
        _add_quantiles(page, data, predictions)
    importance = measure_importance(evaluation.estimator, data, seed)
    _add_worst_rows(page, data, predictions, residual, importance)
    add_importance(page, importance, "rise of the mean absolute error")


def measure_importance(estimator: Pipeline, data: Dataset, seed: int) -> Importance:
    """Return the rise of the mean absolute error where a feature is shuffled, on a sample of the held-out rows."""
    count = min(SAMPLED_ROWS, len(data.frame))
    rows: Int64s = np.random.default_rng(seed).choice(len(data.frame), count, replace=False)
    return shuffle_features(estimator, data, rows, data.target_values()[rows], _score, seed)


def _score(truth: Labels | Float64s, predicted: Labels | Float64s) -> float:
    return -float(mean_absolute_error(truth, predicted))


def _add_groups(page: Page, data: Dataset, residual: Float64s) -> None:
    """Add the residuals of each group, those with the largest errors first."""
    groups = pd.Series(residual).groupby(data.frame[data.roles.group].to_numpy())
    parts = [(str(name), np.asarray(values, dtype=np.float64)) for name, values in groups]
    parts.sort(key=lambda part: (-np.abs(part[1]).mean(), part[0]))
    page.heading(f"Residuals by {data.roles.group}")
    listed = parts[:_MAX_GROUPS]
    more = f" {len(listed)} of {len(parts):,} groups are listed." if len(parts) > len(listed) else ""
    page.text(f"The groups with the largest errors are first; lines reach from 5 % to 95 % of the residuals.{more}")
    page.figure(plots.plot_groups(parts), "residuals of each group")
    header = (data.roles.group, "rows", "mean absolute error", "mean of true - predicted")
    page.table(header, [(name, f"{len(part):,}", *_sum_up(part)) for name, part in listed])


def _sum_up(residual: Float64s) -> tuple[str, str]:
    return format_number(np.abs(residual).mean()), format_number(residual.mean())


def _add_quantiles(page: Page, data: Dataset, predictions: NumberPredictions) -> None:
    """Add how often the quantiles hold, and how far apart they are, in tenths of the rows by their prediction."""
    lowest, highest = (f"{level:g}" for level in (predictions.levels[0], predictions.levels[-1]))
    value = predictions.value
    outside = int(((value < predictions.quantiles[:, 0]) | (value > predictions.quantiles[:, -1])).sum())
    page.heading("Quantiles")
    page.text(
        f"True values between the quantiles {lowest} and {highest}, in tenths of the rows by their prediction; grey "
        "lines are 95 % intervals. Quantiles are sorted, so that none crosses another. The prediction is a mean, which "
        f"may be beyond them where values are spread unevenly: it is in {outside:,} of {len(value):,} rows."
    )
    page.figure(plots.plot_coverage(data, predictions), "share of true values between the quantiles")
    header = ("predicted", "rows", f"below {lowest}", "between", "95 % interval", f"above {highest}", "mean distance")
    tenths = measure_tenths(predictions, data.target_values(), find_clusters(data))
    page.table(header, [_sum_up_tenth(tenth) for tenth in tenths])


def _sum_up_tenth(tenth: Tenth) -> tuple[str, ...]:
    below, covered, above = (f"{share:.3f}" for share in (tenth.below.share, tenth.covered, tenth.above.share))
    return tenth.range, f"{tenth.rows:,}", below, covered, str(tenth.interval), above, format_number(tenth.width)


def _add_worst_rows(
    page: Page, data: Dataset, predictions: NumberPredictions, residual: Float64s, importance: Importance
) -> None:
    """Add the rows with the largest residuals: one column for each of them, because features may be many."""
    worst = np.argsort(-np.abs(residual), kind="stable")[:_WORST_ROWS]
    page.heading("Rows with the largest errors")
    if len(data.roles.features) > _MAX_FEATURES:
        page.text(f"With the {_MAX_FEATURES} most important of {len(data.roles.features):,} features.")
    page.table(("", *(f"row {row}" for row in worst)), _describe_rows(data, predictions, worst, importance))


def _describe_rows(
    data: Dataset, predictions: NumberPredictions, rows: Int64s, importance: Importance
) -> Iterable[tuple[object, ...]]:
    truth = data.target_values()
    yield f"true {data.roles.target}", *(float(truth[row]) for row in rows)
    yield "predicted", *(float(predictions.value[row]) for row in rows)
    for level, quantile in zip(predictions.levels, predictions.quantiles.T, strict=True):
        yield f"quantile {level:g}", *(float(quantile[row]) for row in rows)
    for name in (data.roles.group, data.roles.time):
        if name:
            yield name, *(str(data.frame[name].iloc[row]) for row in rows)
    for name in importance.names[:_MAX_FEATURES]:
        yield name, *data.frame[name].iloc[rows]
