from pathlib import Path

import pytest

from kfp_edge.components.fleet_summary.fleet_summary import write_fleet_summary
from kfp_edge.errors import KfpEdgeError
from support.bundles import tiny_bundle


def bundle(folder: Path, name: str, **metrics: float) -> Path:
    return tiny_bundle(folder / name, name, metrics=metrics).folder


def test_the_summary_has_the_lowest_and_the_highest_value_of_every_metric(tmp_path: Path) -> None:
    folders = [bundle(tmp_path, "press-1", recall=0.5), bundle(tmp_path, "press-2", recall=0.75)]
    summary = write_fleet_summary(folders, tmp_path / "report.html")
    assert summary == {"models": 2, "lowest_recall": 0.5, "highest_recall": 0.75}


def test_the_report_lists_every_model_with_the_worst_first(tmp_path: Path) -> None:
    folders = [bundle(tmp_path, f"press-{number}", event_recall=number / 4) for number in (3, 1, 2)]
    write_fleet_summary(folders, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert sorted(["press-1", "press-2", "press-3"], key=page.rindex) == ["press-1", "press-2", "press-3"]


def test_without_labels_the_model_with_the_most_alarms_is_the_worst(tmp_path: Path) -> None:
    folders = [bundle(tmp_path, f"press-{number}", alarm_rate=number / 10) for number in (1, 3, 2)]
    write_fleet_summary(folders, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert sorted(["press-1", "press-2", "press-3"], key=page.rindex) == ["press-3", "press-2", "press-1"]


def test_the_report_shows_how_certain_a_metric_is(tmp_path: Path) -> None:
    intervals = {"recall": (0.1466, 0.9473)}
    model = tiny_bundle(tmp_path / "press", "press", metrics={"recall": 0.6}, intervals=intervals)
    write_fleet_summary([model.folder], tmp_path / "report.html")
    assert "0.6 (0.1466 to 0.9473)" in (tmp_path / "report.html").read_text()


def test_only_metrics_that_all_models_have_are_compared(tmp_path: Path) -> None:
    folders = [bundle(tmp_path, "press-1", recall=0.5, roc_auc=1), bundle(tmp_path, "press-2", recall=0.75)]
    assert "lowest_roc_auc" not in write_fleet_summary(folders, tmp_path / "report.html")


def test_models_without_a_common_metric_are_still_listed(tmp_path: Path) -> None:
    folders = [bundle(tmp_path, "press-1", roc_auc=1), bundle(tmp_path, "press-2", recall=0.75)]
    assert write_fleet_summary(folders, tmp_path / "report.html") == {"models": 2}
    assert "press-2" in (tmp_path / "report.html").read_text()


def test_two_models_with_the_same_name_are_refused(tmp_path: Path) -> None:
    folders = [bundle(tmp_path / "a", "press", recall=0.5), bundle(tmp_path / "b", "press", recall=0.75)]
    with pytest.raises(KfpEdgeError, match="two models are called 'press'; give each asset a name of its own"):
        write_fleet_summary(folders, tmp_path / "report.html")


def test_an_empty_fleet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match="there is no model to compare; name at least one asset"):
        write_fleet_summary([], tmp_path / "report.html")
