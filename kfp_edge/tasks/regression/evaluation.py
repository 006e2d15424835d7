"""Measure predicted numbers on held-out rows; `kfp_edge.metrics.catalog` says what each metric means."""

import numpy as np

from kfp_edge.metrics.errors import compute_improvement_p_value, measure_median, measure_r2, measure_ratio
from kfp_edge.metrics.intervals import Interval, measure_share
from kfp_edge.ml.arrays import Float64s, Int64s, Mask
from kfp_edge.tasks.regression.predictions import NumberPredictions


def evaluate(predictions: NumberPredictions, truth: Float64s, baseline: float | None) -> dict[str, float]:
    """Return the metrics of predictions, compared with the true numbers, shape [n].

    They are mae, rmse and median_absolute_error; r2 where the true numbers differ; mae_skill and baseline_p_value where
    a baseline is known; coverage, interval_width and pinball_loss where there are quantiles.

    Args:
        predictions: What the model predicts.
        truth: The true numbers.
        baseline: The number that is predicted without a model: the median of the training rows.

    Raises:
        ModelError: a predicted number is missing.
    """
    predictions.check_finite()
    errors = np.abs(truth - predictions.value)
    metrics = {
        "mae": float(errors.mean()),
        "rmse": float(np.sqrt((errors**2).mean())),
        "median_absolute_error": float(np.median(errors)),
    }
    if (deviations := _deviations(truth)).any():
        metrics["r2"] = 1 - float((errors**2).sum() / deviations.sum())
    if baseline is not None:
        baseline_errors = np.abs(truth - baseline)
        if baseline_errors.any():
            metrics["mae_skill"] = 1 - float(errors.sum() / baseline_errors.sum())
        if len(truth) > 1:
            metrics["baseline_p_value"] = compute_improvement_p_value(errors, baseline_errors)
    if predictions.levels:
        metrics["coverage"] = float(find_covered(predictions, truth).mean())
        metrics["interval_width"] = float((predictions.quantiles[:, -1] - predictions.quantiles[:, 0]).mean())
        metrics["pinball_loss"] = float(_find_pinball_losses(predictions, truth).mean())
    return metrics


def measure_intervals(
    predictions: NumberPredictions, truth: Float64s, baseline: float | None, clusters: Int64s | None
) -> dict[str, Interval]:
    """Return the intervals of the metrics that are errors or shares, by metric.

    Args:
        predictions: What the model predicts.
        truth: The true numbers, shape [n].
        baseline: The number that is predicted without a model.
        clusters: A number for each row, shape [n], the same for rows that depend on each other.
    """
    errors, ones = np.abs(truth - predictions.value), np.ones(len(truth))
    intervals = {
        "mae": measure_ratio(errors, ones, clusters),
        "rmse": _take_root(measure_ratio(errors**2, ones, clusters)),
        "median_absolute_error": measure_median(errors, clusters),
    }
    if _deviations(truth).any():
        intervals["r2"] = measure_r2(errors**2, truth, clusters)
    if baseline is not None and (baseline_errors := np.abs(truth - baseline)).any():
        intervals["mae_skill"] = _subtract_from_one(measure_ratio(errors, baseline_errors, clusters))
    if predictions.levels:
        intervals["coverage"] = measure_share(find_covered(predictions, truth), clusters)
        intervals["pinball_loss"] = measure_ratio(_find_pinball_losses(predictions, truth), ones, clusters)
    return {name: interval for name, interval in intervals.items() if interval is not None}


def find_covered(predictions: NumberPredictions, truth: Float64s) -> Mask:
    """Return the rows, shape [n], whose true number lies between the lowest and the highest quantile."""
    return np.asarray((predictions.quantiles[:, 0] <= truth) & (truth <= predictions.quantiles[:, -1]))


def _find_pinball_losses(predictions: NumberPredictions, truth: Float64s) -> Float64s:
    """Return the pinball loss of each row, shape [n], averaged over the quantiles (Koenker and Bassett, 1978)."""
    errors = truth[:, np.newaxis] - predictions.quantiles
    levels = np.array(predictions.levels)
    losses: Float64s = np.maximum(levels * errors, (levels - 1) * errors).mean(axis=1)
    return losses


def _deviations(truth: Float64s) -> Float64s:
    squares: Float64s = (truth - truth.mean()) ** 2
    return squares if np.ptp(truth) > 0 else np.zeros(len(truth))


def _take_root(interval: Interval | None) -> Interval | None:
    return None if interval is None else Interval(float(np.sqrt(interval.low)), float(np.sqrt(interval.high)))


def _subtract_from_one(interval: Interval | None) -> Interval | None:
    return None if interval is None else Interval(1 - interval.high, 1 - interval.low)
