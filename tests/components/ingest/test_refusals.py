from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.ingest.reading.table_format import TableFormat
from support.ingest import IngestRunner, table, table_with

#: From the digits 0 to 9 to their full-width forms.
FULL_WIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}

# --- data that cannot be read


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"at,failed\n", "no rows"),
        (b"PAR1 and then nothing", "damaged Parquet"),
        (b"\x1f\x8b\x08\x00", "compressed"),
        (b"a,b\n1,2\n1,2,3\n", "line 3 of"),
        (b"a,a,failed\n1,2,0\n", "two columns named 'a'"),
        (b"\xff,failed\n1,0\n", "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(runner: IngestRunner, content: bytes, message: str) -> None:
    runner.assert_refused(runner.write(content), message, drop=())


def test_a_missing_file_is_named(runner: IngestRunner) -> None:
    runner.assert_refused(runner.folder / "no.csv", "no file or folder", "no.csv")


def test_a_truncated_parquet_file_is_refused(runner: IngestRunner) -> None:
    table().to_parquet(runner.folder / "data.parquet")
    runner.assert_refused(runner.write((runner.folder / "data.parquet").read_bytes()[:-50]), "cut short")


def test_a_folder_without_data_is_refused(runner: IngestRunner) -> None:
    runner.write("", "parts/notes.txt")
    runner.assert_refused(runner.folder / "parts", "no .csv or .parquet file")


def test_a_folder_of_two_formats_is_refused(runner: IngestRunner) -> None:
    table().to_parquet(runner.write(table(), "parts/a.csv").with_name("b.parquet"))
    runner.assert_refused(runner.folder / "parts", "one format")


def test_parts_with_other_columns_are_refused(runner: IngestRunner) -> None:
    runner.write(table(), "parts/a.csv")
    runner.write(table().drop(columns="load"), "parts/b.csv")
    runner.assert_refused(runner.folder / "parts", "a.csv has the column 'load' and", "b.csv has not")


def test_parts_with_other_types_are_refused(runner: IngestRunner) -> None:
    runner.write(table(), "parts/a.csv")
    runner.write(table_with("load", {0: "high"}), "parts/b.csv")
    runner.assert_refused(
        runner.folder / "parts", "column 'load' holds numbers but is not a number in 1 row (row 1 of b: 'high')"
    )


# --- columns that cannot be used


def test_a_missing_target_is_refused_with_the_nearest_name(runner: IngestRunner) -> None:
    runner.assert_refused(runner.write(table()), "no column 'faild'", "did you mean 'failed'?", target="faild")


def test_a_missing_drop_column_is_refused(runner: IngestRunner) -> None:
    runner.assert_refused(runner.write(table()), "no column 'UDI', which drop names", drop=("UDI",))


def test_classification_without_a_target_is_refused(runner: IngestRunner) -> None:
    runner.assert_refused(runner.write(table()), "name the label column in target", target="")


def test_a_few_text_cells_in_a_number_column_are_named_with_count_row_and_value(runner: IngestRunner) -> None:
    data = runner.write(table_with("load", {4: "broken", 9: "?"}))
    runner.assert_refused(data, "column 'load' holds numbers but is not a number in 2 rows (row 5: 'broken')")


def test_an_empty_column_is_refused(runner: IngestRunner) -> None:
    runner.assert_refused(runner.write(table().assign(load=np.nan)), "column 'load' is empty in every row")


def test_a_column_that_is_empty_in_the_training_rows_is_refused(runner: IngestRunner) -> None:
    frame = table()
    frame.loc[:35, "load"] = np.nan
    runner.assert_refused(runner.write(frame), "empty in every training row", drop=("site",), time_column="at")


def test_infinities_are_refused(runner: IngestRunner) -> None:
    runner.assert_refused(
        runner.write(table_with("load", {6: np.inf})), "column 'load' is infinite in 1 row (row 7: inf)"
    )


def test_a_constant_target_is_refused(runner: IngestRunner) -> None:
    runner.assert_refused(runner.write(table().assign(failed=0)), "'failed'", "0 in every row", "nothing to learn")


def test_a_target_without_any_label_is_refused(runner: IngestRunner) -> None:
    runner.assert_refused(runner.write(table().assign(failed="")), "'failed' is the target and is empty in every row")


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ("load", "is no whole number in 34 rows (row 2: 0.14285714285714285)"),
        ("speed", "has 40 different numbers, so that it looks like a measurement"),
    ],
)
def test_a_target_of_measurements_gets_the_parameter_that_predicts_numbers(
    runner: IngestRunner, column: str, what: str
) -> None:
    runner.assert_refused(
        runner.write(table()),
        f"column '{column}' is the target and {what}",
        "give task=regression to predict the number",
        f"such as 1 where {column} is below a limit",
        target=column,
    )


def test_numbers_that_stand_for_classes_can_be_taken_as_text_as_the_refusal_advises(runner: IngestRunner) -> None:
    data = runner.write(table(400).assign(fault=[row % 40 for row in range(400)]))
    runner.assert_refused(data, "with columns={fault: {dtype: string}}", target="fault")
    parts = runner.run(data, target="fault", columns={"fault": {"dtype": "string"}})
    assert len(set(parts.train.y())) == 40


def test_a_target_with_too_many_classes_is_refused(runner: IngestRunner) -> None:
    frame = table(60).assign(failed=[f"code {row}" for row in range(60)])
    runner.assert_refused(runner.write(frame), "60 different texts, where 50 classes are the most; name the column")


def test_a_class_with_a_single_row_is_refused(runner: IngestRunner) -> None:
    frame = table().assign(failed=[1] + [0] * 39)
    runner.assert_refused(runner.write(frame), "class 1 of 'failed' has a single row")


def test_anomaly_labels_other_than_0_and_1_are_refused(runner: IngestRunner) -> None:
    runner.assert_refused(runner.write(table()), "neither 0 nor 1 in", task="anomaly", target="speed")


def test_text_with_a_value_of_its_own_in_most_rows_is_refused_as_an_identifier(runner: IngestRunner) -> None:
    frame = table(200).assign(type=[f"id {row}" for row in range(200)])
    runner.assert_refused(runner.write(frame), "200 values in 200 cells, as identifiers have; put it in drop")


def test_text_with_too_many_values_is_refused_with_a_hint(runner: IngestRunner) -> None:
    frame = table(15_003).assign(type=[f"part {row % 5001}" for row in range(15_003)])
    runner.assert_refused(runner.write(frame), "text with 5,001 values (at most 5,000); put it in drop")


def test_text_in_the_time_column_is_refused(runner: IngestRunner) -> None:
    data = runner.write(table_with("at", {2: "yesterday"}))
    runner.assert_refused(data, "'at' is no timestamp", "(row 3: 'yesterday')", drop=("site",), time_column="at")


def test_nested_columns_are_refused(runner: IngestRunner) -> None:
    table().assign(load=[[1.0]] * 40).to_parquet(runner.folder / "data.parquet")
    runner.assert_refused(runner.folder / "data.parquet", "'load' is of type list", "drop")


def test_a_column_without_a_name_is_refused(runner: IngestRunner) -> None:
    data = runner.folder / "data.csv"
    table().to_csv(data)
    runner.assert_refused(data, "has no name")


def test_dropping_every_feature_is_refused(runner: IngestRunner) -> None:
    drop = ("at", "site", "type", "speed", "load")
    runner.assert_refused(runner.write(table()), "no column is left", drop=drop)


# --- expectations


EXPECTED = {
    "type": {"dtype": "string", "values": ["L"]},
    "speed": {"dtype": "integer", "min": 1005.0},
    "load": {"dtype": "number", "max": 5.0, "missing": False},
    "torque": {"dtype": "number"},
}


def broken_table() -> pd.DataFrame:
    frame = table()
    frame.loc[[10, 11], "load"] = np.nan
    return frame


def test_the_report_lists_every_violation_with_count_and_example(runner: IngestRunner) -> None:
    runner.assert_refused(
        runner.write(broken_table()), "and 2 more, all of them in the log and the report", columns=EXPECTED
    )
    report = runner.report.read_text()
    for line in (
        "| type | is none of 'L' | 20 | 2 | 'M' |",
        "| speed | is below 1005 | 5 | 1 | 1000 |",
        "| load | is above 5 | 4 | 37 | 5.142857142857143 |",
        "| load | is missing | 2 | 11 | None |",
        "| torque | is expected and not in the data |  |  |  |",
    ):
        assert line in report


def test_every_violation_is_in_the_log(runner: IngestRunner, capsys: pytest.CaptureFixture[str]) -> None:
    runner.assert_refused(runner.write(broken_table()), columns=EXPECTED)
    assert capsys.readouterr().out.count("violation: column") == 5


@pytest.mark.parametrize(
    ("dtype", "cells", "message"),
    [
        ("number", ["1", "2", "x"], "'new' is not a number in 1 row (row 3: 'x')"),
        ("number", ["x", "y", "z"], "'new' is not a number in 3 rows (row 1: 'x')"),
        ("integer", ["1", "2.5", "3"], "'new' is not an integer in 1 row (row 2: 2.5)"),
        ("boolean", ["true", "false", "no"], "'new' is not a boolean in 1 row (row 3: 'no')"),
        ("boolean", ["0", "1", "2"], "'new' is not a boolean in 1 row (row 3: 2)"),
        (
            "datetime",
            ["2024-01-01", "2024-13-01", "2024-01-02"],
            "'new' is not a datetime in 1 row (row 2: '2024-13-01')",
        ),
    ],
)
def test_cells_of_another_type_are_reported(runner: IngestRunner, dtype: str, cells: list[str], message: str) -> None:
    text = "new,failed\n" + "".join(f"{cell},{row % 2}\n" for row, cell in enumerate(cells))
    runner.assert_refused(runner.write(text), message, drop=(), columns={"new": {"dtype": dtype}})


def test_data_as_expected_is_accepted(runner: IngestRunner) -> None:
    columns = {
        "at": {"dtype": "datetime", "missing": False},
        "type": {"values": ["L", "M"]},
        "speed": {"dtype": "integer", "min": 1000.0, "max": 1039.0},
        "load": {"min": 0.0},
        "failed": {"dtype": "boolean", "values": [0.0, 1.0]},
    }
    assert len(runner.run(runner.write(table()), columns=columns).train.frame) == 32


def test_codes_that_look_like_numbers_stay_text_when_they_are_expected_to_be(runner: IngestRunner) -> None:
    frame = table().assign(type=[["007", "8"][row % 2] for row in range(40)])
    train = runner.run(runner.write(frame), columns={"type": {"dtype": "string"}}).train
    assert set(train.frame["type"]) == {"007", "8"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"load": {"dtyp": "number"}}, "load.dtyp"),
        ({"load": {"dtype": "float"}}, "load.dtype"),
        ({"load": {"dtype": "string", "min": 1.0}}, "min and max are for numbers"),
        ({"load": "number"}, "load"),
    ],
)
def test_an_invalid_expectation_is_refused(runner: IngestRunner, columns: dict[str, Any], message: str) -> None:
    runner.assert_refused(runner.write(table()), "the parameter columns is wrong at", message, columns=columns)


# --- contradictory parameters


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "regressor"}, "did you mean regression? choose one of classification, anomaly, regression"),
        ({"split": "last"}, "split is 'last'; "),
        ({"test_fraction": 1.0}, "test_fraction must lie between 0 and 1"),
        ({"seed": -1}, "seed must lie between 0 and 4294967295, not -1"),
        ({"seed": 2**32}, "seed must lie between 0 and 4294967295, not 4294967296"),
        ({"split": "time"}, "needs the column of times; name it in"),
        ({"split": "group"}, "split=group needs the column of groups"),
        ({"split": "group-and-time", "group_column": "site", "drop": ("at",)}, "needs the column of times; name it in"),
        ({"split": "group-and-time", "time_column": "at", "drop": ("site",)}, "needs the column of groups"),
        ({"windows": "w.json"}, "windows need the column of times"),
        ({"rolling_windows": (6,)}, "rolling_windows need the column of times"),
        ({"drop": ("failed",)}, "'failed' is in drop and has another role"),
        ({"drop": (), "time_column": "at", "group_column": "at"}, "'at' has two roles"),
        ({"drop": (), "time_column": "at", "split": "random", "rolling_windows": (6,)}, "would leak"),
        ({"drop": ("site",), "time_column": "at", "rolling_windows": (1,)}, "at least 2 rows"),
    ],
)
def test_contradictory_parameters_are_refused(runner: IngestRunner, options: dict[str, Any], message: str) -> None:
    runner.assert_refused(runner.write(table()), message, **options)


def test_infinite_cells_can_be_declared_missing(runner: IngestRunner) -> None:
    data = runner.write(table_with("load", {6: "Inf", 9: "-Inf"}))
    runner.assert_refused(data, "give missing_values=[Inf, -Inf]")
    runner.run(data, table_format=TableFormat(missing_values=("Inf", "-Inf")))


DURATIONS = ("12:{:02d}", "01:02:{:02d}", "100:{:02d}", "01:02:{:02d},5", "0 days 00:{:02d}:00")
DURATIONS += ("-1 days +23:{:02d}:00", "1 day, 0:00:{:02d}", "PT{}M", "P1DT{}H", "1h {}m", "2 hours 5 min {} s")


@pytest.mark.parametrize("cell", DURATIONS)
@pytest.mark.parametrize("values", [3, 40])
def test_durations_are_named_as_such(runner: IngestRunner, cell: str, values: int) -> None:
    data = runner.write(table().assign(load=[cell.format(row % values) for row in range(40)]))
    runner.assert_refused(data, "column 'load' holds", "durations", "numbers", "such as seconds", "or put it in drop")


@pytest.mark.parametrize("cell", ["100:{:02d}", "0 days 00:{:02d}:00", "PT{}M"])
def test_a_time_column_of_durations_is_to_be_numbers(runner: IngestRunner, cell: str) -> None:
    data = runner.write(table().assign(load=[cell.format(row) for row in range(40)]))
    runner.assert_refused(
        data, "column 'load' holds times of day or durations", "write durations as numbers", time_column="load"
    )


def test_durations_of_parquet_are_named_as_such(runner: IngestRunner) -> None:
    path = runner.folder / "data.parquet"
    table().assign(load=pd.to_timedelta(range(40), unit="min")).to_parquet(path)
    runner.assert_refused(
        path, "column 'load' holds times of day or durations", "as numbers such as seconds, or put it in"
    )


@pytest.mark.parametrize("values", ["PM", ("3M", "5S"), ("P1", "P2")])
def test_codes_of_letters_and_digits_are_no_durations(runner: IngestRunner, values: Sequence[str]) -> None:
    data = runner.write(table().assign(type=[values[row % 2] for row in range(40)]))
    assert runner.run(data).train.roles.categorical == ("type",)


def test_digits_of_another_script_are_named(runner: IngestRunner) -> None:
    data = runner.write(table().assign(load=[f"{row + 10}".translate(FULL_WIDTH) for row in range(40)]))
    runner.assert_refused(data, "holds numbers in digits other than 0 to 9, such as", "such as 10, or put it in")


def test_a_table_of_labels_only_has_nothing_to_drop_less(runner: IngestRunner) -> None:
    runner.assert_refused(runner.write(table()[["failed"]]), "give data with at least one more column", drop=())
