"""Permutation importance: how much a classifier loses when the values of one feature are shuffled."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from kfp_edge.ml.arrays import Float64s
from kfp_edge.ml.dataset import Dataset

#: Permutation importance predicts every row many times; this many rows are enough to rank the features.
_ROWS = 2_000


@dataclass(frozen=True)
class Importance:
    """The drop in balanced accuracy by feature, the most important one first; both arrays have shape [features]."""

    names: tuple[str, ...]
    mean: Float64s
    deviation: Float64s


def measure_importance(estimator: Pipeline, data: Dataset, seed: int) -> Importance:
    """Shuffle each feature several times, on a sample of the held-out rows with as many of each class as there are.

    Balanced accuracy weights classes equally, so more rows of the frequent ones would not make it more exact.
    """
    labels = pd.Series(data.y())
    most = max(_ROWS // labels.nunique(), 1)
    shuffled = labels.sample(frac=1, random_state=seed)
    rows = shuffled[shuffled.groupby(shuffled).cumcount() < most].index
    result = permutation_importance(
        estimator,
        data.x().iloc[rows],
        labels[rows].to_numpy(),
        scoring="balanced_accuracy",
        n_repeats=5,
        random_state=seed,
    )
    order = np.argsort(-result.importances_mean, kind="stable")
    names = tuple(data.roles.features[index] for index in order)
    return Importance(names, result.importances_mean[order], result.importances_std[order])
