"""Failure windows: which rows they label, which of them end the training of a detector, and how they are split."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from kfp_edge.components.ingest.ingest import TrainTestSplit
from support.ingest import IngestRunner

Windows = Sequence[Sequence[object]]


class WindowRunner:
    """Runs `ingest` on 100 rows of one sensor, with failure windows."""

    def __init__(self, runner: IngestRunner) -> None:
        self.runner = runner

    def write(self, windows: object, *, is_number: bool = True, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Write the rows, at 0, 1, ... 99 or hourly from 1 January 2024 on, and return their path and the options."""
        path = self.runner.write(json.dumps(windows), "windows.json")
        at = range(100) if is_number else pd.date_range("2024-01-01", periods=100, freq="h")
        rows = pd.DataFrame({"at": at, "load": [row * 37 % 100 / 7 for row in range(100)]})
        options = {"target": "", "drop": (), "time_column": "at", "windows": str(path), **options}
        return self.runner.write(rows, "sensor.csv"), options

    def run(self, windows: object, *, is_number: bool = True, **options: Any) -> TrainTestSplit:
        data, options = self.write(windows, is_number=is_number, **options)
        return self.runner.run(data, **{"task": "anomaly", **options})


@pytest.fixture
def sensor(runner: IngestRunner) -> WindowRunner:
    return WindowRunner(runner)


def find_anomalous(parts: TrainTestSplit) -> list[Any]:
    rows = pd.concat([parts.train.frame, parts.test.frame])
    return sorted(rows.loc[rows["anomaly"] == 1, "at"])


# --- numbers as times


def test_windows_of_a_time_column_of_numbers_are_numbers_with_both_ends_included(sensor: WindowRunner) -> None:
    parts = sensor.run([[60, 62], [80.5, 82]])
    assert find_anomalous(parts) == [60, 61, 62, 81, 82]
    assert parts.train.frame["at"].tolist() == list(range(60))


@pytest.mark.parametrize("window", [["60", "62"], ["2024-01-01", "2024-01-02"], [True, 62], [None, 62]])
def test_windows_that_are_no_numbers_are_refused_where_the_time_column_holds_numbers(
    sensor: WindowRunner, window: list[object]
) -> None:
    data, options = sensor.write([window], task="anomaly")
    sensor.runner.assert_refused(data, "which is no window; write [start, end] as numbers", **options)


def test_numbers_as_windows_are_refused_where_the_time_column_holds_timestamps(sensor: WindowRunner) -> None:
    data, options = sensor.write([[60, 62]], is_number=False, task="anomaly")
    sensor.runner.assert_refused(data, "which is no window; write [start, end] as timestamps", **options)


# --- windows of groups


def write_machines(runner: IngestRunner, windows: object) -> tuple[Any, dict[str, Any]]:
    """Write rows of the machines 01 and 02 at 0, 1, ... 99, and return their path and the options."""
    path = runner.write(json.dumps(windows), "windows.json")
    rows = pd.DataFrame({"at": range(100), "load": [row * 37 % 100 / 7 for row in range(100)]})
    both = pd.concat([rows.assign(machine="01"), rows.assign(machine="02", load=rows["load"] + 0.01)])
    options = {"target": "", "drop": (), "time_column": "at", "group_column": "machine", "windows": str(path)}
    return runner.write(both), {"task": "anomaly", **options}


def test_windows_of_a_machine_that_is_written_otherwise_are_refused_with_both_names(runner: IngestRunner) -> None:
    data, options = write_machines(runner, {"1": [[60, 62]]})
    runner.assert_refused(data, "it has windows for '1'; write them alike: '1' is '01' in the data", **options)


def test_one_machine_of_several_that_is_written_otherwise_is_warned_of(runner: IngestRunner) -> None:
    data, options = write_machines(runner, {"01": [[60, 62], [80, 82]], "2": [[60, 62]]})
    warnings = "\n".join(runner.run(data, split="time", **options).train.preparation.warnings)
    assert "the failure windows of '2' are not used" in warnings
    assert "write them alike: '2' is '02' in the data" in warnings


# --- windows without rows


def test_a_window_that_began_before_the_data_does_not_end_the_training(sensor: WindowRunner) -> None:
    parts = sensor.run([[-10, 4], [60, 62]])
    assert parts.train.frame["at"].max() == 59
    # a detector learns from the rows labelled 0 only
    assert parts.train.y().tolist() == [1] * 5 + [0] * 55


@pytest.mark.parametrize("windows", [[[-10, 4], [3, 9], [60, 62]], [[-10, 4], [5, 9], [60, 62]]])
def test_a_window_with_no_normal_row_before_it_does_not_end_the_training(
    sensor: WindowRunner, windows: Windows
) -> None:
    parts = sensor.run(windows)
    assert parts.train.y().tolist() == [1] * 10 + [0] * 50


def test_a_window_before_the_data_is_stated_and_does_not_end_the_training(sensor: WindowRunner) -> None:
    parts = sensor.run([[-30, -20], [60, 62]])
    assert parts.train.frame["at"].tolist() == list(range(60))
    warnings = parts.train.preparation.warnings
    assert "1 failure window contains no row of the data (the first is -30.0 to -20.0)" in warnings


def test_a_window_between_two_rows_is_stated_and_does_not_end_the_training(sensor: WindowRunner) -> None:
    parts = sensor.run(
        [["2024-01-01 05:10", "2024-01-01 05:50"], ["2024-01-03 12:00", "2024-01-03 14:00"]], is_number=False
    )
    assert parts.train.frame["at"].max() == pd.Timestamp("2024-01-03 11:00")
    expected = "1 failure window contains no row of the data (the first is 2024-01-01 05:10:00 to 2024-01-01 05:50:00)"
    assert expected in parts.train.preparation.warnings


# --- windows that overlap


@pytest.mark.parametrize(
    "windows", [[[60, 64], [62, 66]], [[62, 66], [60, 64]], [[60, 66], [61, 62]], [[60, 62], [62, 66]]]
)
def test_windows_that_overlap_are_one(sensor: WindowRunner, windows: Windows) -> None:
    parts = sensor.run(windows)
    assert find_anomalous(parts) == list(range(60, 67))
    assert not any("contains no row" in warning for warning in parts.train.preparation.warnings)


# --- the split by time of a classifier


def split_by_time(sensor: WindowRunner, windows: Windows) -> TrainTestSplit:
    return sensor.run(windows, task="classification", split="time", test_fraction=0.3)


REASON = "rows of a failure window that reaches into the test part"


def test_a_split_by_time_cuts_no_window_in_two(sensor: WindowRunner) -> None:
    parts = split_by_time(sensor, [[20, 29], [66, 75]])
    assert parts.test.frame["at"].min() == 70
    assert parts.train.frame.loc[parts.train.frame["anomaly"] == 1, "at"].tolist() == list(range(20, 30))
    assert parts.train.frame["at"].max() == 65
    assert parts.train.preparation.left_out[REASON] == 4


def test_a_split_by_time_cuts_no_windows_that_overlap_in_two(sensor: WindowRunner) -> None:
    parts = split_by_time(sensor, [[20, 29], [60, 66], [66, 75]])
    assert parts.train.frame["at"].max() == 59
    assert parts.train.preparation.left_out[REASON] == 10


def test_a_window_that_ends_before_the_test_part_is_trained_on(sensor: WindowRunner) -> None:
    parts = split_by_time(sensor, [[60, 69], [80, 85]])
    assert parts.train.y().sum() == 10
    assert REASON not in parts.train.preparation.left_out


def test_only_the_windows_of_the_own_group_are_left_out_at_the_cut(runner: IngestRunner) -> None:
    windows = runner.write(json.dumps({"a": [[20, 25], [66, 75]], "b": [[30, 35], [80, 85]]}), "windows.json")
    rows = pd.DataFrame({"at": range(100), "load": [row * 37 % 100 / 7 for row in range(100)]})
    both = pd.concat([rows.assign(machine="a"), rows.assign(machine="b", load=lambda frame: frame["load"] + 0.01)])
    parts = runner.run(
        runner.write(both),
        target="",
        drop=(),
        time_column="at",
        group_column="machine",
        windows=str(windows),
        split="time",
        test_fraction=0.3,
    )
    last = parts.train.frame.groupby("machine")["at"].max().to_dict()
    assert last == {"a": 65, "b": 69}
