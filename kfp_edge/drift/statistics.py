"""How far two distributions over the same bins are apart, and how likely chance alone is.

The population stability index says how large a difference is, whatever the number of rows. Without drift it is still
above 0: about (1/n + 1/m) times a chi-squared number with one degree of freedom less than bins, for n and m independent
rows (Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan University, 2018). So a second
number says whether chance can explain it: the p-value of Pearson's test of homogeneity. Rows of one sensor are not
independent, and parts of the window and the windows before it show by how much: the rows of each are taken together as
one cluster, and the test is corrected by the variance between clusters (Rao and Scott, "On Chi-Squared Tests for
Multiway Contingency Tables with Cell Proportions Estimated from Survey Data", Annals of Statistics 12, 1984), to the
second order.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import f as f_distribution

from kfp_edge.ml.arrays import Float64s, Int64s

#: Bins in which fewer rows of the window are expected are taken together with their neighbours.
_LEAST_EXPECTED = 2.0
#: Clusters are parts of the window, then pairs of parts, then fours: whatever gives the largest variance counts.
_PARTS_OF_A_CLUSTER = (1, 2, 4)
#: Fewer clusters say too little about the variance.
MIN_CLUSTERS = 5
#: So many more doublings of the clusters are extrapolated, if the last one still increased the variance.
_EXTRAPOLATED_DOUBLINGS = 2


@dataclass(frozen=True)
class Change:
    """How a window differs from a reference.

    Attributes:
        psi: The population stability index.
        p_value: The probability of such a difference without drift; None if the window has too few parts with rows.
        rows_per_independent: How many rows of the window say as much as one independent row, at least 1.
    """

    psi: float
    p_value: float | None
    rows_per_independent: float


def compute_psi(window: Int64s, reference: Int64s) -> float:
    """Return the population stability index of two samples, from their rows in each bin.

    Half a row is added to each bin of the reference. As many rows are added to the window, distributed as in the
    reference: an empty bin of a small window is no difference, and neither sample has a share of 0.

    Args:
        window: Rows in each bin, shape [bins].
        reference: Rows in each bin, shape [bins].
    """
    is_used = (window + reference) > 0
    window, reference = window[is_used], reference[is_used]
    added = len(window) / 2
    expected = (reference + 0.5) / (reference.sum() + added)
    actual = (window + added * expected) / (window.sum() + added)
    return float(((actual - expected) * np.log(actual / expected)).sum())


def compare(parts: Int64s, reference: Int64s, history: Int64s | None = None) -> Change:
    """Compare a window with a reference.

    Args:
        parts: Rows of each part of the window in each bin, shape [parts, bins], parts in the order of time.
        reference: Rows of the reference in each bin, shape [bins].
        history: Rows of the windows before in each bin, shape [windows, bins]. They show how much windows differ
            without drift, also where a value moves more slowly than a window is long.
    """
    psi = compute_psi(parts.sum(axis=0), reference)
    starts = _find_bin_starts(parts, reference)
    parts, reference = np.add.reduceat(parts, starts, axis=1), np.add.reduceat(reference, starts)
    freedom = parts.shape[1] - 1
    if freedom < 1:
        return Change(psi, 1.0, 1.0)
    rows, reference_rows = parts.sum(), reference.sum()
    pooled = (parts.sum(axis=0) + reference) / (rows + reference_rows)
    difference = parts.sum(axis=0) / rows - reference / reference_rows
    statistic = float((difference**2 / pooled).sum() * rows * reference_rows / (rows + reference_rows))
    effects = _estimate_design_effects(parts)
    if history is not None and has_history(history):
        effects.append(_estimate_history_effect(np.add.reduceat(history, starts, axis=1)))
    if not effects:
        return Change(psi, None, 1.0)
    p_values = [effect.p_value(statistic, freedom) for effect in effects]
    return Change(psi, max(p_values), max(1.0, *(effect.mean for effect in effects)))


def has_history(history: Int64s) -> bool:
    """Return whether enough of the windows before have rows."""
    return int(np.count_nonzero(history.sum(axis=1))) >= MIN_CLUSTERS


@dataclass(frozen=True)
class _DesignEffect:
    """By how much the shares of a window vary more than those of independent rows.

    Attributes:
        mean: The ratio of both variances, on average over all directions.
        evenness: The share of directions that the variance is in, weighted by its size; 1 if it is the same in all.
        clusters: How many clusters it was estimated from.
    """

    mean: float
    evenness: float
    clusters: int

    def p_value(self, statistic: float, freedom: int) -> float:
        """Return the p-value of Pearson's statistic, which has so many degrees of freedom for independent rows."""
        effect = max(self.mean, 1.0)  # less variance than that of independent rows is chance
        used = min(max(self.evenness * freedom, 1.0), float(freedom))
        return float(f_distribution.sf(statistic / (effect * freedom), used, used * (self.clusters - 1)))


def _find_bin_starts(parts: Int64s, reference: Int64s) -> list[int]:
    """Return where bins begin when neighbours are merged until each has enough expected rows of the window."""
    window = parts.sum(axis=0)
    expected = window.sum() * (window + reference) / max(1, window.sum() + reference.sum())
    starts, total = [0], 0.0
    for index, value in enumerate(expected):
        if total >= _LEAST_EXPECTED and expected[index:].sum() >= _LEAST_EXPECTED:
            starts.append(index)
            total = 0.0
        total += value
    return starts


def _estimate_design_effects(parts: Int64s) -> list[_DesignEffect]:
    effects = []
    for size in _PARTS_OF_A_CLUSTER:
        clusters = np.add.reduceat(parts, np.arange(0, len(parts), size), axis=0)
        if np.count_nonzero(clusters.sum(axis=1)) >= MIN_CLUSTERS:
            effects.append(_estimate_design_effect(clusters))
    if len(effects) > 1 and effects[-1].mean > effects[-2].mean > 0:
        last = effects[-1]
        growth = min(last.mean / effects[-2].mean, 2.0)
        effects.append(replace(last, mean=last.mean * growth**_EXTRAPOLATED_DOUBLINGS))
    return effects


def _estimate_design_effect(clusters: Int64s) -> _DesignEffect:
    """Estimate the variance of the window's shares between clusters (ratio estimator) over that of independent rows."""
    clusters = clusters[clusters.sum(axis=1) > 0][:, clusters.sum(axis=0) > 0]
    rows, count = clusters.sum(), len(clusters)
    directions = clusters.shape[1] - 1
    if not directions:  # all rows are in one bin, which says nothing about their dependence
        return _DesignEffect(1.0, 1.0, count)
    shares = clusters.sum(axis=0) / rows
    residuals = (clusters - clusters.sum(axis=1, keepdims=True) * shares) / np.sqrt(shares)
    covariance = residuals.T @ residuals / rows * count / (count - 1)
    return _describe(covariance, directions, count)


def _estimate_history_effect(windows: Int64s) -> _DesignEffect:
    """Estimate how much windows vary by the differences of those that follow each other.

    These are small where the windows drift slowly; the largest one is left out, or a drift that began there would hide
    itself from the next window on. If windows two apart differ more than neighbours, values move more slowly than a
    window is long, and the variance is extrapolated as that between clusters is.
    """
    windows = windows[windows.sum(axis=1) > 0][:, windows.sum(axis=0) > 0]
    directions, count = windows.shape[1] - 1, len(windows)
    if not directions:
        return _DesignEffect(1.0, 1.0, count)
    near, far = _measure_differences(windows, 1), _measure_differences(windows, 2)
    effect = _describe(near, directions, count - 1)
    growth = min(max(float(np.trace(far)) / max(float(np.trace(near)), 1e-9), 1.0), 2.0)
    return replace(effect, mean=effect.mean * growth**_EXTRAPOLATED_DOUBLINGS)


def _measure_differences(windows: Int64s, lag: int) -> Float64s:
    """Return the covariance of differences of windows, relative to that of independent rows, without `lag` of them."""
    rows = windows.sum(axis=1, keepdims=True)
    shares = windows.sum(axis=0) / rows.sum()
    differences = windows[lag:] / rows[lag:] - windows[:-lag] / rows[:-lag]
    scaled = differences / np.sqrt(shares * (1 / rows[lag:] + 1 / rows[:-lag]))
    kept = scaled[np.argsort((scaled**2).sum(axis=1))[:-lag]]
    covariance: Float64s = kept.T @ kept / len(kept)
    return covariance


def _describe(covariance: Float64s, directions: int, count: int) -> _DesignEffect:
    """Return the design effect of a covariance that was estimated from so many clusters."""
    trace = float(np.trace(covariance))
    known = count - 1
    # unbiased for the sum of squared eigenvalues (Srivastava, "Some Tests Concerning the Covariance Matrix in High
    # Dimensional Data", Journal of the Japan Statistical Society 35, 2005); that of the estimate is too large
    squares = known**2 / ((known - 1) * (known + 2)) * (float((covariance**2).sum()) - trace**2 / known)
    evenness = trace**2 / squares / directions if squares > 0 else 1.0
    return _DesignEffect(trace / directions, evenness, count)
