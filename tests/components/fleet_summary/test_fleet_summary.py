from pathlib import Path

import pytest

from kfp_edge.components.fleet_summary.fleet_summary import fleet_summary
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.bundle import Histogram, Reference, write_bundle
from support.bundles import tiny_model, tiny_samples, tiny_signature


def bundle(folder: Path, name: str, **metrics: float) -> Path:
    histogram = Histogram(edges=(0.0, 1.0), counts=(3,))
    write_bundle(
        folder / name,
        model=tiny_model(),
        signature=tiny_signature(),
        samples=tiny_samples(name, "1.0.0"),
        reference=Reference(rows=3, features={"x0": histogram, "x1": histogram}),
        model_card="# Tiny\n",
        name=name,
        version="1.0.0",
        task="anomaly",
        opset=18,
        data_sha256="0" * 64,
        metrics=metrics,
    )
    return folder / name


def test_the_fleet_is_told_by_its_worst_and_best(tmp_path: Path) -> None:
    folders = [bundle(tmp_path, "press-1", recall=0.5), bundle(tmp_path, "press-2", recall=0.75)]
    found = fleet_summary(folders, tmp_path / "report.html")
    assert found == {"models": 2, "lowest_recall": 0.5, "highest_recall": 0.75}


def test_the_report_names_every_model_the_worst_first(tmp_path: Path) -> None:
    folders = [bundle(tmp_path, f"press-{number}", event_recall=number / 4) for number in (3, 1, 2)]
    fleet_summary(folders, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert sorted(["press-1", "press-2", "press-3"], key=page.rindex) == ["press-1", "press-2", "press-3"]


def test_only_what_all_models_measured_is_compared(tmp_path: Path) -> None:
    folders = [bundle(tmp_path, "press-1", recall=0.5, roc_auc=1), bundle(tmp_path, "press-2", recall=0.75)]
    assert "lowest_roc_auc" not in fleet_summary(folders, tmp_path / "report.html")


def test_models_without_a_common_metric_are_listed_all_the_same(tmp_path: Path) -> None:
    folders = [bundle(tmp_path, "press-1", roc_auc=1), bundle(tmp_path, "press-2", recall=0.75)]
    assert fleet_summary(folders, tmp_path / "report.html") == {"models": 2}
    assert "press-2" in (tmp_path / "report.html").read_text()


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    folders = [bundle(tmp_path / "a", "press", recall=0.5), bundle(tmp_path / "b", "press", recall=0.75)]
    with pytest.raises(KfpEdgeError, match="two models are called 'press'; give each asset a name of its own"):
        fleet_summary(folders, tmp_path / "report.html")


def test_an_empty_fleet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match="there is no model to compare; name at least one asset"):
        fleet_summary([], tmp_path / "report.html")
