"""The positive class: the same table gives the same metrics however its classes are called, and everyone names it."""

from pathlib import Path

import pandas as pd
import pytest

from kfp_edge.components.ingest.ingest import TrainTestSplit, ingest
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.components.train.train import measure
from kfp_edge.errors import KfpEdgeError
from support.models import verify_model, write_model
from support.tables import read_sklearn_table, train_model

#: Malignant, the rarer class, and benign; what is negative comes first, last, or is a number.
LABELS = [("Fail", "Pass"), ("broken", "healthy"), ("yes", "no"), (1, 0), (0, 1)]


def _ingest(folder: Path, labels: tuple[object, object], **options: str) -> TrainTestSplit:
    folder.mkdir()
    frame = read_sklearn_table("breast_cancer")
    frame["target"] = pd.Series([labels[value] for value in frame["target"]])
    frame.to_csv(folder / "data.csv", index=False)
    request = IngestOptions(str(folder / "data.csv"), target="target", **options)
    return ingest(request, folder / "train", folder / "test", folder / "report.md")


def test_the_metrics_are_the_same_however_the_classes_are_called(tmp_path: Path) -> None:
    measured = []
    for number, labels in enumerate(LABELS):
        parts = _ingest(tmp_path / str(number), labels)
        metrics = measure(train_model(parts.train), parts.test).metrics
        assert metrics["recall"] == metrics[f"recall({labels[0]})"]
        measured.append({name: value for name, value in metrics.items() if "(" not in name})
    assert all(metrics == pytest.approx(measured[0], abs=1e-5) for metrics in measured)


def test_another_positive_class_can_be_named(tmp_path: Path) -> None:
    parts = _ingest(tmp_path / "data", ("Fail", "Pass"), positive="Pass")
    evaluation = measure(train_model(parts.train), parts.test)
    assert evaluation.metrics["recall"] == evaluation.metrics["recall(Pass)"]
    assert evaluation.measurement.positive == "Pass"


def test_the_confusion_matrix_has_the_positive_class_last(tmp_path: Path) -> None:
    parts = _ingest(tmp_path / "data", ("Fail", "Pass"))
    curves = measure(train_model(parts.train), parts.test).curves
    assert curves is not None
    names, matrix = curves.confusion
    assert names == ["Pass", "Fail"]
    assert sum(matrix[1]) == (parts.test.y() == "Fail").sum()


def test_card_manifest_report_and_gates_name_it(tmp_path: Path) -> None:
    parts = _ingest(tmp_path / "data", ("Fail", "Pass"))
    folder = write_model(tmp_path, parts.train)
    bundle = verify_model(folder, parts.train, parts.test, gates={"recall(Pass)": 0.5})
    card = (bundle.folder / "model_card.md").read_text()
    assert bundle.manifest.positive == "Fail"
    assert "| positive class | Fail: the rarer class |" in card
    assert "gate recall(Fail)" in card
    assert bundle.manifest.intervals["recall"][0] < bundle.manifest.metrics["recall"]
    assert "positive class" in (folder / "report.html").read_text()
    with pytest.raises(KfpEdgeError, match=r"gate recall\(Fail\) was not met"):
        verify_model(folder, parts.train, parts.test, gates={"recall": ">0.999"})


def test_a_champion_of_another_positive_class_is_refused(tmp_path: Path) -> None:
    parts = _ingest(tmp_path / "fail", ("Fail", "Pass"))
    folder = write_model(tmp_path, parts.train)
    champion = verify_model(folder, parts.train, parts.test).folder.rename(tmp_path / "champion")
    other = _ingest(tmp_path / "pass", ("Fail", "Pass"), positive="Pass")
    with pytest.raises(KfpEdgeError, match="was measured with the positive class 'Fail', this model with 'Pass'"):
        verify_model(folder, other.train, other.test, champion=str(champion))
