"""A detector by principal components: how far a row is from the plane in which the training rows vary."""

from numbers import Integral, Real
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.decomposition import PCA
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import validate_data

from kfp_edge.ml.arrays import Float64s, Int64s

_Rows = pd.DataFrame | npt.NDArray[np.floating]


class PcaResidual(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """The root mean square, over the columns, of what principal components do not explain of a row.

    Jackson and Mudholkar, Technometrics 1979, call its square times the columns the Q statistic. With scaled columns
    it is in their standard deviations.

    Args:
        n_components: The number of components, or the share of the variance that they explain. At least one direction
            in which the rows vary is left out, because without any the residual would be rounding alone.
    """

    _parameter_constraints: ClassVar[dict[str, list[object]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), Interval(Real, 0, 1, closed="neither")]
    }

    def __init__(self, n_components: float = 0.9) -> None:
        self.n_components = n_components

    def fit(self, rows: _Rows, labels: object = None) -> Self:
        """Find the components of rows, shape [rows, columns]; labels are ignored."""
        self._validate_params()
        values = validate_data(self, rows, dtype=np.float64, ensure_min_samples=2)
        components = PCA(svd_solver="covariance_eigh").fit(values)
        variances = components.explained_variance_
        rank = int(np.sum(variances > variances[0] * np.finfo(np.float32).eps)) if variances[0] > 0 else 0
        kept = min(_count_components(components, self.n_components), max(rank - 1, 0))
        self.mean_: Float64s = components.mean_
        self.components_: Float64s = components.components_[:kept]
        self.offset_ = 0.0
        return self

    def score_samples(self, rows: _Rows) -> Float64s:
        """Return the negative residual of each row, shape [rows]: the lower, the more anomalous."""
        values = validate_data(self, rows, dtype=np.float64, reset=False)
        centred = values - self.mean_
        residual = centred - centred @ self.components_.T @ self.components_
        return np.asarray(-np.sqrt(np.mean(residual**2, axis=1)))

    def decision_function(self, rows: _Rows) -> Float64s:
        """Return how far each row is from the threshold, shape [rows]: negative for anomalies."""
        return np.asarray(self.score_samples(rows) - self.offset_)

    def predict(self, rows: _Rows) -> Int64s:
        """Return -1 for anomalies and 1 for other rows, shape [rows]."""
        return np.where(self.decision_function(rows) < 0, -1, 1)


def _count_components(components: PCA, wanted: float) -> int:
    if wanted >= 1:
        return int(wanted)
    explained = np.cumsum(components.explained_variance_ratio_)
    return int(np.searchsorted(explained, wanted) + 1)
