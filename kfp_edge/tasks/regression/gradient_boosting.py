"""Fit gradient-boosted trees that predict a number and quantiles of it."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import BaseCrossValidator, GroupKFold, KFold
from sklearn.pipeline import Pipeline

from kfp_edge.errors import DataError, ParameterError
from kfp_edge.estimators.estimator import Estimator, refuse_unsuitable_rows
from kfp_edge.estimators.preprocessing import make_preprocessing
from kfp_edge.ml.arrays import Int64s
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.estimators import iterate_parts
from kfp_edge.tasks.regression.quantile_regressor import QuantileRegressor
from kfp_edge.tasks.task import TrainingOptions

#: Parts, each predicted by regressors that were fitted on the others, by which quantiles are corrected.
_FOLDS = 5
#: A tree needs at least twice this many rows to split once, which is scikit-learn's own limit.
_MIN_ROWS = 40
#: Hardly any value lies between levels that are closer, so that their coverage cannot be checked.
_CLOSEST_LEVELS = 0.001


def check_quantiles(levels: Sequence[float]) -> None:
    """Refuse levels that are none.

    Raises:
        ParameterError: there is one only, one is not between 0 and 1, one occurs twice, or two are almost the same.
    """
    if not levels:
        return
    example = "give at least two different shares between 0 and 1, such as [0.1, 0.9]."
    if any(isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1 for level in levels):
        raise ParameterError(f"quantiles is {list(levels)}; {example}")
    if len(set(levels)) < max(len(levels), 2):
        raise ParameterError(f"quantiles is {list(levels)}; {example}")
    for low, high in pairwise(sorted(levels)):
        if round(high - low, 9) < _CLOSEST_LEVELS:  # 0.9 - 0.899 is a little below 0.001
            raise ParameterError(
                f"quantiles has {low!r} and {high!r}, between which hardly any value lies; give levels "
                f"that are at least {_CLOSEST_LEVELS:g} apart, such as [0.1, 0.9]."
            )


def check_options(estimator: Estimator, quantiles: Sequence[float]) -> None:
    """Refuse levels of quantiles that are none, and an estimator that predicts none.

    Raises:
        ParameterError: with the first of them.
    """
    check_quantiles(quantiles)
    if quantiles and estimator.model is not HistGradientBoostingRegressor:
        raise ParameterError(
            f"{estimator.name} predicts no quantiles; give estimator=hist_gradient_boosting, or leave quantiles empty."
        )


def check_rows(data: Dataset) -> None:
    """Refuse too few rows.

    Raises:
        DataError: with the number of rows that are needed.
    """
    if len(data.frame) < _MIN_ROWS:
        raise DataError(f"{len(data.frame)} training rows are too few to predict a number; give at least {_MIN_ROWS}.")


def fit_with_quantiles(data: Dataset, estimator: Estimator, options: TrainingOptions) -> Pipeline:
    """Fit a Pipeline whose last step predicts the target, and the quantiles of the levels in `options`.

    Raises:
        ParameterError: a hyperparameter cannot be used.
    """
    hyperparameters, seed = estimator.check(options.hyperparameters), options.seed
    given = options.quantile_hyperparameters
    of_quantiles = hyperparameters if given is None else estimator.check(given)
    rows, target = data.x(), data.target_values()
    prepare = make_preprocessing(data.roles, rows, estimator.numbers)
    steps, x = [], rows
    if isinstance(prepare, ColumnTransformer):
        steps, x = [("prepare", prepare)], prepare.fit_transform(rows)
    levels = tuple(sorted(float(level) for level in options.quantiles))
    of_levels = [
        estimator.build_model(seed, {**of_quantiles, "loss": "quantile", "quantile": level}) for level in levels
    ]
    folds, groups = _choose_folds(data, seed)
    number = estimator.build_model(seed, hyperparameters)
    with refuse_unsuitable_rows(estimator):
        model = QuantileRegressor(number, of_levels, levels).fit(x, target, folds, groups)
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
