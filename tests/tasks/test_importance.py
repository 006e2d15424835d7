"""Permutation importance names the features that decide, for every estimator and with any number of features."""

import numpy as np
import pandas as pd
import pytest

from kfp_edge.estimators.classifiers import CLASSIFIERS
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.tasks import importance
from kfp_edge.tasks.classification.importance import measure_importance
from support.estimators import train_fast
from support.tables import SHA


def _make_table() -> Dataset:
    """Return rows of 12 measurements and a text; the third measurement and the text decide."""
    rng = np.random.default_rng(0)
    values, kind = rng.normal(size=(300, 12)).astype(np.float32), rng.choice(["A", "B"], 300)
    names = tuple(f"s{number}" for number in range(12))
    frame = pd.DataFrame(values, columns=list(names)).assign(kind=pd.Series(kind, dtype=object))
    frame["failed"] = (values[:, 2] + (kind == "B") > 0.5).astype(np.int64)
    return Dataset(frame, Roles("classification", "failed", names, ("kind",)), SHA)


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda estimator: estimator.name)
@pytest.mark.parametrize("most", [100, 4])
def test_the_features_that_decide_are_the_most_important_ones(monkeypatch, estimator, most):
    monkeypatch.setattr(importance, "_MAX_SHUFFLED", most)
    data = _make_table()
    measured = measure_importance(train_fast(estimator, data), data, seed=0)
    assert set(measured.names[:2]) == {"s2", "kind"}
    assert measured.unmeasured + len(measured.names) == 13
