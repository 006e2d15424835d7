"""Warnings about what looks like a leak, and no warning where there is none."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

from support.ingest import IngestRunner, table

ROWS = 800


def make_table(**columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    load, speed = rng.normal(size=(2, ROWS))
    failed = (load + 0.3 * rng.normal(size=ROWS) > 0.5).astype(int)
    frame = pd.DataFrame({"load": load, "speed": speed, "failed": failed})
    for name, make in columns.items():
        frame[name] = make(frame)
    return frame


def find_warnings(runner: IngestRunner, frame: pd.DataFrame, **options: Any) -> tuple[str, ...]:
    return runner.run(runner.write(frame), **{"drop": (), **options}).train.preparation.warnings


def test_a_plain_table_has_no_warning(runner: IngestRunner) -> None:
    assert find_warnings(runner, make_table()) == ()


@pytest.mark.parametrize(
    "leak",
    [
        lambda frame: frame["failed"] * 5 + 2,
        lambda frame: -frame["failed"] + np.random.default_rng(1).uniform(0, 0.9, ROWS),
        lambda frame: np.where(frame["failed"] == 1, "E17", "none"),
        lambda frame: np.where(frame["failed"] == 1, 3.5, np.nan),
    ],
    ids=["a multiple", "falling, with noise", "text", "only there after a failure"],
)
def test_a_column_that_gives_the_class_away_is_named(runner: IngestRunner, leak: Any) -> None:
    warnings = find_warnings(runner, make_table(leak=leak))
    assert ["'leak' alone gives the class" in warning for warning in warnings] == [True]


def test_a_column_that_gives_one_of_several_classes_away_is_named(runner: IngestRunner) -> None:
    frame = make_table(mode=lambda frame: pd.cut(frame["speed"], [-9, -0.5, 0.5, 9], labels=["a", "b", "c"]))
    frame["code"] = frame["mode"].map({"a": 3, "b": 1, "c": 2}).astype(int)
    warnings = find_warnings(runner, frame.drop(columns=["speed"]), target="mode")
    assert any("'code' alone gives the class" in warning for warning in warnings)


def test_a_rare_third_class_does_not_hide_a_leak(runner: IngestRunner) -> None:
    frame = make_table(leak=lambda frame: frame["failed"] * 5 + 2)
    frame.loc[:2, "failed"] = 7
    assert any("'leak' alone gives the class" in warning for warning in find_warnings(runner, frame))


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine, load_iris], ids=["breast cancer", "wine", "iris"])
def test_public_tables_without_a_leak_have_no_warning_of_one(runner: IngestRunner, load: Any) -> None:
    frame = load(as_frame=True).frame
    warnings = find_warnings(runner, frame.rename(columns={"target": "failed"}))
    assert not [warning for warning in warnings if "of nearly every row" in warning or "number" in warning]


def test_duplicates_across_the_split_are_counted(runner: IngestRunner) -> None:
    warnings = find_warnings(runner, pd.concat([make_table()] * 5))
    assert any("99% of the held-out rows equal a training row" in warning for warning in warnings)


def test_repetitions_of_a_few_settings_are_no_duplicates(runner: IngestRunner) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 4, size=(ROWS, 3)), columns=["a", "b", "c"])
    frame["failed"] = rng.integers(0, 2, ROWS)
    assert find_warnings(runner, frame) == ()


def test_constant_columns_are_named(runner: IngestRunner) -> None:
    warnings = find_warnings(runner, make_table(site=lambda _: "north", version=lambda _: 3))
    assert any("'site', 'version' have the same value in every training row" in warning for warning in warnings)


@pytest.mark.parametrize(
    "counter",
    [
        lambda _: np.arange(ROWS),
        lambda _: 250 + 0.01 * np.arange(ROWS),
        lambda _: -np.arange(ROWS),
        lambda _: np.random.default_rng(0).permutation(ROWS) + 4000,
    ],
    ids=["row number", "operating hours", "time to go", "order number"],
)
def test_a_column_that_numbers_the_rows_is_named(runner: IngestRunner, counter: Any) -> None:
    warnings = find_warnings(runner, make_table(number=counter))
    assert any("column 'number' numbers the rows" in warning for warning in warnings)


def test_a_column_that_hides_the_time_of_unsorted_rows_is_named(runner: IngestRunner) -> None:
    frame = make_table(
        at=lambda _: pd.date_range("2024-01-01", periods=ROWS, freq="h"), hours=lambda _: np.arange(ROWS) * 0.37
    )
    warnings = find_warnings(runner, frame.sample(frac=1, random_state=0), time_column="at")
    assert any("column 'hours' numbers the rows" in warning for warning in warnings)


def test_a_copy_of_the_group_is_named_but_not_a_property_that_groups_share(runner: IngestRunner) -> None:
    frame = make_table(
        machine=lambda _: np.repeat([f"m{i}" for i in range(10)], ROWS // 10),
        serial=lambda _: np.repeat(np.random.default_rng(0).permutation(10) + 700, ROWS // 10),
        kind=lambda _: np.repeat(["old", "new"] * 5, ROWS // 10),
    )
    warnings = find_warnings(runner, frame, group_column="machine")
    assert [warning for warning in warnings if "value of its own for each 'machine'" in warning] == [
        "column 'serial' has a value of its own for each 'machine', so that a model can learn the groups by heart; "
        "put it in drop"
    ]


def test_rows_that_share_their_time_are_counted_and_a_group_column_is_advised(runner: IngestRunner) -> None:
    frame = make_table(at=lambda _: np.repeat(pd.date_range("2024-01-01", periods=ROWS // 2, freq="h"), 2))
    warnings = find_warnings(runner, frame, time_column="at")
    assert any("400 rows have the same time in 'at'" in text and "group_column" in text for text in warnings)


def test_warnings_are_in_the_report_and_the_log(runner: IngestRunner, capsys: pytest.CaptureFixture[str]) -> None:
    (warning,) = find_warnings(runner, make_table(leak=lambda frame: frame["failed"] * 2))
    assert f"- {warning}." in runner.report.read_text()
    assert f"warning: {warning}" in capsys.readouterr().out


def test_columns_that_equal_another_one_are_named(runner: IngestRunner) -> None:
    frame = table().assign(load=[(row * 7 % 40) / 3 for row in range(40)])
    data = runner.write(frame.assign(load2=frame["load"], kind=frame["type"]))
    warnings = "\n".join(runner.run(data).train.preparation.warnings)
    assert (
        "2 columns equal another one, in brackets, in every row, which adds nothing: 'load2' ('load'), 'kind' ('type')"
        in warnings
    )
