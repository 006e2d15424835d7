"""Trees in ONNX take the branch that they take in scikit-learn: near thresholds, and for missing values."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier

from kfp_edge.components.export.export import convert
from kfp_edge.components.export.float32_thresholds import round_down_to_float32
from kfp_edge.components.verify.parity import measure_parity
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.onnx_model import OnnxModel, read_signature
from kfp_edge.tasks.predictions import Predictions
from kfp_edge.tasks.registry import predict, predict_onnx
from support.tables import SHA, failures

TREES: dict[str, BaseEstimator] = {
    "histogram boosting": HistGradientBoostingClassifier(max_iter=40, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=20, random_state=0),
    "random forest": RandomForestClassifier(21, random_state=0),
    "extra trees": ExtraTreesClassifier(21, random_state=0),
    "bagging": BaggingClassifier(n_estimators=11, random_state=0),
    "tree": DecisionTreeClassifier(random_state=0),
}
TAKE_MISSING = sorted(TREES.keys() - {"boosting"})


def _measure(seed: int, rows: int = 3000, *, missing: float = 0.0, digits: int | None = None) -> Dataset:
    """Return measurements about 300 and 1013 in full precision, of which float32 keeps four or five digits."""
    rng = np.random.default_rng(seed)
    wear = np.sin(np.arange(rows) / 150)
    frame = pd.DataFrame(
        {"temp": 300 + wear + 0.3 * rng.normal(size=rows), "pressure": 1013 + 5 * rng.normal(size=rows)}
    )
    frame = frame if digits is None else frame.round(digits)
    frame["temp"] = frame["temp"].mask(rng.random(rows) < missing)
    frame["failed"] = (wear + 0.2 * rng.normal(size=rows) > 0.7).astype(int)
    return Dataset(frame, Roles("classification", "failed", ("temp", "pressure"), ()), SHA)


def _answer(estimator: BaseEstimator, train: Dataset, test: Dataset) -> tuple[Predictions, Predictions]:
    """Return the predictions of a fitted estimator and of its ONNX export for the same rows."""
    proto = convert(estimator, train)
    signature = read_signature(proto)
    assert signature is not None
    return predict(estimator, test), predict_onnx(OnnxModel(proto, signature), test.x())


def _assert_equal(answers: tuple[Predictions, Predictions]) -> None:
    parity = measure_parity(*answers, 1e-6)
    assert not parity.labels_differ.any()
    assert parity.difference.max() < 1e-6


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("digits", [None, 6, 2])
def test_trees_on_measurements_in_full_precision_answer_equally(name: str, digits: int | None) -> None:
    train = _measure(1, digits=digits)
    _assert_equal(_answer(TREES[name].fit(train.x(), train.y()), train, _measure(2, digits=digits)))


@pytest.mark.parametrize("seed", range(3))
def test_many_rows_of_measurements_in_full_precision_answer_equally(seed: int) -> None:
    train = _measure(seed, 20_000)
    model = HistGradientBoostingClassifier(random_state=seed).fit(train.x(), train.y())
    _assert_equal(_answer(model, train, _measure(seed + 10, 20_000)))


@pytest.mark.parametrize("name", TAKE_MISSING)
@pytest.mark.parametrize("missing", [0.0, 0.2], ids=["only at the edge", "in training too"])
def test_a_missing_value_takes_the_branch_that_the_tree_learned(name: str, missing: float) -> None:
    train = _measure(1, missing=missing)
    _assert_equal(_answer(TREES[name].fit(train.x(), train.y()), train, _measure(2, missing=0.3)))


def test_a_missing_value_takes_the_branch_that_an_isolation_forest_learned() -> None:
    train, test = _measure(1, missing=0.2), _measure(2, missing=0.3)
    roles = Roles("anomaly", "failed", ("temp", "pressure"), ())
    train, test = Dataset(train.frame, roles, SHA), Dataset(test.frame, roles, SHA)
    _assert_equal(_answer(IsolationForest(n_estimators=50, random_state=0).fit(train.x()), train, test))


@pytest.mark.parametrize("labels", [("ok", "bad"), (0, 1)])
@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
def test_a_forest_whose_trees_are_divided_gives_the_label_of_scikit_learn(
    kind: type[BaseEstimator], labels: tuple[object, object]
) -> None:
    train, test = (failures(3000, seed, labels=labels, categorical=False) for seed in (0, 1))
    for data in (train, test):  # so noisy that half of the trees is often wrong
        noisy = np.random.default_rng(2).permutation(data.y())
        data.frame["failed"] = pd.Series(np.where(data.frame.index % 2, data.y(), noisy), dtype=data.y().dtype)
    for trees in (2, 20, 50):
        original, exported = _answer(kind(trees, random_state=0).fit(train.x(), train.y()), train, test)
        assert (original.margin == 0).any()
        assert exported.label.tolist() == original.label.tolist()
        assert exported.probabilities is not None
        assert np.abs(exported.probabilities - original.probabilities).max() < 1e-6


def test_the_saved_model_is_not_changed_by_the_conversion() -> None:
    train = _measure(1)
    model = HistGradientBoostingClassifier(max_iter=5).fit(train.x(), train.y())
    before = [predictor.nodes.copy() for (predictor,) in model._predictors]
    convert(model, train)
    assert all(np.array_equal(old, new.nodes) for old, (new,) in zip(before, model._predictors, strict=True))


FLOATS = st.floats(width=64, allow_nan=False)
#: Zeros of both signs, denormals, neighbours and the largest float32.
AWKWARD = [0.0, -0.0, 1e-45, -1e-45, 1e-38, 1.0, float(np.nextafter(np.float32(1), np.float32(2))), 3.4e38, -3.4e38]
#: Without those whose sum is infinite, of which scikit-learn warns.
CLOSE = [value for value in AWKWARD if abs(value) < 1e38] + [1e30, -1e30]


@given(threshold=FLOATS, value=st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(AWKWARD))
def test_every_float32_is_on_the_same_side_of_a_rounded_threshold(threshold: float, value: float) -> None:
    (rounded,) = round_down_to_float32(np.array([threshold]))
    assert rounded.dtype == np.float32
    assert (np.float32(value) <= rounded) == (float(np.float32(value)) <= threshold)


@pytest.mark.parametrize("name", sorted(TREES.keys() - {"boosting"}))
@pytest.mark.parametrize("seed", range(3))
def test_zeros_denormals_and_huge_values_are_binned_equally(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def draw() -> Dataset:
        values: dict[str, npt.NDArray[Any]] = {name: rng.choice(CLOSE, 2000) for name in ("a", "b")}
        failed = ((values["a"] > 0) ^ (values["b"] > 1)) | (rng.random(2000) < 0.1)
        frame = pd.DataFrame(values | {"failed": failed.astype(int)})
        return Dataset(frame, Roles("classification", "failed", ("a", "b"), ()), SHA)

    train = draw()
    _assert_equal(_answer(TREES[name].fit(train.x(), train.y()), train, draw()))
