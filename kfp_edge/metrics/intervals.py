"""Confidence intervals of metrics, so that five held-out failures do not look like five thousand.

Rows of one machine, or of one stretch of time, resemble each other: they count as less than so many independent rows.
Shares: the exact interval of Clopper and Pearson (1934) with the effective number of rows of Korn and Graubard (1998).
ROC AUC: DeLong et al. (1988), for clusters Obuchowski (1997), on the logit scale.
Everything is computed in closed form: the same rows give the same interval, and a million rows take about a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from kfp_edge.ml.arrays import Float64s, Floats, Int64s, Mask
from kfp_edge.ml.dataset import Dataset

#: The rows that a share counts, shape [n], and the rows among which it counts them, shape [n].
ShareRows = tuple[Mask, Mask]

#: The probability with which an interval contains the true value.
CONFIDENCE = 0.95
_TAIL = (1 - CONFIDENCE) / 2
#: Consecutive rows are taken as this many blocks.
_TIME_BLOCKS = 20
#: Ends of intervals below it, or below this share of the other end, are shown as 0.
_SMALLEST_SHOWN = 1e-4


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval, both ends included."""

    low: float
    high: float

    def __str__(self) -> str:
        smallest = _SMALLEST_SHOWN * min(1.0, max(abs(self.low), abs(self.high)))
        return " to ".join(f"{end:.4g}" if abs(end) >= smallest else "0" for end in (self.low, self.high))


def has_unseen_groups(data: Dataset) -> bool:
    """Return whether rows are of several groups, which are not in both parts of a split by time."""
    return bool(data.roles.group) and data.preparation.split != "time" and data.frame[data.roles.group].nunique() > 1


def find_clusters(data: Dataset) -> Int64s | None:
    """Return a number for each row, shape [rows], the same for rows that depend on each other; None where none do.

    Rows of one group belong together; so do rows of one stretch of time where there are no groups, or where every group
    is in both parts of a split by time.
    """
    roles = data.roles
    if has_unseen_groups(data):
        return np.asarray(pd.factorize(data.frame[roles.group])[0], dtype=np.int64)
    if roles.time:
        return np.arange(len(data.frame)) * _TIME_BLOCKS // len(data.frame)
    return None


def measure_shares(shares: Mapping[str, ShareRows], clusters: Int64s | None) -> dict[str, Interval]:
    """Return the interval of each share of which there are rows, by its name.

    Args:
        shares: The rows that each share counts, by its name.
        clusters: A number for each row, shape [n], the same for rows that depend on each other.
    """
    return {
        name: measure_share(selected[among], None if clusters is None else clusters[among])
        for name, (selected, among) in shares.items()
        if among.any()
    }


def measure_share(selected: Mask, clusters: Int64s | None) -> Interval:
    """Return the interval of the share of rows that `selected`, shape [n] with n > 0, selects.

    Args:
        selected: One flag for each row.
        clusters: A number for each row, shape [n], the same for rows that depend on each other.
    """
    rows, share = len(selected), float(selected.mean())
    if clusters is None:
        return compute_exact_interval(share * rows, rows)
    sizes = np.bincount(clusters)
    units = np.count_nonzero(sizes)
    if units < 2:
        return compute_exact_interval(share * rows, rows)
    residuals = np.bincount(clusters, weights=selected) - share * sizes
    variance = units / (units - 1) * float((residuals**2).sum()) / rows**2
    effective = min(rows, share * (1 - share) / variance) if variance > 0 else rows
    effective *= (stats.t.ppf(_TAIL, rows - 1) / stats.t.ppf(_TAIL, units - 1)) ** 2
    return compute_exact_interval(share * effective, effective)


def measure_roc_auc(truth: Mask, score: Floats, clusters: Int64s | None = None) -> Interval:
    """Return the interval of the area under the ROC curve.

    Args:
        truth: Whether a row is of the positive class, shape [n]; some are and some are not.
        score: What ranks the rows, shape [n].
        clusters: A number for each row, shape [n], the same for rows that depend on each other.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    above = _measure_share_below(score[truth], score[~truth])
    below = 1 - _measure_share_below(score[~truth], score[truth])
    area = float(above.mean())
    sums = [_sum_by_cluster(above - area, truth, clusters), _sum_by_cluster(below - area, ~truth, clusters)]
    units = [_count_clusters(rows, clusters) for rows in (truth, ~truth)]
    if area in (0.0, 1.0):  # no variance is left to estimate; the bound is that of so many units that all agree
        bound = _TAIL ** (1 / min(units))
        return Interval(bound, 1.0) if area else Interval(0.0, 1 - bound)
    freedom = np.inf if clusters is None else min(units) - 1
    if min(units) < 2:
        variance, freedom = _hanley_mcneil(area, positives, negatives), np.inf
    else:
        variance = sum(
            unit / (unit - 1) * float((deviations**2).sum()) / count**2
            for unit, deviations, count in zip(units, sums, (positives, negatives), strict=True)
        )
        if clusters is not None:
            unit = np.count_nonzero(np.bincount(clusters))
            covariance = unit / (unit - 1) * float((sums[0] * sums[1]).sum()) / (positives * negatives)
            variance = max(variance + 2 * covariance, 0.0)
    half_width = -float(stats.t.ppf(_TAIL, freedom)) * np.sqrt(variance) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    return Interval(*(float(1 / (1 + np.exp(-(logit + sign * half_width)))) for sign in (-1, 1)))


def _measure_share_below(scores: Floats, others: Floats) -> Float64s:
    """Return for each of `scores` the share of `others` below it, those that are equal counted as half."""
    ordered = np.sort(others)
    bounds = [np.searchsorted(ordered, scores, side=side) for side in ("left", "right")]
    return np.asarray(bounds[0] + bounds[1], dtype=np.float64) / (2 * len(others))


def _sum_by_cluster(values: Float64s, rows: Mask, clusters: Int64s | None) -> Float64s:
    """Return the sum of `values`, one for each row that `rows` selects, in every cluster; a row is one where None."""
    if clusters is None:
        return values
    sums = np.bincount(clusters[rows], weights=values, minlength=int(clusters.max()) + 1)
    return sums.astype(np.float64)


def _count_clusters(rows: Mask, clusters: Int64s | None) -> int:
    return int(rows.sum()) if clusters is None else int(np.count_nonzero(np.bincount(clusters[rows])))


def _hanley_mcneil(area: float, positives: int, negatives: int) -> float:
    """Return the variance of the area for a single positive or negative row (Hanley and McNeil, 1982)."""
    first, second = area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
    return (area * (1 - area) + (positives - 1) * first + (negatives - 1) * second) / (positives * negatives)


def compute_exact_rate_interval(count: int, exposure: float) -> Interval:
    """Return the exact interval of a rate, `count` in `exposure` units of time (Garwood, 1936)."""
    low = 0.0 if not count else float(stats.chi2.ppf(_TAIL, 2 * count)) / 2
    return Interval(low / exposure, float(stats.chi2.ppf(1 - _TAIL, 2 * count + 2)) / 2 / exposure)


def compute_exact_interval(successes: float, trials: float) -> Interval:
    """Return the exact interval of a share; the numbers need not be whole."""
    low = 0.0 if successes <= 0 else float(stats.beta.ppf(_TAIL, successes, trials - successes + 1))
    high = 1.0 if successes >= trials else float(stats.beta.ppf(1 - _TAIL, successes + 1, trials - successes))
    return Interval(low, high)
