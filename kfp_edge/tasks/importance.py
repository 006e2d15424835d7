"""Permutation importance: how much worse a model predicts when the values of one feature are shuffled."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from kfp_edge.ml.arrays import Float64s, Int64s, Labels
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.estimators import final_estimator

#: Permutation importance predicts every row many times; this many rows are enough to rank the features.
SAMPLED_ROWS = 2_000
#: Features that are shuffled at most, so that a table of thousands of columns is not predicted ten thousand times.
_MAX_SHUFFLED = 100
#: Rows whose answers tell the features apart where there are more of them, and the model says nothing.
_FEW_ROWS = 50

#: What is right, what is predicted -> a score, of which higher values are better.
Score = Callable[[Labels | Float64s, Labels | Float64s], float]


@dataclass(frozen=True)
class Importance:
    """The drop in a score by feature, the most important one first; both arrays have shape [features].

    `unmeasured` features are left out: the model uses them too, and relies less on them than on those that were
    shuffled.
    """

    names: tuple[str, ...]
    mean: Float64s
    deviation: Float64s
    unmeasured: int = 0


def shuffle_features(
    estimator: Pipeline, data: Dataset, rows: Int64s, truth: Labels | Float64s, score: Score, seed: int
) -> Importance:
    """Shuffle features several times each, and measure the drop in a score.

    Of the features at most 100 are shuffled: those on which the model relies most (`rank_features`). A feature that no
    tree splits on has the importance 0 without being shuffled.

    Args:
        estimator: The fitted Pipeline.
        data: The held-out rows.
        rows: The numbers of the rows to predict, shape [sampled].
        truth: What is right for them, shape [sampled].
        score: Compares what is right with what is predicted.
        seed: Random seed.
    """
    features = data.x().iloc[rows]
    reliance = rank_features(estimator, data.roles, features)
    used = sorted((name for name in reliance if reliance[name] > 0), key=lambda name: -reliance[name])
    mean, deviation = dict.fromkeys(reliance, 0.0), dict.fromkeys(reliance, 0.0)
    if shuffled := used[:_MAX_SHUFFLED]:
        result = permutation_importance(
            estimator,
            features[shuffled],
            truth,
            scoring=_make_scorer(features, score),
            n_repeats=5,
            random_state=seed,
        )
        mean |= dict(zip(shuffled, result.importances_mean.tolist(), strict=True))
        deviation |= dict(zip(shuffled, result.importances_std.tolist(), strict=True))
    measured = set(reliance) - set(used[_MAX_SHUFFLED:])
    names = sorted((name for name in data.roles.features if name in measured), key=lambda name: -mean[name])
    return Importance(
        tuple(names),
        np.array([mean[name] for name in names]),
        np.array([deviation[name] for name in names]),
        unmeasured=len(reliance) - len(names),
    )


def _make_scorer(
    features: pd.DataFrame, score: Score
) -> Callable[[BaseEstimator, pd.DataFrame, Labels | Float64s], float]:
    """Return a scorer of an estimator on all features, some of which it gets anew."""

    def score_some(estimator: BaseEstimator, some: pd.DataFrame, truth: Labels | Float64s) -> float:
        whole = features.copy(deep=False)
        whole[some.columns] = some
        return score(truth, estimator.predict(whole))

    return score_some


def rank_features(estimator: Pipeline, roles: Roles, features: pd.DataFrame) -> dict[str, float]:
    """Return by feature how much a fitted model relies on it, in any unit; 0 where it does not use it.

    For histogram-based trees it is what their splits gain by it, for other models what scikit-learn knows of it: the
    importances of trees, or the coefficients of linear models. Where nothing is known, features are as many as are
    shuffled at most, or it is how far the answers for a few rows move when one feature is shuffled.

    Args:
        estimator: The fitted Pipeline.
        roles: The roles of the columns.
        features: Rows to predict, shape [rows, features].
    """
    by_column = _read_reliance(final_estimator(estimator))
    columns = _name_columns(estimator, roles)
    if by_column is not None and len(by_column) == len(columns):
        reliance = dict.fromkeys(roles.features, 0.0)
        for name, value in zip(columns, by_column, strict=True):
            reliance[name] += float(value)
        return reliance
    if len(roles.features) <= _MAX_SHUFFLED:
        return dict.fromkeys(roles.features, 1.0)
    return _measure_movement(estimator, roles, features)


def _read_reliance(model: BaseEstimator) -> Float64s | None:
    """Return how much a model relies on each preprocessed column, shape [columns], or None where it does not say."""
    model = getattr(model, "regressor_", model)  # with quantiles, or with a scaled target
    if hasattr(model, "_predictors"):
        return _sum_gains(model)
    if hasattr(model, "feature_importances_"):
        return np.asarray(model.feature_importances_, dtype=np.float64)
    if hasattr(model, "coef_"):
        return np.asarray(np.abs(np.atleast_2d(model.coef_)).sum(axis=0), dtype=np.float64)
    return None


def _sum_gains(model: BaseEstimator) -> Float64s:
    """Return what the splits of all histogram-based trees gain by each column, shape [columns]."""
    gains = np.zeros(model.n_features_in_)
    for trees in model._predictors:
        for tree in trees:
            branches = tree.nodes[tree.nodes["is_leaf"] == 0]
            np.add.at(gains, branches["feature_idx"], branches["gain"])
    return gains


def _measure_movement(estimator: Pipeline, roles: Roles, features: pd.DataFrame) -> dict[str, float]:
    """Return how far the answers for a few rows move, on average, when the values of one feature move by one row."""
    rows = features.iloc[:_FEW_ROWS]
    answer = estimator.predict_proba if hasattr(estimator, "predict_proba") else estimator.predict
    answers = answer(rows)
    movement: dict[str, float] = {}
    for name in roles.features:
        moved = rows.copy(deep=False)
        moved[name] = np.roll(rows[name].to_numpy(), 1)
        # a model may use a feature that moves no answer of these rows
        movement[name] = float(np.abs(answer(moved) - answers).mean()) + float(np.finfo(np.float64).tiny)
    return movement


def _name_columns(estimator: Pipeline, roles: Roles) -> list[str]:
    """Return the feature that each column of the preprocessed rows comes from."""
    prepare = estimator[0] if isinstance(estimator, Pipeline) else None
    if not roles.categorical or not isinstance(prepare, ColumnTransformer):
        return list(roles.features)
    one_hot = prepare.named_transformers_.get("categorical")
    if not isinstance(one_hot, OneHotEncoder):
        return list(roles.features)
    indicators = [
        name for name, values in zip(roles.categorical, one_hot.categories_, strict=True) for _ in range(len(values))
    ]
    return [*roles.numeric, *indicators]
