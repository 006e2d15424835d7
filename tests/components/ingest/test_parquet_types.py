"""Columns of every type that programs write into Parquet are read, or refused with what helps."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.ingest import IngestRunner, table

VALUES = np.arange(40) * 1.25


def run_with(runner: IngestRunner, column: pa.Array, **options: object) -> pd.DataFrame:
    """Return all rows of a table that has this column as `load`, in their order."""
    path = write_with(runner, column)
    parts = runner.run(path, **{"drop": ("site",), "time_column": "at", **options})
    return pd.concat([parts.train.frame, parts.test.frame], ignore_index=True)


def write_with(runner: IngestRunner, column: pa.Array) -> object:
    rows = pa.Table.from_pandas(table())
    rows = rows.set_column(rows.column_names.index("load"), "load", column)
    pq.write_table(rows, runner.folder / "data.parquet")
    return runner.folder / "data.parquet"


@pytest.mark.parametrize("arrow_type", [pa.float16(), pa.float32(), pa.decimal128(9, 2), pa.decimal256(50, 2)])
def test_numbers_of_every_type_are_read(runner: IngestRunner, arrow_type: pa.DataType) -> None:
    column = pa.array(VALUES).cast(pa.float32() if pa.types.is_float16(arrow_type) else arrow_type)
    if pa.types.is_float16(arrow_type):
        column = pa.array(VALUES.astype(np.float16))
    assert run_with(runner, column)["load"].tolist() == VALUES.tolist()


@pytest.mark.parametrize("arrow_type", [pa.binary(), pa.large_binary()])
def test_text_that_is_stored_as_bytes_is_text(runner: IngestRunner, arrow_type: pa.DataType) -> None:
    assert run_with(runner, pa.array([b"low", b"high"] * 20, arrow_type))["load"].tolist() == ["low", "high"] * 20


def test_decimals_of_a_database_are_groups(runner: IngestRunner) -> None:
    column = pa.array([decimal.Decimal(row // 8) for row in range(40)], pa.decimal128(20, 0))
    assert set(run_with(runner, column, group_column="load", time_column="")["load"]) == set(range(5))


@pytest.mark.parametrize("role", ["feature", "time_column"])
def test_durations_are_refused_with_what_helps(runner: IngestRunner, role: str) -> None:
    column = pa.array([datetime.timedelta(seconds=row) for row in range(40)])
    options = {"drop": ("at", "site"), "time_column": "load"} if role == "time_column" else {}
    runner.assert_refused(write_with(runner, column), "write durations as numbers such as seconds", **options)


def test_booleans_are_no_times(runner: IngestRunner) -> None:
    data = write_with(runner, pa.array([True, False] * 20))
    runner.assert_refused(data, "holds booleans; name a column of timestamps or numbers", time_column="load")


def test_the_times_of_an_index_are_kept(runner: IngestRunner) -> None:
    path = runner.folder / "data.parquet"
    table().drop(columns="at").set_index(pd.date_range("2024-01-01", periods=40, freq="h")).to_parquet(path)
    parts = runner.run(path, drop=("site",))
    assert "'__index_level_0__' holds timestamps and is left out" in "".join(parts.train.preparation.warnings)
    assert runner.run(path, drop=("site",), time_column="__index_level_0__").train.preparation.split == "time"


def test_whole_numbers_that_float64_does_not_tell_apart_are_refused(runner: IngestRunner) -> None:
    data = write_with(runner, pa.array([2**62 + row for row in range(40)]))
    runner.assert_refused(
        data, "'load' needs more digits", f"subtract an offset from it, such as its first value, {2**62}"
    )


def test_text_that_is_read_as_numbers_is_stated(runner: IngestRunner, capsys: pytest.CaptureFixture[str]) -> None:
    data = pa.array(["1.5", "1.50", "2.0", "2.5"] * 10)
    assert run_with(runner, data)["load"].tolist() == [1.5, 1.5, 2.0, 2.5] * 10
    assert "'load' is stored as text and read as numbers, such as '1.5'; to keep text give" in capsys.readouterr().out
    kept = run_with(runner, data, columns={"load": {"dtype": "string"}})
    assert kept["load"].tolist() == ["1.5", "1.50", "2.0", "2.5"] * 10
