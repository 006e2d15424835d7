"""The champion: what cannot be compared is refused in one sentence that says what differs."""

from dataclasses import replace
from pathlib import Path

import pytest

from kfp_edge.components.verify.champion import check_champion
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.bundle import Bundle
from kfp_edge.ml.dataset import Dataset
from kfp_edge.tasks.registry import TASKS
from support.models import verify_model, write_model
from support.tables import anomalies, failures


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of a classifier."""
    return _make_bundle(tmp_path_factory.mktemp("champion"), failures(500)).folder


def _make_bundle(folder: Path, data: Dataset, **requirements: object) -> Bundle:
    return verify_model(write_model(folder, data), data, data, max_latency_ms=1000, **requirements)


def test_a_champion_for_another_task_is_refused(tmp_path: Path, champion: Path) -> None:
    with pytest.raises(KfpEdgeError, match="is a model for classification, this one is for anomaly; compare models of"):
        _make_bundle(tmp_path, anomalies(500), champion=str(champion))


def test_a_champion_that_needs_a_column_which_the_data_lacks_is_refused(tmp_path: Path, champion: Path) -> None:
    data = failures(500)
    frame = data.frame.rename(columns={"torque [Nm]": "torque"})
    renamed = replace(data, frame=frame, roles=replace(data.roles, numeric=("heat [K]", "torque"), features=()))
    with pytest.raises(
        KfpEdgeError, match=r"champion .* needs the column 'torque \[Nm\]', which the data does not have"
    ):
        _make_bundle(tmp_path, renamed, champion=str(champion))


def test_a_champion_of_other_classes_is_refused(tmp_path: Path, champion: Path) -> None:
    with pytest.raises(
        KfpEdgeError, match="has the classes 0, 1, this model 'fine', 'poor'; compare models of the same"
    ):
        _make_bundle(tmp_path, failures(500, labels=("fine", "poor")), champion=str(champion))


def test_detectors_are_compared_by_how_well_they_rank(tmp_path: Path) -> None:
    data = anomalies(500)
    folder = tmp_path / "first"
    folder.mkdir()
    champion = _make_bundle(folder, data).folder
    assert (
        "champion roc_auc"
        in (_make_bundle(tmp_path, data, champion=str(champion)).folder / "model_card.md").read_text()
    )


@pytest.mark.parametrize("unit", [1.0, 1000.0], ids=["metres", "millimetres"])
def test_the_margin_of_an_error_is_a_share_of_the_champions_whatever_the_unit_is(unit: float) -> None:
    for error, passes in ((0.5, True), (0.5049, True), (0.506, False)):
        (check,) = check_champion({"rmse": error * unit}, {"rmse": 0.5 * unit}, ["rmse"], 0.01)
        assert check.passed is passes
        assert check.required.endswith(f"(champion {0.5 * unit:g}, margin 1 %)")


def test_the_margin_of_a_share_is_absolute_in_the_direction_that_is_worse() -> None:
    champion = {"roc_auc": 0.95, "median_lead_time": 40.0}
    checks = check_champion(
        {"roc_auc": 0.945, "median_lead_time": 39.0}, champion, ["median_lead_time", "roc_auc"], 0.01
    )
    assert [(check.name, check.passed) for check in checks] == [
        ("champion median_lead_time", False),
        ("champion roc_auc", True),
    ]
    assert [check.required for check in checks] == [
        "at least 39.6 (champion 40, margin 1 %)",
        "at least 0.94 (champion 0.95, margin 0.01)",
    ]


def test_regressions_are_compared_by_their_errors() -> None:
    assert TASKS["regression"].compared_metrics == ("rmse",)
