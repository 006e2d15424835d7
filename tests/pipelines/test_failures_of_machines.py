"""The line on machines with a failure log, and on runs that end with their failure."""

import re
from pathlib import Path

import pandas as pd
import pytest

from support.failures import VISIBLE_HOURS, make_engines, make_fleet
from support.line import Line, LineResult


@pytest.fixture(scope="module")
def fleet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the rows of eight machines and their failure log."""
    folder, fleet = tmp_path_factory.mktemp("fleet"), make_fleet()
    fleet.rows.to_csv(folder / "telemetry.csv", index=False)
    fleet.failures.to_csv(folder / "failures.csv", index=False)
    return folder


def run_fleet(line: Line, folder: Path) -> LineResult:
    return line.run(
        folder / "telemetry.csv",
        failures=str(folder / "failures.csv"),
        horizon="24h",
        time_column="at",
        group_column="machine",
    )


def test_a_failure_log_gives_a_model_that_announces_failures(line: Line, fleet_folder: Path) -> None:
    result = run_fleet(line, fleet_folder)
    metrics = result.bundle.manifest.metrics
    assert metrics["events"] == 8
    assert metrics["event_recall"] == 1
    assert 12 < metrics["median_lead_time"] <= 24
    assert metrics["false_alarms_per_week"] < 2  # most of them a few hours before the horizon begins
    intervals = result.bundle.manifest.intervals
    assert intervals["event_recall"][1] == 1
    low, high = intervals["false_alarms_per_week"]
    assert low <= metrics["false_alarms_per_week"] <= high
    card = result.read_report("card")
    assert "fails_within_24h" in card
    assert "the machine fails within 24h after the row" in card
    for name in ("card", "train", "verify"):
        report = result.read_report(name)
        assert "with an alarm before" in report
        assert "median_lead_time" in report


def test_no_failure_is_in_both_parts(line: Line, fleet_folder: Path) -> None:
    result = run_fleet(line, fleet_folder)
    parts = result.train_data.frame, result.test_data.frame
    train, test = (
        {
            (row.machine, row.at + pd.Timedelta(hours=row.until))
            for row in part.rename(columns={"time until failure": "until"}).dropna().itertuples()
        }
        for part in parts
    )
    assert len(train) > 20
    assert len(test) == 8
    assert train.isdisjoint(test)
    assert parts[1]["at"].min() - parts[0]["at"].max() > pd.Timedelta("24h")
    assert VISIBLE_HOURS > 24  # the gap is that of the horizon, not of what the sensors show


def test_runs_to_failure_give_a_model_that_announces_the_end(line: Line, tmp_path: Path) -> None:
    make_engines().to_csv(tmp_path / "engines.csv", index=False)
    result = line.run(
        tmp_path / "engines.csv", run_to_failure=True, horizon="30", time_column="cycle", group_column="unit"
    )
    metrics = result.bundle.manifest.metrics
    assert result.train_data.preparation.split == "group"
    assert set(result.train_data.frame["unit"]).isdisjoint(result.test_data.frame["unit"])
    assert metrics["events"] == metrics["event_recall"] * metrics["events"] == result.test_data.frame["unit"].nunique()
    assert 20 < metrics["median_lead_time"] <= 30
    assert "false_alarms_per_week" not in metrics  # cycles are no weeks


def test_a_gate_on_the_lead_time_refuses_alarms_that_are_too_late(line: Line, fleet_folder: Path) -> None:
    result = line.run(
        fleet_folder / "telemetry.csv",
        failures=str(fleet_folder / "failures.csv"),
        horizon="24h",
        time_column="at",
        group_column="machine",
        gates={"median_lead_time": 25},
    )
    assert result.stage == "verify"
    assert re.search(r"gate median_lead_time.*at least 25", result.error)


def test_runs_to_failure_give_a_model_that_predicts_the_remaining_cycles(line: Line, tmp_path: Path) -> None:
    make_engines().to_csv(tmp_path / "engines.csv", index=False)
    result = line.run(
        tmp_path / "engines.csv",
        task="regression",
        run_to_failure=True,
        max_rul="125",
        time_column="cycle",
        group_column="unit",
    )
    assert result.bundle.manifest.metrics["r2"] > 0.9
    assert result.bundle.manifest.metrics["mae"] < 10  # cycles
    assert "the time until the machine fails, at most 125 (20 groups of 'unit'" in result.read_report("card")
    test = result.test_data.frame
    last = test.groupby("unit")["cycle"].transform("max")
    assert test["remaining_useful_life"].tolist() == (last - test["cycle"]).clip(upper=125).tolist()


def test_a_failure_log_gives_a_model_that_predicts_the_remaining_hours(line: Line, fleet_folder: Path) -> None:
    result = line.run(
        fleet_folder / "telemetry.csv",
        task="regression",
        failures=str(fleet_folder / "failures.csv"),
        max_rul="2d",
        time_column="at",
        group_column="machine",
        quantiles=[0.1, 0.9],
    )
    metrics = result.bundle.manifest.metrics
    assert metrics["r2"] > 0.7
    assert metrics["mae"] < 4  # hours
    assert result.test_data.frame["remaining_useful_life [h]"].max() == 48
    train = result.train_data.frame
    known_at = train["at"] + pd.to_timedelta(train["remaining_useful_life [h]"], unit="h")
    assert known_at.max() < result.test_data.frame["at"].min()
