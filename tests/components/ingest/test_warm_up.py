"""Rows before the longest rolling window is full are in neither part."""

import numpy as np
import pandas as pd
import pytest

from support.ingest import IngestRunner

OPTIONS = {"task": "anomaly", "target": "", "drop": (), "time_column": "at"}


def make_rows(sizes: dict[str, int]) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "at": pd.date_range("2024-01-01", periods=size, freq="min"),
                "run": name,
                "load": rng.normal(size=size),
            }
        )
        for name, size in sizes.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_the_first_rows_of_every_group_are_left_out_and_counted(runner: IngestRunner) -> None:
    data = runner.write(make_rows({"a": 50, "b": 40}))
    parts = runner.run(data, **OPTIONS, group_column="run", rolling_windows=(3, 10))
    (reason,) = parts.train.preparation.left_out
    assert reason == "warm-up rows, before a rolling window of 10 rows is full"
    assert parts.train.preparation.left_out[reason] == 18
    assert len(parts.train.frame) + len(parts.test.frame) == 72


def test_without_groups_only_the_first_rows_are_left_out(runner: IngestRunner) -> None:
    parts = runner.run(runner.write(make_rows({"a": 50}).drop(columns="run")), **OPTIONS, rolling_windows=(10,))
    assert list(parts.train.preparation.left_out.values()) == [9]
    assert parts.train.frame["load mean 10"].iloc[0] == pytest.approx(
        make_rows({"a": 50})["load"].iloc[:10].mean(), rel=1e-6
    )


def test_groups_that_are_shorter_than_the_window_are_named(runner: IngestRunner) -> None:
    data = runner.write(make_rows({"a": 50, "b": 7, "c": 50}))
    parts = runner.run(data, **OPTIONS, group_column="run", rolling_windows=(10,))
    counts = parts.test.preparation.left_out
    assert counts == {
        "rows of groups that are shorter than the longest rolling window ('b')": 7,
        "warm-up rows, before a rolling window of 10 rows is full": 18,
    }


def test_windows_that_no_group_fills_are_refused(runner: IngestRunner) -> None:
    runner.assert_refused(
        runner.write(make_rows({"a": 8, "b": 7})),
        "rolling_windows of 10 rows leave no row of the data: the longest group of 'run' has 8 rows",
        **OPTIONS,
        group_column="run",
        rolling_windows=(10,),
    )


def test_rolling_windows_can_be_combined_with_a_split_by_group(runner: IngestRunner) -> None:
    data = runner.write(make_rows(dict.fromkeys("abcde", 30)))
    parts = runner.run(data, **OPTIONS, group_column="run", rolling_windows=(5,), split="group")
    assert parts.train.preparation.split == "group"
    assert not set(parts.train.frame["run"]) & set(parts.test.frame["run"])


def test_rows_without_a_label_still_fill_rolling_windows(runner: IngestRunner) -> None:
    frame = make_rows({"a": 60}).drop(columns="run").assign(failed=[float(row % 4 == 0) for row in range(60)])
    whole = runner.run(runner.write(frame), **{**OPTIONS, "target": "failed"}, rolling_windows=(4,))
    frame.loc[5, "failed"] = np.nan
    parts = runner.run(runner.write(frame), **{**OPTIONS, "target": "failed"}, rolling_windows=(4,))
    assert parts.train.preparation.left_out["rows without a label"] == 1
    later = parts.test.frame["load mean 4"].tail(len(whole.test.frame))
    assert later.tolist() == whole.test.frame["load mean 4"].tolist()


def test_failures_that_are_all_in_the_warm_up_are_refused_with_advice_that_works(runner: IngestRunner) -> None:
    frame = make_rows({"a": 60, "b": 60, "c": 60, "d": 60})
    frame["failed"] = [int(20 <= row % 60 < 30) for row in range(240)]
    options = {"drop": (), "time_column": "at", "group_column": "run", "split": "group"}
    sentence = "every row of class 1 of 'failed' is left out, before a rolling window of 40 rows is full"
    runner.assert_refused(runner.write(frame), sentence, "shorter rolling_windows", **options, rolling_windows=(40,))
    assert runner.run(runner.write(frame), **options, rolling_windows=(10,)).train.y().any()


def test_a_class_that_is_only_in_the_warm_up_is_named(runner: IngestRunner) -> None:
    frame = make_rows({"a": 60, "b": 60, "c": 60, "d": 60})
    frame["state"] = ["start" if row % 60 < 5 else ("idle", "busy")[row % 2] for row in range(240)]
    options = {"target": "state", "drop": (), "time_column": "at", "group_column": "run", "rolling_windows": (10,)}
    warnings = runner.run(runner.write(frame), **options).train.preparation.warnings
    assert any("every row of class 'start' of 'state' is left out" in warning for warning in warnings)
