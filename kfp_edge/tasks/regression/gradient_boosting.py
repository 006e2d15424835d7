"""Fit gradient-boosted trees that predict a number, and on request quantiles of it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import BaseCrossValidator, GroupKFold, KFold
from sklearn.pipeline import Pipeline

from kfp_edge.errors import DataError, ParameterError
from kfp_edge.ml.arrays import Int64s
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.estimators import iterate_parts
from kfp_edge.tasks.preprocessing import make_preprocessing
from kfp_edge.tasks.regression.quantile_regressor import QuantileRegressor

#: Parts, each predicted by regressors that were fitted on the others, by which quantiles are corrected.
_FOLDS = 5
#: A tree needs at least twice this many rows to split once, which is scikit-learn's own limit.
_MIN_ROWS = 40


def check_quantiles(levels: Sequence[float]) -> None:
    """Refuse levels that are none.

    Raises:
        ParameterError: there is one only, one is not between 0 and 1, or one occurs twice.
    """
    if not levels:
        return
    example = "give at least two different shares between 0 and 1, such as [0.1, 0.9]."
    if any(isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1 for level in levels):
        raise ParameterError(f"quantiles is {list(levels)}; {example}")
    if len(set(levels)) < max(len(levels), 2):
        raise ParameterError(f"quantiles is {list(levels)}; {example}")


def fit_regressor(data: Dataset, seed: int, quantiles: Sequence[float]) -> Pipeline:
    """Fit a Pipeline whose last step predicts the target, and the quantiles of these levels where there are any.

    Raises:
        DataError: there are too few rows.
        ParameterError: the levels of the quantiles are not valid.
    """
    check_quantiles(quantiles)
    rows, target = data.x(), data.target_values()
    if len(rows) < _MIN_ROWS:
        raise DataError(
            f"{len(rows)} training rows are too few for trees to predict a number; give at least {_MIN_ROWS}."
        )
    prepare = make_preprocessing(data.roles, rows, "passthrough")
    steps, x = [], rows
    if isinstance(prepare, ColumnTransformer):
        steps, x = [("prepare", prepare)], prepare.fit_transform(rows)
    model = HistGradientBoostingRegressor(random_state=seed)
    if quantiles:
        levels = tuple(sorted(float(level) for level in quantiles))
        of_levels = [
            HistGradientBoostingRegressor(loss="quantile", quantile=level, random_state=seed) for level in levels
        ]
        folds, groups = _choose_folds(data, seed)
        model = QuantileRegressor(model, of_levels, levels).fit(x, target, folds, groups)
    else:
        model.fit(x, target)
    for part in iterate_parts(model):
        if hasattr(part, "_bin_mapper"):
            # the number of threads that fitted it is of this machine; the trees do not depend on it
            part._bin_mapper.n_threads = None
    return Pipeline([*steps, ("model", model)])


def _choose_folds(data: Dataset, seed: int) -> tuple[BaseCrossValidator, Int64s | None]:
    """Return the folds that resemble use at the edge: other groups, other stretches of time, or any other rows."""
    roles = data.roles
    if roles.group and data.preparation.split != "time":
        codes, groups = pd.factorize(data.frame[roles.group])
        if len(groups) > 1:
            return GroupKFold(min(_FOLDS, len(groups))), np.asarray(codes, dtype=np.int64)
    if roles.time:
        return KFold(_FOLDS), None
    return KFold(_FOLDS, shuffle=True, random_state=seed), None
