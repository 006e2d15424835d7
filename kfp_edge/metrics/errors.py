"""Confidence intervals of errors of predicted numbers, and their comparison with a prediction that knows nothing.

Errors of rows of one machine, or of one stretch of time, resemble each other. Ratios of sums, as a mean is one: the
delta method on the logarithmic scale, with the sums of clusters as the units (Cochran 1977, chapter 6). Medians:
Woodruff (1952). Everything is computed in closed form: the same rows give the same interval.
"""

import numpy as np
from scipy import stats

from kfp_edge.metrics.intervals import CONFIDENCE, Interval, measure_share
from kfp_edge.ml.arrays import Float64s, Int64s

#: Where two clusters differ much, the interval of a ratio has no useful end; beyond this factor it is cut off.
_WIDEST_FACTOR = 1e3


def measure_ratio(numerator: Float64s, denominator: Float64s, clusters: Int64s | None) -> Interval | None:
    """Return the interval of the sum of `numerator` by that of `denominator`; None where there is a single unit.

    Args:
        numerator: A number of at least 0 for each row, shape [n].
        denominator: A number of at least 0 for each row, shape [n]; not all are 0.
        clusters: A number for each row, shape [n], the same for rows that depend on each other.
    """
    whole = float(denominator.sum())
    ratio = float(numerator.sum()) / whole
    deviations: Float64s = numerator - ratio * denominator
    if clusters is not None and np.count_nonzero(sizes := np.bincount(clusters)) > 1:
        deviations = np.bincount(clusters, weights=deviations)[sizes > 0].astype(np.float64)
    units = len(deviations)
    if units < 2:
        return None
    if ratio == 0:
        return Interval(0.0, 0.0)
    variance = units / (units - 1) * float((deviations**2).sum()) / whole**2
    half_width = float(stats.t.ppf((1 + CONFIDENCE) / 2, units - 1)) * np.sqrt(variance) / ratio
    factor = float(np.exp(min(half_width, np.log(_WIDEST_FACTOR))))
    return Interval(ratio / factor, ratio * factor)


def measure_median(values: Float64s, clusters: Int64s | None) -> Interval:
    """Return the interval of the median of `values`, shape [n] with n > 0.

    Args:
        values: The values.
        clusters: A number for each row, shape [n], the same for rows that depend on each other.
    """
    below = values <= np.median(values)
    share = measure_share(below, clusters)
    # the interval of the share of values up to the median, moved to one half, and taken back to values
    ends = np.clip(np.array([share.low, share.high]) + 0.5 - below.mean(), 0, 1)
    low, high = np.quantile(values, ends)
    return Interval(float(low), float(high))


def compute_improvement_p_value(errors: Float64s, baseline_errors: Float64s) -> float:
    """Return the p-value of errors that are lower than those of a baseline by chance only.

    One-sided paired t-tests of absolute and of squared errors; the lower p-value counts twice (Bonferroni), so that
    neither a target of mostly equal values nor a few very large ones decide alone.

    Args:
        errors: The absolute errors of a model, shape [n] with n > 1.
        baseline_errors: The absolute errors of the baseline on the same rows, shape [n].
    """
    p_values = []
    for power in (1, 2):
        gains = baseline_errors**power - errors**power
        if np.ptp(gains) > 0:
            p_values.append(float(stats.ttest_1samp(gains, 0.0, alternative="greater").pvalue))
        else:
            p_values.append(0.0 if gains[0] > 0 else 1.0)
    return min(1.0, 2 * min(p_values))
