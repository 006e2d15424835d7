"""Permutation importance of a classifier: the drop in balanced accuracy when the values of one feature are shuffled."""

import pandas as pd
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import Pipeline

from kfp_edge.ml.arrays import Float64s, Labels
from kfp_edge.ml.dataset import Dataset
from kfp_edge.tasks.importance import SAMPLED_ROWS, Importance, shuffle_features


def measure_importance(estimator: Pipeline, data: Dataset, seed: int) -> Importance:
    """Shuffle features on a sample of the held-out rows with as many of each class as there are.

    Balanced accuracy weights classes equally, so more rows of the frequent ones would not make it more exact.
    """
    labels = pd.Series(data.y())
    most = max(SAMPLED_ROWS // labels.nunique(), 1)
    in_random_order = labels.sample(frac=1, random_state=seed)
    rows = in_random_order[in_random_order.groupby(in_random_order).cumcount() < most].index.to_numpy()
    return shuffle_features(estimator, data, rows, labels[rows].to_numpy(), _score, seed)


def _score(labels: Labels | Float64s, predicted: Labels | Float64s) -> float:
    return float(balanced_accuracy_score(labels, predicted))
