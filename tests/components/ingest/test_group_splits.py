"""Splits by group, by group and time, and what `auto` chooses for machines, runs and files."""

import re

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.ingest.ingest import TrainTestSplit
from kfp_edge.errors import DataError
from support.ingest import IngestRunner, table, table_with

ROLES = {"drop": (), "time_column": "at", "group_column": "machine"}


def make_runs(runs: int = 10, rows: int = 30, apart: str = "1h", seed: int = 0) -> pd.DataFrame:
    """Return runs of one minute per row that start `apart`, every fourth row a failure."""
    rng = np.random.default_rng(seed)
    starts = [pd.Timestamp("2024-01-01") + run * pd.Timedelta(apart) for run in range(runs)]
    return pd.DataFrame(
        {
            "at": np.concatenate([pd.date_range(start, periods=rows, freq="min") for start in starts]),
            "machine": np.repeat([f"m{run:02d}" for run in range(runs)], rows),
            "load": rng.normal(size=runs * rows),
            "failed": np.tile([0, 0, 0, 1], runs * rows // 4 + 1)[: runs * rows],
        }
    )


def machines(parts: TrainTestSplit) -> tuple[set[str], set[str]]:
    return set(parts.train.frame["machine"]), set(parts.test.frame["machine"])


def test_runs_that_follow_each_other_are_held_out_as_a_whole_and_are_later_than_training(runner: IngestRunner) -> None:
    parts = runner.run(runner.write(make_runs()), **ROLES)
    assert parts.train.preparation.split == "group-and-time"
    assert "follow each other in time" in parts.train.preparation.split_reason
    assert machines(parts)[1] == {"m08", "m09"}
    assert parts.train.frame["at"].max() < parts.test.frame["at"].min()
    assert parts.train.preparation.left_out == {}


def test_machines_that_run_at_the_same_time_are_in_both_parts_and_tested_later(runner: IngestRunner) -> None:
    parts = runner.run(runner.write(make_runs(runs=4, rows=100, apart="0h")), **ROLES)
    assert parts.train.preparation.split == "time"
    assert "run at the same time" in parts.train.preparation.split_reason
    assert machines(parts) == ({"m00", "m01", "m02", "m03"}, {"m00", "m01", "m02", "m03"})
    assert parts.train.frame["at"].max() < parts.test.frame["at"].min()


def test_group_and_time_leaves_out_and_counts_the_rows_that_are_neither_new_nor_early(runner: IngestRunner) -> None:
    data = runner.write(make_runs(runs=5, rows=100, apart="0h"))
    parts = runner.run(data, **ROLES, split="group-and-time")
    train, test = machines(parts)
    assert not train & test
    assert parts.train.frame["at"].max() < parts.test.frame["at"].min()
    (count,) = parts.test.preparation.left_out.values()
    assert count == 500 - len(parts.train.frame) - len(parts.test.frame) == 160


def test_group_and_time_draws_groups_that_start_together_with_the_seed(runner: IngestRunner) -> None:
    data = runner.write(make_runs(runs=5, rows=100, apart="0h"))
    drawn = {tuple(machines(runner.run(data, **ROLES, split="group-and-time", seed=seed))[1]) for seed in range(6)}
    assert len(drawn) > 1


def test_runs_of_which_only_the_last_one_fails_are_split_by_time_with_the_reason(runner: IngestRunner) -> None:
    frame = make_runs(runs=2, rows=100, apart="3h")
    frame.loc[frame["machine"] == "m00", "failed"] = 0
    preparation = runner.run(runner.write(frame), **ROLES).train.preparation
    assert preparation.split == "time"
    assert "split=group-and-time would be of no use: class 1" in preparation.split_reason


def test_groups_of_unequal_size_give_a_test_part_near_the_fraction(runner: IngestRunner) -> None:
    sizes = [400, 10, 20, 30, 40, 100, 50, 50, 100, 200]
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"machine": np.repeat(np.arange(10), sizes), "load": rng.normal(size=1000)})
    frame["failed"] = frame.index % 4 == 0
    data = runner.write(frame)
    for seed in range(5):
        parts = runner.run(data, drop=(), group_column="machine", seed=seed)
        assert len(parts.test.frame) == pytest.approx(200, rel=0.15)


def test_groups_are_chosen_so_that_both_parts_have_every_class_where_only_two_machines_fail(
    runner: IngestRunner,
) -> None:
    frame = make_runs(runs=10)
    frame.loc[~frame["machine"].isin(["m03", "m07"]), "failed"] = 0
    data = runner.write(frame)
    for seed in range(10):
        parts = runner.run(data, drop=("at",), group_column="machine", seed=seed)
        assert set(parts.train.y()) == set(parts.test.y()) == {0, 1}


def test_another_seed_holds_out_other_groups(runner: IngestRunner) -> None:
    data = runner.write(make_runs())
    drawn = {tuple(sorted(machines(runner.run(data, drop=("at",), group_column="machine", seed=s))[1])) for s in (1, 2)}
    assert len(drawn) == 2


def test_failures_of_a_single_machine_are_refused_with_advice_that_works(runner: IngestRunner) -> None:
    frame = make_runs(seed=3)
    frame.loc[frame["machine"] != "m02", "failed"] = 0
    options = {"drop": ("at",), "group_column": "machine"}
    data = runner.write(frame)
    with pytest.raises(DataError, match="of machine 'm02', which cannot be in both parts; use split=random") as caught:
        runner.run(data, **options)
    advised = re.findall(r"split=([\w-]+)", str(caught.value))
    assert advised == ["random"]
    for split in advised:
        runner.run(data, **options, split=split)


def test_a_test_part_without_failures_is_refused_with_a_fraction_and_a_split_that_work(runner: IngestRunner) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"at": pd.date_range("2024-01-01", periods=300, freq="h"), "load": rng.normal(size=300)})
    frame["failed"] = ((frame["load"] > 0) & (frame.index < 200)).astype(int)
    data = runner.write(frame)
    with pytest.raises(DataError, match="the last row of class 1 is at 2024-01-09 0.:00:00, and the test") as caught:
        runner.run(data, drop=(), time_column="at")
    message = str(caught.value)
    (fraction,), (split,) = re.findall(r"test_fraction=([\d.]+\d)", message), re.findall(r"split=([\w-]+)", message)
    runner.run(data, drop=(), time_column="at", test_fraction=float(fraction))
    runner.run(data, drop=(), time_column="at", split=split)


def test_where_no_split_helps_only_other_data_is_advised(runner: IngestRunner) -> None:
    frame = make_runs(runs=2)
    frame["failed"] = 0
    frame.loc[5, "failed"] = 1
    with pytest.raises(DataError) as caught:
        runner.run(runner.write(frame), drop=("at",), group_column="machine")
    assert "=" not in str(caught.value)
    assert str(caught.value).endswith("give data with more rows of each class from more groups of 'machine'.")


def test_a_random_split_of_machines_is_done_with_a_warning(runner: IngestRunner) -> None:
    parts = runner.run(runner.write(make_runs()), drop=("at",), group_column="machine", split="random")
    assert any("rows of the same 'machine' are in both parts" in text for text in parts.train.preparation.warnings)


# --- files of a folder


def write_files(runner: IngestRunner, frame: pd.DataFrame, columns: list[str]) -> str:
    for name, rows in frame.groupby("machine"):
        runner.write(rows[columns], f"runs/{name}.csv")
    return str(runner.folder / "runs")


def test_the_files_of_a_folder_are_groups_and_are_not_features(runner: IngestRunner) -> None:
    parts = runner.run(write_files(runner, make_runs(), ["load", "failed"]), drop=())
    roles = parts.train.roles
    assert (roles.group, roles.features, parts.train.preparation.split) == ("file", ("load",), "group")
    assert not set(parts.train.frame["file"]) & set(parts.test.frame["file"])


def test_a_named_group_column_takes_the_place_of_the_files(runner: IngestRunner) -> None:
    data = write_files(runner, make_runs(), ["machine", "load", "failed"])
    assert runner.run(data, drop=(), group_column="machine").train.roles.group == "machine"


def test_a_folder_with_a_column_named_file_keeps_it(runner: IngestRunner) -> None:
    frame = make_runs().assign(file="x")
    roles = runner.run(write_files(runner, frame, ["file", "load", "failed"]), drop=()).train.roles
    assert roles.group not in ("", "file")
    assert "file" in roles.features


def test_a_folder_with_one_file_for_each_class_is_split_at_random_with_a_warning(runner: IngestRunner) -> None:
    frame = make_runs(runs=2)
    frame["failed"] = (frame["machine"] == "m01").astype(int)
    preparation = runner.run(write_files(runner, frame, ["load", "failed"]), drop=()).train.preparation
    assert preparation.split == "random"
    assert "a split by file would be of no use" in preparation.split_reason
    assert any("rows of the same 'file' are in both parts" in text for text in preparation.warnings)


def test_files_that_continue_each_other_are_one_recording(runner: IngestRunner) -> None:
    data = write_files(runner, make_runs(rows=60), ["at", "load", "failed"])
    parts = runner.run(data, drop=(), time_column="at", rolling_windows=(5,))
    assert (parts.train.roles.group, parts.train.preparation.split) == ("", "time")
    assert list(parts.train.preparation.left_out.values()) == [4]


def test_files_of_runs_with_gaps_between_them_are_groups(runner: IngestRunner) -> None:
    data = write_files(runner, make_runs(rows=60, apart="24h"), ["at", "load", "failed"])
    parts = runner.run(data, drop=(), time_column="at", rolling_windows=(5,))
    assert (parts.train.roles.group, parts.train.preparation.split) == ("file", "group-and-time")
    assert list(parts.train.preparation.left_out.values()) == [40]


@pytest.mark.parametrize(
    "names", [("01", "1"), ("007", "008"), ("1E5", "2E5"), ("7.1", "7.10"), ("0x1", "1"), ("1.5", "2.5")]
)
def test_groups_keep_every_digit_of_their_names(runner: IngestRunner, names: tuple[str, str]) -> None:
    groups = [names[row // 4 % 2] for row in range(40)]
    parts = runner.run(runner.write(table().assign(site=groups)), drop=("at",), group_column="site", split="random")
    assert set(parts.train.frame["site"]) == set(names)


def test_a_row_without_a_group_is_refused_with_what_helps(runner: IngestRunner) -> None:
    data = runner.write(table_with("site", {4: ""}))
    runner.assert_refused(
        data,
        "column 'site' is the group column and is missing in 1 row (row 5: empty, or read as missing); fill in these "
        "cells, or remove these rows",
        drop=("at",),
        group_column="site",
    )
