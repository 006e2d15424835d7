"""Permutation importance: how much worse a model predicts when the values of one feature are shuffled."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from kfp_edge.ml.arrays import Float64s, Int64s, Labels
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.estimators import final_estimator

#: Permutation importance predicts every row many times; this many rows are enough to rank the features.
SAMPLED_ROWS = 2_000
#: Features that are shuffled at most, so that a table of thousands of columns is not predicted ten thousand times.
_MAX_SHUFFLED = 100

#: What is right, what is predicted -> a score, of which higher values are better.
Score = Callable[[Labels | Float64s, Labels | Float64s], float]


@dataclass(frozen=True)
class Importance:
    """The drop in a score by feature, the most important one first; both arrays have shape [features].

    `unmeasured` features are left out: trees split on them too, and gain less by them than by those that were shuffled.
    """

    names: tuple[str, ...]
    mean: Float64s
    deviation: Float64s
    unmeasured: int = 0


def shuffle_features(
    estimator: Pipeline, data: Dataset, rows: Int64s, truth: Labels | Float64s, score: Score, seed: int
) -> Importance:
    """Shuffle features several times each, and measure the drop in a score.

    A feature that no tree splits on has the importance 0 without being shuffled; of the others at most 100 are
    shuffled, those by which the splits gain most.

    Args:
        estimator: The fitted Pipeline.
        data: The held-out rows.
        rows: The numbers of the rows to predict, shape [sampled].
        truth: What is right for them, shape [sampled].
        score: Compares what is right with what is predicted.
        seed: Random seed.
    """
    features = data.x().iloc[rows]
    gains = _sum_gains(estimator, data.roles)
    split_on = sorted((name for name in gains if gains[name] > 0), key=lambda name: -gains[name])
    mean, deviation = dict.fromkeys(gains, 0.0), dict.fromkeys(gains, 0.0)
    if shuffled := split_on[:_MAX_SHUFFLED]:
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
    measured = set(gains) - set(split_on[_MAX_SHUFFLED:])
    names = sorted((name for name in data.roles.features if name in measured), key=lambda name: -mean[name])
    return Importance(
        tuple(names),
        np.array([mean[name] for name in names]),
        np.array([deviation[name] for name in names]),
        unmeasured=len(gains) - len(names),
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


def _sum_gains(estimator: Pipeline, roles: Roles) -> dict[str, float]:
    """Return by feature what the splits of all trees gain by it: 0 where no tree splits on it."""
    gains = dict.fromkeys(roles.features, 0.0)
    columns = _name_columns(estimator, roles)
    final = final_estimator(estimator)
    for trees in getattr(final, "regressor_", final)._predictors:
        for tree in trees:
            for node in tree.nodes[tree.nodes["is_leaf"] == 0]:
                gains[columns[node["feature_idx"]]] += float(node["gain"])
    return gains


def _name_columns(estimator: Pipeline, roles: Roles) -> list[str]:
    """Return the feature that each column of the preprocessed rows comes from."""
    if not roles.categorical:
        return list(roles.features)
    categories = estimator["prepare"].named_transformers_["categorical"].categories_
    indicators = [name for name, values in zip(roles.categorical, categories, strict=True) for _ in range(len(values))]
    return [*roles.numeric, *indicators]
