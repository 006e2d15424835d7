"""The header of a CSV file is found where people write it, or the sentence says what stands there instead."""

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.ingest.ingest import TrainTestSplit
from kfp_edge.components.ingest.reading.table_format import TableFormat
from support.ingest import IngestRunner

SPACE = TableFormat(separator="space")


def measurements(rows: int = 40) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "speed": np.arange(rows) * 7 % 40 + 1000,
            "load": np.arange(rows) / 8 + 0.5,
            "failed": [int(row % 4 == 3) for row in range(rows)],
        }
    )


def read_sorted(parts: TrainTestSplit, by: str = "load") -> pd.DataFrame:
    whole = pd.concat([parts.train.frame, parts.test.frame])
    return whole.sort_values(by, ignore_index=True)


def aligned(frame: pd.DataFrame, *, header: bool) -> str:
    return frame.to_string(index=False, header=header) + "\n"


# --- columns that spaces separate


def test_aligned_columns_are_read_with_the_separator_that_the_message_names(runner: IngestRunner) -> None:
    data = runner.write(aligned(measurements(), header=True), "data.txt")
    runner.assert_refused(data, "has a single column", "give separator=space", drop=())
    read = read_sorted(runner.run(data, drop=(), table_format=SPACE))
    assert read["speed"].tolist() == measurements()["speed"].tolist()


def test_aligned_columns_without_a_header_are_read_with_names(runner: IngestRunner) -> None:
    data = runner.write(aligned(measurements(), header=False), "data.txt")
    names = TableFormat(separator="space", column_names=("speed", "load", "failed"))
    assert len(read_sorted(runner.run(data, drop=(), table_format=names))) == 40


def test_spaces_at_the_end_of_lines_are_no_columns(runner: IngestRunner) -> None:
    data = runner.write(measurements().to_csv(index=False, sep=" ").replace("\n", "  \n"))
    assert runner.run(data, drop=(), table_format=SPACE).train.roles.features == ("speed", "load")


def test_a_text_in_quotes_keeps_its_spaces(runner: IngestRunner) -> None:
    frame = measurements().assign(mode=["cold  start", "run"] * 20)
    data = runner.write(frame.to_csv(index=False, sep=" "))
    assert set(runner.run(data, drop=(), table_format=SPACE).train.frame["mode"]) == {"cold  start", "run"}


def test_the_header_that_numpy_marks_is_read(runner: IngestRunner) -> None:
    np.savetxt(runner.folder / "data.txt", measurements().to_numpy(), header="speed load failed")
    data = runner.folder / "data.txt"
    runner.assert_refused(data, "give separator=space", drop=())
    read = read_sorted(runner.run(data, drop=(), table_format=SPACE))
    assert read["speed"].tolist() == measurements()["speed"].tolist()


@pytest.mark.parametrize("mark", ["^", ":", "~"])
def test_an_unusual_separator_is_named(runner: IngestRunner, mark: str) -> None:
    data = runner.write(measurements().to_csv(index=False, sep=mark))
    runner.assert_refused(data, f"give separator={mark}", drop=())
    assert runner.run(data, drop=(), table_format=TableFormat(separator=mark)).train.roles.target == "failed"


# --- lines above the header and below it


@pytest.mark.parametrize(
    ("above", "line"),
    [
        ("# logger 3, version 2\n# site, 5\n", 3),
        ("LabVIEW Measurement\nWriter_Version\t2\n\n", 4),
        ("Report\n\n\n", 4),
    ],
)
def test_lines_above_the_header_are_named(runner: IngestRunner, above: str, line: int) -> None:
    content = measurements().to_csv(index=False, sep="\t" if "\t" in above else ",")
    runner.assert_refused(
        runner.write(above + content),
        f"begins with {above.splitlines()[0]!r}, and its header is line {line} or later; delete the lines above it",
        drop=(),
    )


@pytest.mark.parametrize("units", ["rpm,[kN],", "-,kN,-", ",[kN],"])
def test_a_line_of_units_may_leave_columns_without_one(runner: IngestRunner, units: str) -> None:
    header, rows = measurements().to_csv(index=False).split("\n", 1)
    runner.assert_refused(runner.write(f"{header}\n{units}\n{rows}"), "first two lines", "text above numbers", drop=())


def test_a_header_with_more_names_than_the_rows_have_fields_is_refused(runner: IngestRunner) -> None:
    _, rows = measurements().to_csv(index=False).split("\n", 1)
    data = runner.write(f"at,speed,load,failed\n{rows}")
    runner.assert_refused(data, "has 4 names ('at,speed,load,failed'), and its rows have 3 fields", target="load")


def test_single_quotes_are_refused(runner: IngestRunner) -> None:
    data = runner.write(measurements().to_csv(index=False, quotechar="'", quoting=1))
    runner.assert_refused(data, "stand in single quotes", "write double quotes", drop=())


def test_a_quote_that_does_not_end_is_named(runner: IngestRunner) -> None:
    content = measurements().to_csv(index=False).replace("\n1003,", '\n"1003,', 1)
    runner.assert_refused(runner.write(content), "(a quote in it does not end)", drop=())


# --- names


@pytest.mark.parametrize("first", [0, 1, 2019])
def test_numbers_are_names_if_the_target_is_one_of_them(runner: IngestRunner, first: int) -> None:
    frame = measurements()
    frame.columns = pd.Index([str(first + index) for index in range(3)])
    data = runner.write(frame)
    runner.assert_refused(data, "if that line is its header, replace these numbers by names", drop=())
    parts = runner.run(data, drop=(), target=str(first + 2))
    assert len(read_sorted(parts, str(first + 1))) == 40


def test_a_second_byte_order_mark_is_no_part_of_a_name(runner: IngestRunner) -> None:
    data = runner.write("\ufeff\ufeff" + measurements().to_csv(index=False))
    assert runner.run(data, drop=()).train.roles.features == ("speed", "load")
