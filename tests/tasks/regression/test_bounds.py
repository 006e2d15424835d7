"""Predictions stay within the bounds that the target has by its definition, the same in scikit-learn and in ONNX."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.export.export import export_model
from kfp_edge.components.ingest.ingest import ingest
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.components.train.train import fit
from kfp_edge.ml import dataset
from kfp_edge.ml.bounds import Bounds
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.ml.skops_model import load_model, save_model
from kfp_edge.tasks.registry import predict, predict_onnx
from kfp_edge.tasks.regression.predictions import NumberPredictions
from kfp_edge.tasks.task import TrainingOptions
from support.wear_tables import wear

#: 12.1 is no number in single precision.
LOW, HIGH = 5.0, 12.1


def limit(data: Dataset, low: float | None, high: float | None) -> Dataset:
    """Return rows whose target ends at bounds, as a remaining life does."""
    target = data.roles.target
    frame = data.frame.assign(**{target: data.frame[target].clip(low, high)})
    return replace(data, frame=frame, preparation=replace(data.preparation, target_low=low, target_high=high))


def predict_both(folder: Path, data: Dataset, options: TrainingOptions) -> list[NumberPredictions]:
    save_model(fit(data, options), folder / "model.skops")
    export_model(folder / "model.skops", data, folder / "model.onnx")
    in_onnx = predict_onnx(OnnxModel.load(folder / "model.onnx"), data.x())
    return [predict(load_model(folder / "model.skops"), data), in_onnx]  # type: ignore[list-item]


@pytest.mark.parametrize(
    "options",
    [
        TrainingOptions(quantiles=(0.1, 0.9), hyperparameters={"max_iter": 20}),
        TrainingOptions(estimator="hist_gradient_boosting", hyperparameters={"max_iter": 20}),
        TrainingOptions(estimator="linear_regression"),
        TrainingOptions(estimator="random_forest", hyperparameters={"n_estimators": 5}),
        TrainingOptions(estimator="svm"),
    ],
    ids=lambda options: f"{options.estimator}{options.quantiles or ''}",
)
def test_no_number_is_beyond_the_bounds_of_the_target(tmp_path, options):
    data = limit(wear(200), LOW, HIGH)
    without_bounds = replace(data.preparation, target_low=None, target_high=None)
    free = predict(fit(replace(data, preparation=without_bounds), options), data)
    original, in_onnx = predict_both(tmp_path, data, options)
    for predictions in (original, in_onnx):
        numbers = predictions.numbers.astype(np.float64)
        assert numbers.min() >= LOW
        assert numbers.max() <= HIGH
        assert numbers == pytest.approx(np.clip(free.numbers, LOW, HIGH), abs=1e-4)
    beyond = (free.numbers < LOW) | (free.numbers > HIGH)
    assert np.array_equal(in_onnx.numbers[beyond].astype(np.float64), original.numbers[beyond])


def test_one_bound_alone_is_kept(tmp_path):
    data = limit(wear(200), LOW, None)
    original, in_onnx = predict_both(tmp_path, data, TrainingOptions(estimator="linear_regression"))
    assert original.value.min() == in_onnx.value.min() == LOW
    assert original.value.max() > HIGH


def test_the_bounds_of_a_remaining_life_are_0_and_max_rul(tmp_path):
    cycles = np.tile(np.arange(40), 8)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"unit": np.repeat(np.arange(8), 40), "cycle": cycles, "heat": cycles + rng.normal(0, 1, 320)})
    frame.to_csv(tmp_path / "runs.csv", index=False)
    parameters = {
        "task": "regression",
        "data": str(tmp_path / "runs.csv"),
        "time_column": "cycle",
        "group_column": "unit",
        "run_to_failure": True,
        "max_rul": "25",
    }
    ingest(IngestOptions.from_parameters(parameters), tmp_path / "train", tmp_path / "test", tmp_path / "data.md")
    train, test = dataset.load(tmp_path / "train"), dataset.load(tmp_path / "test")
    assert (train.preparation.target_low, train.preparation.target_high) == (0.0, 25.0)
    numbers = predict(fit(train, TrainingOptions(estimator="linear_regression")), test).value
    assert numbers.min() >= 0.0
    assert numbers.max() == 25.0


def test_bounds_are_rounded_inwards():
    rounded = Bounds(0.1, 0.1).round_inwards()
    assert rounded.low > 0.1 > rounded.high
    assert Bounds(-3.0, 125.0).round_inwards() == Bounds(-3.0, 125.0)
