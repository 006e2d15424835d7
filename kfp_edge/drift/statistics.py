"""How far two distributions over the same bins are apart, and how likely chance alone is.

The population stability index says how large a difference is, whatever the number of rows. Without drift it is still
above 0: about (1/n + 1/m) times a chi-squared number with one degree of freedom less than bins, for n and m independent
rows (Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan University, 2018). So a second
number says whether chance can explain it: the p-value of Pearson's test of homogeneity. Rows of one sensor are not
independent, and parts of the window show by how much: the rows of a part are taken together as one cluster, and the
test is corrected by the variance between clusters (Rao and Scott, "On Chi-Squared Tests for Multiway Contingency Tables
with Cell Proportions Estimated from Survey Data", Annals of Statistics 12, 1984), to the second order.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import f as f_distribution

from kfp_edge.ml.arrays import Int64s

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


def compare(parts: Int64s, reference: Int64s) -> Change:
    """Compare a window with a reference.

    Args:
        parts: Rows of each part of the window in each bin, shape [parts, bins], parts in the order of time.
        reference: Rows of the reference in each bin, shape [bins].
    """
    psi = compute_psi(parts.sum(axis=0), reference)
    parts, reference = _merge_rare_bins(parts, reference)
    freedom = parts.shape[1] - 1
    if freedom < 1:
        return Change(psi, 1.0, 1.0)
    rows, reference_rows = parts.sum(), reference.sum()
    pooled = (parts.sum(axis=0) + reference) / (rows + reference_rows)
    difference = parts.sum(axis=0) / rows - reference / reference_rows
    statistic = float((difference**2 / pooled).sum() * rows * reference_rows / (rows + reference_rows))
    effects = _estimate_design_effects(parts)
    if not effects:
        return Change(psi, None, 1.0)
    p_values = [effect.p_value(statistic, freedom) for effect in effects]
    return Change(psi, max(p_values), max(1.0, *(effect.mean for effect in effects)))


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


def _merge_rare_bins(parts: Int64s, reference: Int64s) -> tuple[Int64s, Int64s]:
    """Return both with neighbouring bins merged until each has enough expected rows of the window."""
    window = parts.sum(axis=0)
    expected = window.sum() * (window + reference) / max(1, window.sum() + reference.sum())
    starts, total = [0], 0.0
    for index, value in enumerate(expected):
        if total >= _LEAST_EXPECTED and expected[index:].sum() >= _LEAST_EXPECTED:
            starts.append(index)
            total = 0.0
        total += value
    return np.add.reduceat(parts, starts, axis=1), np.add.reduceat(reference, starts)


def _estimate_design_effects(parts: Int64s) -> list[_DesignEffect]:
    effects = []
    for size in _PARTS_OF_A_CLUSTER:
        clusters = np.add.reduceat(parts, np.arange(0, len(parts), size), axis=0)
        clusters = clusters[clusters.sum(axis=1) > 0]
        if len(clusters) >= MIN_CLUSTERS:
            effects.append(_estimate_design_effect(clusters))
    if len(effects) > 1 and effects[-1].mean > effects[-2].mean > 0:
        last = effects[-1]
        growth = min(last.mean / effects[-2].mean, 2.0)
        effects.append(replace(last, mean=last.mean * growth**_EXTRAPOLATED_DOUBLINGS))
    return effects


def _estimate_design_effect(clusters: Int64s) -> _DesignEffect:
    """Estimate the variance of the window's shares between clusters (ratio estimator) over that of independent rows."""
    clusters = clusters[:, clusters.sum(axis=0) > 0]
    rows, count = clusters.sum(), len(clusters)
    directions = clusters.shape[1] - 1
    if not directions:  # all rows are in one bin, which says nothing about their dependence
        return _DesignEffect(1.0, 1.0, count)
    shares = clusters.sum(axis=0) / rows
    residuals = (clusters - clusters.sum(axis=1, keepdims=True) * shares) / np.sqrt(shares)
    covariance = residuals.T @ residuals / rows * count / (count - 1)
    trace = float(np.trace(covariance))
    known = count - 1
    # unbiased for the sum of squared eigenvalues (Srivastava, "Some Tests Concerning the Covariance Matrix in High
    # Dimensional Data", Journal of the Japan Statistical Society 35, 2005); that of the estimate is too large
    squares = known**2 / ((known - 1) * (known + 2)) * (float((covariance**2).sum()) - trace**2 / known)
    evenness = trace**2 / squares / directions if squares > 0 else 1.0
    return _DesignEffect(trace / directions, evenness, count)
