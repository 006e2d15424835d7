"""How well a score ranks the rows of one class above all others."""

import numpy as np
from scipy.stats import mannwhitneyu
from sklearn import metrics as sk

from kfp_edge.metrics.intervals import Interval, measure_roc_auc
from kfp_edge.ml.arrays import Floats, Int64s, Mask

#: The usual level of significance: one in twenty models that know nothing ranks so well by chance.
HIGHEST_P_VALUE = 0.05
#: KFP keeps a ROC curve in its metadata store, so it must stay small.
_MAX_ROC_POINTS = 200


def measure_ranking(truth: Mask, score: Floats) -> dict[str, float]:
    """Return roc_auc, roc_auc_p_value and average_precision; nothing where all rows are of one class.

    Args:
        truth: Whether a row is of the class, shape [n].
        score: What ranks the rows, shape [n].
    """
    if truth.all() or not truth.any():
        return {}
    return {
        "roc_auc": sk.roc_auc_score(truth, score),
        "roc_auc_p_value": mannwhitneyu(score[truth], score[~truth], alternative="greater").pvalue,
        "average_precision": sk.average_precision_score(truth, score),
    }


def measure_ranking_interval(truth: Mask, score: Floats, clusters: Int64s | None) -> dict[str, Interval]:
    """Return the interval of roc_auc; nothing where all rows are of one class.

    Args:
        truth: Whether a row is of the class, shape [n].
        score: What ranks the rows, shape [n].
        clusters: A number for each row, shape [n], the same for rows that depend on each other.
    """
    if truth.all() or not truth.any():
        return {}
    return {"roc_auc": measure_roc_auc(truth, score, clusters)}


def compute_roc(truth: Mask, score: Floats) -> tuple[list[float], list[float], list[float]]:
    """Return the ROC curve as (false positive rate, true positive rate, thresholds), each of at most 200 points.

    Args:
        truth: Whether a row is of the positive class, shape [n].
        score: What ranks the rows, shape [n].
    """
    rates = sk.roc_curve(truth, score)
    indices = np.unique(np.linspace(0, len(rates[0]) - 1, _MAX_ROC_POINTS).astype(int))
    false, true, thresholds = (np.asarray(rate, dtype=float)[indices] for rate in rates)
    # scikit-learn's first threshold is infinite, which JSON cannot represent
    thresholds = np.where(np.isfinite(thresholds), thresholds, score.max() + 1)
    return false.tolist(), true.tolist(), thresholds.tolist()
