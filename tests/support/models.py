"""The stages between a dataset and a bundle, called as functions in one folder."""

from pathlib import Path
from typing import Any

from kfp_edge.components.export.export import export_model
from kfp_edge.components.verify.verify import Requirements, verify
from kfp_edge.ml.bundle import Bundle, ModelIdentity
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.skops_model import save_model
from kfp_edge.model_selection.record import TrainingRecord
from support.tables import train_model

IDENTITY = ModelIdentity("pump", "1.0.0", "abc")


def write_model(folder: Path, data: Dataset, seed: int = 0) -> Path:
    """Train and export a model; write `model.skops` and `model.onnx` into `folder`, and return it."""
    save_model(train_model(data, seed=seed), folder / "model.skops")
    export_model(folder / "model.skops", data, folder / "model.onnx")
    return folder


def verify_model(
    folder: Path, data: Dataset, test_data: Dataset, identity: ModelIdentity = IDENTITY, **requirements: Any
) -> Bundle:
    """Verify the model in `folder`; write `report.html` and the bundle there, and return the bundle."""
    verify(
        folder / "model.skops",
        folder / "model.onnx",
        data,
        test_data,
        Requirements(**{"false_alarm_rate": 0.01, **requirements}),
        identity,
        report=folder / "report.html",
        bundle=folder / "bundle",
        training=TrainingRecord(),
    )
    return Bundle.load(folder / "bundle")
