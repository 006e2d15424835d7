"""A regression's target: any column of numbers, in double precision, and never as classes."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.ingest import IngestRunner

ROWS = 200


def machines(**columns: Any) -> pd.DataFrame:
    """Return rows of five machines, one row per hour, whose wear grows with load and hours."""
    rng = np.random.default_rng(0)
    load = rng.normal(50, 5, ROWS)
    frame = pd.DataFrame(
        {
            "at": pd.date_range("2024-01-01", periods=ROWS, freq="h"),
            "machine": [f"m{row // 40}" for row in range(ROWS)],
            "load": load,
            "speed": rng.normal(0, 1, ROWS),
            "wear": load * 2 + rng.normal(0, 1, ROWS),
        }
    )
    return frame.assign(**columns)


def run(runner: IngestRunner, frame: pd.DataFrame, **options: Any):
    parameters = {"task": "regression", "target": "wear", "drop": ("at", "machine"), **options}
    return runner.run(runner.write(frame), **parameters)


@pytest.mark.parametrize("wear", [np.arange(ROWS) % 40, np.arange(ROWS) * 0.1 % 17, np.arange(ROWS) % 40 + 1e5])
def test_a_target_of_any_numbers_stays_in_double_precision(runner, wear):
    parts = run(runner, machines(wear=wear))
    values = np.concatenate([parts.train.target_values(), parts.test.target_values()])
    assert values.dtype == np.float64
    assert sorted(values.tolist()) == sorted(np.asarray(wear, float).tolist())
    assert parts.train.roles.positive is None


def test_rows_without_a_number_are_left_out_and_counted(runner):
    parts = run(runner, machines().assign(wear=lambda frame: frame["wear"].where(frame.index % 10 != 3)))
    assert len(parts.train.frame) + len(parts.test.frame) == 180
    assert parts.train.preparation.left_out == {"rows without a label": 20}
    assert not np.isnan(parts.train.target_values()).any()


def test_the_median_of_the_training_rows_is_kept_for_the_comparison_with_no_model(runner):
    parts = run(runner, machines())
    assert parts.test.preparation.target_median == np.median(parts.train.target_values())


@pytest.mark.parametrize(
    ("split", "options"),
    [
        ("random", {}),
        ("time", {"time_column": "at", "drop": ("machine",)}),
        ("group", {"group_column": "machine", "drop": ("at",)}),
        ("group-and-time", {"time_column": "at", "group_column": "machine", "drop": ()}),
    ],
)
def test_every_split_works_without_classes(runner, split, options):
    parts = run(runner, machines(), split=split, **options)
    assert parts.train.preparation.split == split
    assert len(parts.test.frame) == 40


def test_the_same_data_and_seed_give_the_same_rows(runner):
    first, second = (run(runner, machines(), seed=3).test.frame for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_rolling_windows_do_not_take_numbers_for_classes(runner):
    options = {"time_column": "at", "group_column": "machine", "drop": ()}
    parts = run(runner, machines(), rolling_windows=(5,), **options)
    assert not [warning for warning in parts.train.preparation.warnings if "class" in warning]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["ok", "worn"], "column 'wear' is the target of a regression and holds text such as 'ok'; give "
         "task=classification to predict classes, or name a column of numbers in target"),
        ([True, False], "holds booleans; give task=classification"),
        (["1:30", "2:45"], "holds durations or times of day such as"),
        (["2024-01-01", "2024-01-02"], "is the target of a regression and holds"),
        ([7.5, 7.5], "is 7.500 in every row, so there is nothing to learn; give data in which it varies"),
        ([1.0, float("inf")], "is the target and is infinite in 100 rows"),
        ([1e9 + 0.25, 1e9 + 0.5], "needs more digits than a model works with at the edge, in float32"),
    ],
)  # fmt: skip
def test_a_target_that_is_no_number_is_refused_in_one_sentence(runner, cells, expected):
    path = runner.write(machines(wear=pd.Series([cells[row % 2] for row in range(ROWS)])))
    expected = expected.replace("7.500", "7.5")
    runner.assert_refused(path, expected, task="regression", target="wear", drop=("at", "machine"))


def test_the_remedy_for_the_target_is_not_to_drop_it(runner):
    path = runner.write(machines(wear=1e9 + 0.25 * np.arange(ROWS)))
    with pytest.raises(Exception, match="subtract an offset") as caught:
        runner.run(path, task="regression", target="wear", drop=("at", "machine"))
    assert "drop" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"target": ""}, "regression needs a target: name the column of the numbers to predict in target."),
        ({"positive": "1"}, "leave positive empty."),
        ({"windows": "w.json", "time_column": "at", "drop": ("machine",)}, "leave windows empty."),
    ],
)
def test_parameters_about_classes_are_refused(runner, options, expected):
    parameters = {"task": "regression", "target": "wear", "drop": ("at", "machine"), **options}
    runner.assert_refused(runner.write(machines()), expected, **parameters)


def test_a_column_that_orders_the_rows_as_the_target_does_is_named(runner):
    frame = machines()
    parts = run(runner, frame.assign(copy=np.exp(frame["wear"] / 50)))
    (warning,) = [each for each in parts.train.preparation.warnings if "alone" in each]
    assert warning.startswith("column 'copy' alone orders nearly all rows as 'wear' does")


def test_a_target_of_two_numbers_gets_the_hint_at_classification(runner):
    parts = run(runner, machines(wear=np.arange(ROWS) % 2))
    assert any("task=classification predicts classes" in warning for warning in parts.train.preparation.warnings)


def test_held_out_values_that_training_never_had_are_named(runner):
    frame = machines(wear=np.arange(ROWS) * 1.0)
    parts = run(runner, frame, time_column="at", drop=("machine",))
    assert any("100% of the held-out rows have a 'wear' beyond" in text for text in parts.train.preparation.warnings)


def test_generated_data_has_a_number_to_predict(runner):
    parts = runner.run("synthetic:ai4i?rows=500&seed=0", task="regression", target="", drop=())
    assert parts.train.roles.target == "Torque [Nm]"
    assert "Machine failure" not in parts.train.roles.features
