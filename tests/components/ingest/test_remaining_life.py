"""The remaining useful life as the target of a regression: from runs that end with their failure, and from a log."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.ingest.ingest import TrainTestSplit
from kfp_edge.components.ingest.labelling.label_options import LabelOptions
from support.ingest import IngestRunner

LIFE = "remaining_useful_life"
OPTIONS: dict[str, Any] = {"task": "regression", "target": "", "drop": (), "time_column": "at"}
LENGTHS = {"e1": 6, "e2": 40, "e3": 25, "e4": 30, "e5": 35}


def make_runs() -> pd.DataFrame:
    """Return the rows of five engines, one for each cycle, counted from 1; `load` is the same in none of them."""
    runs = [pd.DataFrame({"engine": name, "at": range(1, length + 1)}) for name, length in LENGTHS.items()]
    rows = pd.concat(runs, ignore_index=True)
    return rows.assign(load=np.random.default_rng(0).normal(50, 5, len(rows)).round(4))


def to_hours(cycles: pd.DataFrame, column: str = "at") -> pd.DataFrame:
    return cycles.assign(**{column: pd.Timestamp("2024-03-01") + pd.to_timedelta(cycles[column], unit="h")})


def read_lives(parts: TrainTestSplit, engine: str, target: str = LIFE) -> dict[Any, float]:
    """Return the target of each row of an engine that is in one of the parts, by its time."""
    rows = pd.concat([parts.train.frame, parts.test.frame])
    rows = rows[rows["engine"] == engine].set_index("at")[target].sort_index()
    return dict(rows)


class Lives:
    """Runs `ingest` for a regression of the remaining useful life of `make_runs`."""

    def __init__(self, runner: IngestRunner) -> None:
        self.runner = runner

    def run_to_failure(self, rows: pd.DataFrame, **labels: Any) -> TrainTestSplit:
        options = {**OPTIONS, "group_column": "engine", "labels": LabelOptions(run_to_failure=True, **labels)}
        return self.runner.run(self.runner.write(rows), **options)

    def follow_log(self, rows: pd.DataFrame, log: pd.DataFrame, split: str = "group", **labels: Any) -> TrainTestSplit:
        path: Path = self.runner.write(log, "failures.csv")
        made = LabelOptions(failures=str(path), **labels)
        options = {**OPTIONS, "group_column": "engine", "labels": made, "split": split, "test_fraction": 0.4}
        return self.runner.run(self.runner.write(rows), **options)


@pytest.fixture
def lives(runner: IngestRunner) -> Lives:
    return Lives(runner)


def test_the_last_row_of_a_run_has_0_left_and_each_row_before_one_more(lives: Lives) -> None:
    parts = lives.run_to_failure(make_runs())
    assert list(read_lives(parts, "e1").items()) == [(1, 5), (2, 4), (3, 3), (4, 2), (5, 1), (6, 0)]
    assert read_lives(parts, "e2")[1] == 39
    assert parts.train.preparation.left_out == {}


def test_a_longer_life_than_the_highest_counts_as_that(lives: Lives) -> None:
    values = read_lives(lives.run_to_failure(make_runs(), max_rul="20"), "e2")
    assert [values[cycle] for cycle in (1, 19, 20, 21, 22, 40)] == [20, 20, 20, 19, 18, 0]


def test_the_life_of_rows_with_timestamps_is_in_hours(lives: Lives) -> None:
    parts = lives.run_to_failure(to_hours(make_runs()), max_rul="1d")
    values = list(read_lives(parts, "e2", f"{LIFE} [h]").values())
    assert values == [24] * 16 + list(range(23, -1, -1))


def test_no_run_is_in_both_parts(lives: Lives) -> None:
    parts = lives.run_to_failure(make_runs())
    assert parts.train.preparation.split == "group"
    assert set(parts.train.frame["engine"]).isdisjoint(parts.test.frame["engine"])


@pytest.mark.parametrize(("max_rul", "expected"), [("20h", "such as max_rul=30"), ("0", "max_rul is '0'")])
def test_a_highest_life_in_other_units_is_refused(lives: Lives, max_rul: str, expected: str) -> None:
    options = {**OPTIONS, "group_column": "engine", "labels": LabelOptions(run_to_failure=True, max_rul=max_rul)}
    lives.runner.assert_refused(lives.runner.write(make_runs()), expected, **options)


# --- a failure log

#: e5 has not failed yet; e2 failed twice, and e1 two cycles after its last row.
LOG = pd.DataFrame({"engine": ["e1", "e2", "e2", "e3", "e4"], "failed_at": [8, 10, 40, 25, 30]})


def test_each_row_has_the_time_until_the_next_failure_of_its_engine(lives: Lives) -> None:
    parts = lives.follow_log(make_runs(), LOG)
    assert read_lives(parts, "e1") == {1: 7, 2: 6, 3: 5, 4: 4, 5: 3, 6: 2}
    values = read_lives(parts, "e2")
    assert [values[cycle] for cycle in (1, 9, 11, 39)] == [9, 1, 29, 1]
    assert 10 not in values  # the engine does not run when it fails


def test_an_engine_that_has_not_failed_yet_has_no_target(lives: Lives) -> None:
    parts = lives.follow_log(make_runs(), LOG)
    assert read_lives(parts, "e5") == {}
    assert parts.train.preparation.left_out["rows after which no failure of their machine is known"] == 35


def test_an_engine_that_has_not_failed_yet_has_the_highest_life_as_long_as_it_is_seen_to_run_on(lives: Lives) -> None:
    parts = lives.follow_log(make_runs(), LOG, max_rul="20")
    assert read_lives(parts, "e5") == dict.fromkeys(range(1, 16), 20)
    reason = "rows at the end of the data of a machine, of which the next 20 are not known"
    assert parts.train.preparation.left_out[reason] == 20


def test_a_log_with_timestamps_gives_hours(lives: Lives) -> None:
    parts = lives.follow_log(to_hours(make_runs()), to_hours(LOG, "failed_at"), max_rul="12h")
    assert list(read_lives(parts, "e1", f"{LIFE} [h]").values()) == [7, 6, 5, 4, 3, 2]


def test_a_split_by_time_trains_only_on_lives_that_are_known_when_the_test_part_begins(lives: Lives) -> None:
    parts = lives.follow_log(make_runs(), LOG, split="time", max_rul="8")
    start = parts.test.frame["at"].min()
    train = parts.train.frame
    assert (train["at"] + train[LIFE] < start).all()
    assert train.loc[train["engine"] == "e4", "at"].max() == start - 9  # it runs on, for more than 8 cycles
    reason = "rows before the test part begins whose remaining useful life is known only during it"
    assert parts.train.preparation.left_out[reason] > 0


def test_the_same_data_in_another_folder_is_described_in_the_same_words(lives: Lives) -> None:
    description = lives.follow_log(make_runs(), LOG).train.preparation.made_labels
    assert description == "the time until the machine fails (failure log failures.csv: 5 failures of 4 machines)"


def test_equal_lives_are_refused(lives: Lives) -> None:
    path = lives.runner.write(LOG, "failures.csv")
    made = LabelOptions(failures=str(path), max_rul="0.5")
    options = {**OPTIONS, "group_column": "engine", "labels": made}
    lives.runner.assert_refused(lives.runner.write(make_runs()), "give a higher max_rul", **options)
