"""Whether probabilities differ from the observed shares by more than chance, and where."""

import numpy as np
from scipy import stats

from kfp_edge.metrics.catalog import format_metric
from kfp_edge.ml.arrays import Float64s, Floats, Int64s, Mask
from kfp_edge.reports.numbers import format_number
from kfp_edge.tasks.classification.evaluation import measure_calibration_error

#: A smaller calibration error makes no difference, and a higher p-value is chance.
_SMALLEST_ERROR, _HIGHEST_P_VALUE = 0.02, 0.001
#: Standard errors by which the probabilities of a tenth are named as wrong.
_FAR = 2.0


def describe_miscalibration(truth: Mask, probability: Floats, clusters: Int64s | None) -> str:
    """Return in one sentence by how much and where probabilities are wrong; "" where that may be chance.

    The test is that of Hosmer and Lemeshow on rows that the model has not seen, in tenths of the probability.

    Args:
        truth: Whether a row is of the positive class, shape [n].
        probability: Its probability, shape [n].
        clusters: A number for each row, shape [n], the same for rows that depend on each other.
    """
    error = measure_calibration_error(truth, probability)
    tenths = np.minimum((probability * 10).astype(np.int64), 9)
    deviations = np.bincount(tenths, weights=truth - probability, minlength=10)
    spread = np.sqrt(np.maximum(_find_variance(truth, probability, tenths, clusters), 1e-9))
    scores = deviations / spread
    p_value = float(stats.chi2.sf((scores**2).sum(), len(np.unique(tenths))))
    if error < _SMALLEST_ERROR or p_value > _HIGHEST_P_VALUE:
        return ""
    faults = [
        f"too {fault} from {np.flatnonzero(is_wrong)[0] / 10:g} to {(np.flatnonzero(is_wrong)[-1] + 1) / 10:g}"
        for fault, is_wrong in (("high", scores < -_FAR), ("low", scores > _FAR))
        if is_wrong.any()
    ]
    where = f": they are {' and '.join(faults)}" if faults else ""
    return (
        f"The probabilities differ from the observed shares by more than chance (calibration error "
        f"{format_number(error)}, p-value {format_metric('calibration_p_value', round(p_value, 6))}){where}."
    )


def _find_variance(truth: Mask, probability: Floats, tenths: Int64s, clusters: Int64s | None) -> Float64s:
    """Return the variance of the sum of what is observed minus its probability in each tenth, shape [10].

    Rows that depend on each other have that of their sums, where it is larger.
    """
    variances = probability.astype(np.float64) * (1 - probability)
    independent = np.bincount(tenths, weights=variances, minlength=10).astype(np.float64)
    if clusters is None:
        return independent
    sums = np.bincount(clusters * 10 + tenths, weights=truth - probability, minlength=(int(clusters.max()) + 1) * 10)
    squares = (sums.reshape(-1, 10) ** 2).sum(axis=0)
    units = len(np.unique(clusters))
    return np.asarray(np.maximum(independent, squares * units / max(units - 1, 1)))
