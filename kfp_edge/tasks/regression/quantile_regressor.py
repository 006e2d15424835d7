"""A regressor with quantiles: a number, and further regressors for quantiles of it that never cross."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.model_selection import BaseCrossValidator, cross_val_predict
from sklearn.utils.validation import check_is_fitted, validate_data

from kfp_edge.ml.arrays import Float64s, Int64s

#: Rows on which the quantiles are corrected at most; more do not make them better.
_MAX_CORRECTED_ROWS = 100_000


class QuantileRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predicts a number with one regressor, and quantiles of it with one for each level.

    A regressor fitted on the quantile loss predicts quantiles that are too near to each other, as it has seen the rows.
    So each is moved by the quantile, of the same level, of what is left of the target in rows that a copy of it, fitted
    on other rows, predicts (cross-conformal prediction: Vovk 2015; Romano et al. 2019). Sorting lets none cross
    another, and brings each nearer to the true quantile (Chernozhukov et al. 2010).

    Args:
        regressor: Predicts the number.
        quantile_regressors: Predict the quantiles; as many as levels.
        levels: The share of the true numbers that should lie below each quantile, ascending.

    Attributes:
        regressor_: The fitted regressor.
        quantile_regressors_: The fitted regressors of the quantiles.
        shifts_: What is added to each quantile, shape [levels].
    """

    def __init__(
        self,
        regressor: BaseEstimator | None = None,
        quantile_regressors: Sequence[BaseEstimator] = (),
        levels: Sequence[float] = (),
    ) -> None:
        self.regressor = regressor
        self.quantile_regressors = quantile_regressors
        self.levels = levels

    def fit(
        self,
        x: Float64s | pd.DataFrame,
        y: Float64s,
        folds: BaseCrossValidator | int | None = None,
        groups: Int64s | None = None,
    ) -> Self:
        """Fit all regressors, and correct the quantiles.

        Args:
            x: The rows, shape [rows, columns].
            y: The numbers, shape [rows].
            folds: How rows are divided for the correction.
            groups: The group of each row, shape [rows], where `folds` keep groups together.
        """
        validate_data(self, x, skip_check_array=True)
        self.regressor_ = clone(self.regressor).fit(x, y)
        self.quantile_regressors_ = [clone(regressor).fit(x, y) for regressor in self.quantile_regressors]
        rows = np.unique(np.linspace(0, len(y) - 1, min(len(y), _MAX_CORRECTED_ROWS)).astype(np.int64))
        some = x.iloc[rows] if isinstance(x, pd.DataFrame) else x[rows]
        some_groups = None if groups is None else groups[rows]
        self.shifts_ = np.zeros(len(self.levels))
        for index, (regressor, level) in enumerate(zip(self.quantile_regressors, self.levels, strict=True)):
            unseen = cross_val_predict(regressor, some, y[rows], cv=folds, groups=some_groups)
            self.shifts_[index] = np.quantile(y[rows] - unseen, level, method="median_unbiased")
        return self

    def predict(self, x: Float64s | pd.DataFrame) -> Float64s:
        """Return the predicted number of each row, shape [rows]."""
        check_is_fitted(self)
        return np.asarray(self.regressor_.predict(x), dtype=np.float64)

    def predict_quantiles(self, x: Float64s | pd.DataFrame) -> Float64s:
        """Return the quantiles of each row, ascending, shape [rows, levels]."""
        check_is_fitted(self)
        columns = [regressor.predict(x) for regressor in self.quantile_regressors_]
        return np.sort(np.column_stack(columns) + self.shifts_, axis=1)
