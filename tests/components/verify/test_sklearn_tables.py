"""The stages on real tables that scikit-learn ships: models rank and detect well, and bundles are reproducible."""

from pathlib import Path

import pytest

from kfp_edge.components.ingest.ingest import TrainTestSplit, ingest
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.components.train.train import measure
from kfp_edge.ml.bundle import Bundle
from support.models import verify_model, write_model
from support.tables import read_sklearn_table, train_model, write_sklearn_sensor


def _ingest(folder: Path, name: str) -> TrainTestSplit:
    folder.mkdir(parents=True, exist_ok=True)
    read_sklearn_table(name).to_csv(folder / "data.csv", index=False)
    request = IngestOptions(str(folder / "data.csv"), target="target")
    return ingest(request, folder / "train", folder / "test", folder / "report.md")


def _ingest_sensor(folder: Path) -> TrainTestSplit:
    folder.mkdir(parents=True, exist_ok=True)
    data, windows = write_sklearn_sensor(folder)
    request = IngestOptions(
        str(data), task="anomaly", time_column="at", windows=str(windows), rolling_windows=(6,), split="auto"
    )
    return ingest(request, folder / "train", folder / "test", folder / "report.md")


def _make_bundle(folder: Path, parts: TrainTestSplit, **gates: float) -> Bundle:
    return verify_model(write_model(folder, parts.train), parts.train, parts.test, gates=gates)


@pytest.mark.parametrize(("name", "roc_auc"), [("breast_cancer", 0.97), ("wine", 0.97), ("digits", 0.98)])
def test_a_classifier_ranks_the_held_out_rows_of_a_real_table(tmp_path: Path, name: str, roc_auc: float) -> None:
    parts = _ingest(tmp_path, name)
    assert measure(train_model(parts.train), parts.test).metrics["roc_auc"] >= roc_auc


def test_a_detector_raises_an_alarm_in_every_failure_window_of_a_real_series(tmp_path: Path) -> None:
    parts = _ingest_sensor(tmp_path)
    metrics = measure(train_model(parts.train, false_alarm_rate=0.005), parts.test).metrics
    assert (metrics["events"], metrics["event_recall"]) == (2, 1.0)
    assert metrics["false_alarm_rate"] < 0.05


def test_the_same_real_table_gives_the_same_bundle(tmp_path: Path) -> None:
    bundles = [
        _make_bundle(tmp_path / run, _ingest(tmp_path / run, "breast_cancer"), roc_auc=0.97)
        for run in ("first", "second")
    ]
    assert bundles[0].digest == bundles[1].digest


def test_the_same_real_series_gives_the_same_bundle(tmp_path: Path) -> None:
    bundles = [
        _make_bundle(tmp_path / run, _ingest_sensor(tmp_path / run), event_recall=1.0) for run in ("first", "second")
    ]
    assert bundles[0].digest == bundles[1].digest
