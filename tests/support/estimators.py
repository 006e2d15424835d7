"""Small tables of every kind, and fast hyperparameters for every estimator."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from kfp_edge.components.export.export import export_model
from kfp_edge.components.train.train import fit
from kfp_edge.estimators.estimator import Estimator
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.ml.skops_model import load_model, save_model
from kfp_edge.ml.threads import limit_threads
from kfp_edge.tasks.predictions import Predictions
from kfp_edge.tasks.registry import predict, predict_onnx
from kfp_edge.tasks.task import TrainingOptions
from support.tables import SHA, choose_rate

#: The kinds of data: numbers, with missing ones, text columns only, and all of them.
KINDS = ("numbers", "missing numbers", "text", "mixed with missing")
_ROWS = 240
_FALSE_ALARM_RATE = 0.05
#: Few trees and few rounds, by the parameter that says how many.
_FEW = {"n_estimators": 12, "max_iter": 30}
_CONVERGING = ("logistic_regression", "linear_svm", "elastic_net", "ridge", "svm", "one_class_svm")


def choose_fast_hyperparameters(estimator: Estimator) -> dict[str, object]:
    """Return hyperparameters that make an estimator small."""
    if estimator.name in _CONVERGING:
        return {}
    known = estimator.model().get_params()
    return {name: value for name, value in _FEW.items() if name in known}


def make_table(task: str, kind: str, seed: int) -> Dataset:
    """Return rows whose columns have hard scales: far from 0, tiny, over many powers of ten, whole numbers."""
    rng = np.random.default_rng(seed)
    pressure, tiny, count = rng.normal(size=_ROWS), rng.normal(size=_ROWS), rng.integers(0, 9, _ROWS)
    part = rng.choice(list("ABCDE"), _ROWS)
    columns: dict[str, object] = {}
    if kind != "text":
        columns = {
            "pressure [Pa]": 101_325 + 50 * pressure,
            "tiny": 1e-4 * tiny,
            "wide": np.exp(2 * rng.normal(size=_ROWS)),
            "count": count.astype(float),
        }
    frame = pd.DataFrame(columns).astype(np.float32)
    numeric, text = tuple(frame.columns), ()
    if kind in ("text", "mixed with missing"):
        frame["part"] = pd.Series(part, dtype=object)
        frame["side"] = pd.Series(rng.choice(["left", "right"], _ROWS), dtype=object)
        text = ("part", "side")
    value = pressure + tiny + count / 4 + (part == "B") + 0.5 * rng.normal(size=_ROWS)
    if "missing" in kind:
        for name in numeric:
            frame.loc[rng.random(_ROWS) < 0.1, name] = np.nan
        if text:
            frame.loc[rng.random(_ROWS) < 0.1, "part"] = None
    return _with_target(frame, task, numeric, text, value, has_many_classes=seed % 2 == 1)


def _with_target(
    frame: pd.DataFrame,
    task: str,
    numeric: tuple[str, ...],
    text: tuple[str, ...],
    value: np.ndarray,
    *,
    has_many_classes: bool,
) -> Dataset:
    if task == "classification" and has_many_classes:
        names = np.array(["good", "fair", "poor"], dtype=object)
        frame["target"] = pd.Series(names[np.digitize(value, np.quantile(value, [0.5, 0.8]))], dtype=object)
    elif task == "classification":
        frame["target"] = (value > np.quantile(value, 0.7)).astype(np.int64)
    elif task == "regression":
        frame["target"] = 1_000_000 + 70 * value
    return Dataset(frame, Roles(task, "target" if "target" in frame else "", numeric, text), SHA)


def train_fast(estimator: Estimator, data: Dataset, seed: int = 0, **hyperparameters: object) -> Pipeline:
    """Fit a small model as the train component does, with one thread."""
    options = TrainingOptions(
        seed=seed,
        estimator=estimator.name,
        hyperparameters=choose_fast_hyperparameters(estimator) | hyperparameters,
        false_alarm_rate=choose_rate(data, _FALSE_ALARM_RATE),
    )
    with limit_threads(data):
        return fit(data, options)


def predict_both(folder: Path, model: Pipeline, train: Dataset, rows: Dataset) -> tuple[Predictions, Predictions]:
    """Return the predictions of a saved model and of its export, on the rows of both tables."""
    save_model(model, folder / "model.skops")
    export_model(folder / "model.skops", train, folder / "model.onnx")
    both = replace(rows, frame=pd.concat([rows.frame, train.frame], ignore_index=True))
    exported = OnnxModel.load(folder / "model.onnx")
    with limit_threads(both):
        return predict(load_model(folder / "model.skops"), both), predict_onnx(exported, both.x())
