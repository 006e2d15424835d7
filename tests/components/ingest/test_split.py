import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfp_edge.components.ingest.ingest import TrainTestSplit
from kfp_edge.components.ingest.rolling_features import add_rolling_features
from kfp_edge.components.ingest.splitting import split
from kfp_edge.components.ingest.splitting.split import SplitRows
from kfp_edge.components.ingest.targets.rules import rule_of
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.dataset import Roles
from kfp_edge.ml.rolling_windows import RollingWindows
from support.ingest import IngestRunner, table

# --- the split


labels = st.lists(st.integers(0, 3), min_size=8, max_size=200).map(lambda codes: [*codes, 0, 0, 1, 1, 2, 2, 3, 3])
fractions = st.floats(0.05, 0.95)


@given(codes=labels, fraction=fractions, seed=st.integers(0, 2**32 - 1))
def test_a_random_split_keeps_the_share_of_each_class(codes: list[int], fraction: float, seed: int) -> None:
    series = pd.Series(codes, name="failed")
    test = split.select_stratified(series, len(series), fraction, seed).test
    for code in range(4):
        share = test[series == code]
        assert 0 < share.sum() < len(share)
        assert abs(share.sum() - fraction * len(share)) <= 1


@given(times=st.lists(st.integers(0, 20), min_size=2).filter(lambda t: len(set(t)) > 1).map(sorted), fraction=fractions)
def test_a_split_by_time_tests_on_the_latest_rows_and_shares_no_time(times: list[int], fraction: float) -> None:
    series = pd.Series(times, name="at")
    try:
        test = split.select_latest(series, fraction).test
    except split.CannotSplitError:
        assert times.count(times[0]) >= len(times) * (1 - fraction) - 1
        return
    assert series[~test].max() < series[test].min()


@given(names=st.lists(st.text(min_size=1), min_size=2, unique=True), fraction=fractions, seed=st.integers(0, 100))
def test_a_split_by_group_shares_no_group(names: list[str], fraction: float, seed: int) -> None:
    series = pd.Series(names * 3, name="site", dtype=object)
    test = split.select_groups(SplitRows(len(series), rule_of("anomaly"), groups=series), fraction, seed).test
    assert set(series[test]).isdisjoint(series[~test])
    assert 0 < test.sum() < len(test)


@pytest.mark.parametrize(
    ("options", "column"),
    [({"time_column": "at", "drop": ("site",)}, "at"), ({"group_column": "site", "drop": ("at",)}, "site")],
)
def test_auto_splits_by_the_column_that_is_named(runner: IngestRunner, options: dict[str, Any], column: str) -> None:
    parts = runner.run(runner.write(table()), **options)
    assert set(parts.train.frame[column]).isdisjoint(parts.test.frame[column])
    assert len(parts.test.frame) == 8


def test_another_seed_selects_other_rows(runner: IngestRunner) -> None:
    data = runner.write(table())
    assert runner.run(data, seed=1).test.frame["load"].tolist() != runner.run(data, seed=2).test.frame["load"].tolist()


def test_unsorted_rows_are_split_by_time_too(runner: IngestRunner) -> None:
    data = runner.write(table().sample(frac=1, random_state=0))
    parts = runner.run(data, drop=("site",), time_column="at")
    assert parts.train.frame["at"].max() < parts.test.frame["at"].min()


def test_a_single_time_cannot_be_split(runner: IngestRunner) -> None:
    data = runner.write(table().assign(at="2024-01-01 00:00:00"))
    runner.assert_refused(data, "share the time", drop=("site",), time_column="at")


def test_a_single_group_cannot_be_split(runner: IngestRunner) -> None:
    runner.assert_refused(runner.write(table().assign(site="s")), "single group 's'", drop=("at",), group_column="site")


def test_a_test_part_with_one_class_is_refused(runner: IngestRunner) -> None:
    frame = table().assign(failed=[1, 0] * 10 + [0] * 20)
    runner.assert_refused(runner.write(frame), "every test row has the label 0", drop=("site",), time_column="at")


def test_a_class_that_is_only_in_the_test_part_is_refused(runner: IngestRunner) -> None:
    frame = table().assign(failed=[1, 0] * 17 + [2, 0] * 3)
    runner.assert_refused(
        runner.write(frame), "class 2 of 'failed' is only in the test part", drop=("site",), time_column="at"
    )


def test_anomaly_detection_needs_no_labels(runner: IngestRunner) -> None:
    parts = runner.run(runner.write(table()), task="anomaly", target="", drop=("at", "site", "failed"))
    assert (parts.train.roles.target, len(parts.train.frame), len(parts.test.frame)) == ("", 32, 8)


# --- ordered rows


def sensor(runner: IngestRunner, windows: object, **options: Any) -> TrainTestSplit:
    path = runner.write(json.dumps(windows), "windows.json")
    frame = table()[["at", "load"]]
    options = {"task": "anomaly", "target": "", "drop": (), "time_column": "at", "windows": str(path), **options}
    return runner.run(runner.write(frame, "sensor.csv"), **options)


@pytest.mark.parametrize(
    "windows",
    [
        [["2024-01-01 20:00", "2024-01-01 22:00"]],
        {"sensor": [["2024-01-01 20:00:00.000000", "2024-01-01 22:00:00.000000"]]},
        {"real/sensor.csv": [["2024-01-01T20:00:00Z", "2024-01-01T22:00:00Z"]], "real/other.csv": []},
    ],
)
def test_failure_windows_become_labels_and_training_ends_before_the_first(
    runner: IngestRunner, windows: object
) -> None:
    parts = sensor(runner, windows)
    assert parts.train.y().tolist() == [0] * 20
    assert parts.test.y().tolist() == [1] * 3 + [0] * 17
    assert parts.train.roles.target == "anomaly"


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([], "contains no windows"),
        ([["2024-01-02", "2024-01-01"]], "ends before it starts"),
        ([["soon", "later"]], "is no window"),
        ([["2024-01-01"]], "is no window"),
        ([["2030-01-01", "2030-01-02"]], "no row lies in a failure window"),
        ([["2023-12-31", "2024-01-01 05:00"]], "no row lies before the first failure window"),
        ({"a": [], "b": []}, "contains no windows"),
        ({"a": [["2024-01-01", "2024-01-02"]]}, "no windows for the data, 'sensor'; it has windows for 'a'"),
        ({"sensor": "2024-01-01"}, "in place of windows"),
    ],
)
def test_windows_that_do_not_fit_are_refused(runner: IngestRunner, windows: object, message: str) -> None:
    with pytest.raises(KfpEdgeError, match=message):
        sensor(runner, windows)


HOURS = {"m1": [["2024-01-01 20:00", "2024-01-01 22:00"]], "m2": [["2024-01-01 21:00", "2024-01-02 02:00"]]}


def machines(runner: IngestRunner, windows: object) -> TrainTestSplit:
    """Ingest the rows of two machines that run at the same time, with failure windows."""
    path = runner.write(json.dumps(windows), "windows.json")
    frame = table()[["at", "load"]]
    both = pd.concat([frame.assign(machine=name) for name in ("m1", "m2")])
    options = {"task": "anomaly", "target": "", "drop": (), "time_column": "at", "group_column": "machine"}
    return runner.run(runner.write(both, "sensor.csv"), windows=str(path), **options)


def count_anomalous(parts: TrainTestSplit) -> dict[str, int]:
    frame = pd.concat([parts.train.frame, parts.test.frame])
    return frame.groupby("machine")["anomaly"].sum().to_dict()


@pytest.mark.parametrize("name", ["m1", "fleet/m1.csv"])
def test_failure_windows_by_group_label_the_rows_of_that_group_only(runner: IngestRunner, name: str) -> None:
    parts = machines(runner, {name: HOURS["m1"], "m2": HOURS["m2"]})
    assert count_anomalous(parts) == {"m1": 3, "m2": 6}
    assert parts.train.frame["at"].max() == pd.Timestamp("2024-01-01 19:00")


def test_a_single_entry_for_a_group_is_not_for_the_others(runner: IngestRunner) -> None:
    parts = machines(runner, {"m2": HOURS["m2"]})
    assert count_anomalous(parts) == {"m1": 0, "m2": 6}


def test_failure_windows_of_no_group_are_warned_of(runner: IngestRunner) -> None:
    warnings = machines(runner, {**HOURS, "m7": HOURS["m1"]}).train.preparation.warnings
    assert "the failure windows of 'm7' are not used: no group of 'machine' has such a name" in warnings


@pytest.mark.parametrize("windows", [HOURS["m1"], {"real/sensor.csv": HOURS["m1"]}])
def test_failure_windows_without_a_group_are_stated_to_apply_to_every_group(
    runner: IngestRunner, windows: object
) -> None:
    parts = machines(runner, windows)
    assert count_anomalous(parts) == {"m1": 3, "m2": 3}
    assert any("apply to every group of 'machine'" in text for text in parts.train.preparation.warnings)
    assert "apply to every group of 'machine'" in runner.report.read_text()


def test_windows_for_other_names_than_groups_and_data_are_refused(runner: IngestRunner) -> None:
    expected = "no windows for the data, 'sensor', or for a group of 'machine'; it has windows for 'pump'"
    with pytest.raises(KfpEdgeError, match=expected):
        machines(runner, {"pump": HOURS["m1"]})


def test_rolling_features_cover_a_row_and_the_rows_before_it(runner: IngestRunner) -> None:
    train = sensor(runner, [["2024-01-01 20:00", "2024-01-01 22:00"]], rolling_windows=(3,)).train.frame
    names = [f"load {what} 3" for what in ("mean", "std", "min", "max", "diff")]
    expected = np.array([0, 1, 2]) / 7
    assert train[names].iloc[0].tolist() == pytest.approx(
        [expected.mean(), expected.std(ddof=1), 0, expected[-1], expected[-1] - expected.mean()]
    )


rows = st.lists(st.tuples(st.sampled_from("ab"), st.floats(-1e6, 1e6)), min_size=3, max_size=60)


def rolled(values: Sequence[tuple[str, float]]) -> pd.DataFrame:
    windows = RollingWindows(("load",), (2, 5))
    frame = pd.DataFrame(
        {"load": [value for _, value in values], "site": pd.Series([name for name, _ in values], dtype=object)}
    )
    return add_rolling_features(frame, Roles("anomaly", "", ("load",), (), group="site"), windows)[0]


@settings(max_examples=50)
@given(values=rows, cut=st.integers(1, 59))
def test_rolling_features_do_not_depend_on_later_rows(values: list[tuple[str, float]], cut: int) -> None:
    pd.testing.assert_frame_equal(rolled(values)[:cut], rolled(values[:cut]), check_exact=True)


@settings(max_examples=50)
@given(values=rows)
def test_rolling_features_do_not_depend_on_other_groups(values: list[tuple[str, float]]) -> None:
    alone = [row for row in values if row[0] == "a"] or [("a", 1.0)]
    mixed = rolled(values)
    expected = rolled(alone)
    if any(name == "a" for name, _ in values):
        pd.testing.assert_frame_equal(mixed[mixed["site"] == "a"].reset_index(drop=True), expected, check_exact=True)


def test_a_rolling_feature_never_replaces_a_column(runner: IngestRunner) -> None:
    frame = table().assign(**{"load mean 3": 1.0})
    data = runner.write(frame)
    runner.assert_refused(
        data, "already has a column 'load mean 3'", drop=("site",), time_column="at", rolling_windows=(3,)
    )
