"""Folders whose files differ, as they do when machines, years and programs wrote them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.ingest import IngestRunner, table

ROLES = {"drop": ("at", "site", "type")}


def write_files(runner: IngestRunner, contents: Sequence[pd.DataFrame | str]) -> Path:
    for number, content in enumerate(contents):
        runner.write(content, f"runs/run{number}.csv")
    return runner.folder / "runs"


def halves() -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = table(80)
    return frame[:40], frame[40:]


def read_loads(runner: IngestRunner, folder: Path) -> list[float]:
    parts = runner.run(folder, **ROLES)
    return sorted(pd.concat([parts.train.frame, parts.test.frame])["load"])


def test_every_file_may_have_its_order_separator_and_decimal_mark(runner: IngestRunner) -> None:
    first, second = halves()
    folder = write_files(runner, [first.iloc[:, ::-1], second.to_csv(index=False, sep=";", decimal=",")])
    assert read_loads(runner, folder) == sorted((np.arange(80) / 7).astype(np.float32))


def test_a_column_of_booleans_may_be_1_and_0_in_some_files(runner: IngestRunner) -> None:
    first, second = halves()
    parts = runner.run(write_files(runner, [first, second.assign(failed=second["failed"] == 1)]), **ROLES)
    assert parts.train.y().sum() + parts.test.y().sum() == 20


@pytest.mark.parametrize("change", ["more", "fewer"])
def test_a_column_that_one_file_lacks_is_named_with_both_files(runner: IngestRunner, change: str) -> None:
    first, second = halves()
    second = second.assign(extra=1) if change == "more" else second.drop(columns="load")
    message = "has the column 'extra' and" if change == "more" else "has the column 'load' and"
    folder = write_files(runner, [first, second])
    runner.assert_refused(folder, message, "run0.csv", "run1.csv", "write the same columns in all files", **ROLES)


@pytest.mark.parametrize("columns", [["at", "speed", "load", "failed"], ["speed", "load", "failed"]])
def test_a_file_without_the_header_of_the_others_is_named(runner: IngestRunner, columns: list[str]) -> None:
    first, second = (half[columns] for half in halves())
    folder = write_files(runner, [first, second.to_csv(index=False, header=False)])
    runner.assert_refused(folder, "run1.csv has no header, and", "run0.csv has one", drop=())


def test_a_folder_of_other_files_names_one_and_the_remedy(runner: IngestRunner) -> None:
    runner.write(table(), "runs/2003.10.22.12.06.24")
    runner.assert_refused(runner.folder / "runs", "such as '2003.10.22.12.06.24', are tables rename them to .csv")


def test_files_of_open_workbooks_are_skipped(runner: IngestRunner) -> None:
    folder = write_files(runner, halves())
    runner.write(b"\x00", "runs/~$run0.csv")
    assert len(read_loads(runner, folder)) == 80


def test_a_file_that_was_appended_with_its_byte_order_mark_is_a_header_among_the_rows(runner: IngestRunner) -> None:
    first, second = (part.to_csv(index=False) for part in halves())
    runner.assert_refused(runner.write(f"\ufeff{first}\ufeff{second}"), "row 41 of", "repeats the header", **ROLES)


def write_parquet(runner: IngestRunner, columns: Sequence[pa.Array]) -> Path:
    folder = runner.folder / "runs"
    folder.mkdir()
    for number, (part, column) in enumerate(zip(halves(), columns, strict=True)):
        rows = pa.Table.from_pandas(part, preserve_index=False)
        rows = rows.set_column(rows.column_names.index("at"), "at", column)
        pq.write_table(rows, folder / f"run{number}.parquet")
    return folder


def make_times(zone: str | None) -> pa.Array:
    return pa.array(pd.date_range("2024-06-01 10:00", periods=40, freq="h"), pa.timestamp("us", zone))


def test_the_same_times_in_other_zones_are_the_same(runner: IngestRunner) -> None:
    folder = write_parquet(runner, [make_times("UTC"), make_times("Europe/Berlin")])
    parts = runner.run(folder, drop=("site",), time_column="at", split="time")
    assert str(pd.concat([parts.train.frame, parts.test.frame])["at"].min()) == "2024-06-01 10:00:00"


def test_a_column_of_two_types_is_named_with_both_files(runner: IngestRunner) -> None:
    folder = write_parquet(runner, [make_times("UTC"), pa.array(["2024-06-01"] * 40)])
    runner.assert_refused(
        folder,
        "column 'at' is timestamp[us, tz=UTC] in",
        "and string in",
        "write it with one type in all files",
        drop=("site",),
        time_column="at",
    )
