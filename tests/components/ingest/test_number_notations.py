"""Numbers in the notations of people, locales and historians are numbers or a sentence, never a category in silence."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kfp_edge.components.ingest.ingest import TrainTestSplit
from kfp_edge.components.ingest.reading.table_format import TableFormat
from support.ingest import IngestRunner, table

VALUES = np.arange(40) * 37.25 - 300


def read_column(runner: IngestRunner, cells: list[str], **options: object) -> list[float]:
    """Return the values of a column in the order of the file, after checking that it is a numeric feature."""
    frame = table(len(cells)).assign(load=cells)
    parts = runner.run(runner.write(frame), drop=("site",), time_column="at", **options)
    assert "load" in parts.train.roles.numeric
    return whole(parts)["load"].tolist()


def whole(parts: TrainTestSplit) -> pd.DataFrame:
    return pd.concat([parts.train.frame, parts.test.frame], ignore_index=True)


def with_code(code: str, share: float, values: int = 7) -> list[str]:
    """Return forty cells, of which `share` are the code and the others one of few numbers."""
    return [code if row < 40 * share else str(row % values + 0.5) for row in range(40)]


@pytest.mark.parametrize(
    ("write", "example"),
    [
        (lambda value: f"{value:.2f}".replace(".", ","), "'-300,00')"),
        (lambda value: f"{value:,.2f}", "'1,003.75' (row 36) is 1003.75"),
        (lambda value: f"{value:,.2f}".replace(",", "'"), '"1\'003.75" (row 36) is 1003.75'),
        (lambda value: f"{value:,.2f}".replace(",", "\u2019"), "'1\u2019003.75' (row 36) is 1003.75"),
        (lambda value: f"{value:,.2f}".replace(",", "\u202f").replace(".", ","), "'-300,00' (row 1) is -300"),
        (lambda value: f"{value:.2f}%", "'-300.00%' (row 1) is -300"),
        (lambda value: f"{value:.2f} %", "'-300.00 %' (row 1) is -300"),
        (lambda value: f"${value:,.2f}", "'$-300.00' (row 1) is -300"),
        (lambda value: f"{value:.2f} \u20ac".replace(".", ","), "'-300,00 \u20ac' (row 1) is -300"),
        (lambda value: f"{abs(value):.2f}-" if value < 0 else f"{value:.2f}", "'300.00-' (row 1) is -300"),
        (lambda value: f"({abs(value):.2f})" if value < 0 else f"{value:.2f}", "'(300.00)' (row 1) is -300"),
        (lambda value: f"{value:.2f}".replace("-", "\u2212"), "'\u2212300.00' (row 1) is -300"),
        (lambda value: f"{value:.6e}".replace(".", ","), "'-3,000000e+02')"),
        (lambda value: f"{value:.6E}".replace("E", "D"), "'-3.000000D+02' (row 1) is -300"),
    ],
)
def test_a_notation_that_leaves_no_doubt_is_read_and_stated(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str], write: object, example: str
) -> None:
    assert read_column(runner, [write(value) for value in VALUES]) == VALUES.tolist()  # type: ignore[operator]
    written = capsys.readouterr().out
    remarks = (f"column 'load' is read as numbers: {example}", f"decimal ',' (column 'load' has {example}")
    assert any(remark in written for remark in remarks)


def test_indian_groups_are_read(runner: IngestRunner) -> None:
    assert read_column(runner, ["12,34,567.5"] * 20 + ["1,00,000"] * 20)[::39] == [1234567.5, 100000.0]


def test_what_was_read_in_another_notation_is_in_the_report(runner: IngestRunner) -> None:
    read_column(runner, [f"{value:.1f}%" for value in VALUES])
    assert "- column 'load' is read as numbers: '-300.0%' (row 1) is -300" in runner.report.read_text()


AMBIGUOUS = [f"{1 + row % 9},{row * 20:03d}" for row in range(40)]


def test_numbers_with_two_readings_are_refused_with_both(runner: IngestRunner) -> None:
    runner.assert_refused(
        runner.write(table().assign(load=AMBIGUOUS)),
        "column 'load' holds numbers that can be read in two ways in 40 rows (row 1: '1,000'); "
        'it is 1000 with thousands="," or 1 with decimal=","',
    )


@pytest.mark.parametrize(("options", "second"), [({"thousands": ","}, 2020.0), ({"decimal": ","}, 2.02)])
def test_a_parameter_decides_between_two_readings(runner: IngestRunner, options: dict[str, str], second: float) -> None:
    values = read_column(runner, AMBIGUOUS, table_format=TableFormat(**options))  # type: ignore[arg-type]
    assert values[1] == pytest.approx(second)


def test_another_column_with_decimal_commas_decides_about_commas(runner: IngestRunner) -> None:
    frame = table().assign(load=AMBIGUOUS, speed=[f"{row},5" for row in range(40)])
    assert whole(runner.run(runner.write(frame)))["load"].max() < 10


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_point_beside_decimal_commas_may_group_thousands(runner: IngestRunner, separator: str) -> None:
    frame = table().assign(load=[cell.replace(",", ".") for cell in AMBIGUOUS], speed=[f"{row},5" for row in range(40)])
    data = runner.write(frame.to_csv(index=False, sep=separator))
    runner.assert_refused(data, 'it is 1 with decimal="." or 1000 with thousands="."')
    train = runner.run(data, table_format=TableFormat(thousands=".")).train
    assert train.frame["load"].min() == 1000


def test_points_alone_are_decimal_marks(runner: IngestRunner) -> None:
    assert max(read_column(runner, [cell.replace(",", ".") for cell in AMBIGUOUS])) < 10


def test_numbers_in_two_notations_are_refused(runner: IngestRunner) -> None:
    cells = ["1.5"] * 39 + ["1,5"]
    runner.assert_refused(
        runner.write(table().assign(load=cells)), "'load' mixes notations of numbers in 1 row (row 40: '1,5')"
    )


def test_percent_beside_plain_numbers_is_refused(runner: IngestRunner) -> None:
    cells = [f"{row}.5%" if row % 2 else f"{row / 100}" for row in range(40)]
    runner.assert_refused(runner.write(table().assign(load=cells)), "'load' has numbers with and without a unit")


def test_a_unit_is_refused_with_both_ways_out(runner: IngestRunner) -> None:
    data = runner.write(table().assign(load=[f"{row}.5 bar" for row in range(40)]))
    runner.assert_refused(
        data,
        "holds numbers with the unit 'bar' in 40 rows (row 1: '0.5 bar')",
        'to read the numbers give columns={"load": {"dtype": "number"}}',
    )
    assert "load" in runner.run(data, columns={"load": {"dtype": "number"}}).train.roles.numeric
    assert "load" in runner.run(data, columns={"load": {"dtype": "string"}}).train.roles.categorical


def test_several_units_are_no_identifier(runner: IngestRunner) -> None:
    cells = [f"{row}.5 {['bar', 'kPa'][row % 2]}" for row in range(200)]
    runner.assert_refused(runner.write(table(200).assign(load=cells)), "with the units 'bar' and 'kPa'", "in one unit")


# --- codes for missing values


@pytest.mark.parametrize("code", ["na", "?", "-", "None", "n.a.", "#DIV/0!", "Bad Input"])
@pytest.mark.parametrize("share", [0.1, 0.7, 0.95])
def test_a_code_among_numbers_is_refused_with_the_parameter_that_reads_it(
    runner: IngestRunner, code: str, share: float
) -> None:
    runner.assert_refused(
        runner.write(table().assign(load=with_code(code, share))),
        f"column 'load' holds numbers but is not a number in {40 * share:.0f} row",
        f"(row 1: '{code}'); if these mean missing, give missing_values=[\"{code}\"]",
    )


@pytest.mark.parametrize("code", ["na", "?", "-", "Bad Input", "-200", "-200.0"])
def test_a_declared_code_is_as_good_as_an_empty_cell(runner: IngestRunner, code: str) -> None:
    coded, empty = (
        runner.run(
            runner.write(table().assign(load=with_code(cell, 0.7))), table_format=TableFormat(missing_values=(code,))
        )
        for cell in (code, "")
    )
    pd.testing.assert_frame_equal(coded.train.frame, empty.train.frame)


def test_a_declared_number_is_missing_however_it_is_written(runner: IngestRunner) -> None:
    values = read_column(
        runner, ["-200,0"] * 10 + ["-200"] * 10 + ["1,5"] * 20, table_format=TableFormat(missing_values=("-200",))
    )
    assert np.isnan(values).sum() == 20


@pytest.mark.parametrize("code", ["NA", "N/A", "null", "NULL", "#N/A"])
def test_standard_codes_are_missing_and_are_stated(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    assert np.isnan(read_column(runner, with_code(code, 0.7))).sum() == 28
    assert f"column 'load': '{code}' (28 cells) read as missing" in capsys.readouterr().out


def test_codes_of_parquet_are_read_as_those_of_csv(runner: IngestRunner) -> None:
    frame = table().assign(load=with_code("?", 0.5), speed=[-200 if row % 2 else row for row in range(40)])
    pq.write_table(pa.Table.from_pandas(frame), runner.folder / "data.parquet")
    parts = runner.run(runner.folder / "data.parquet", table_format=TableFormat(missing_values=("?", "-200")))
    assert whole(parts)[["load", "speed"]].isna().sum().tolist() == [20, 20]


def test_states_of_a_historian_with_few_numbers_are_no_categories(runner: IngestRunner) -> None:
    cells = [["Bad Input", "No Data", "I/O Timeout"][row % 3] if row % 5 else f"{row % 3}.5" for row in range(40)]
    runner.assert_refused(
        runner.write(table().assign(load=cells)), 'missing_values=["No Data", "I/O Timeout", "Bad Input"]'
    )


def test_text_with_a_few_numbers_is_text_and_that_is_stated(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = ["1" if row == 0 else f"E{row % 4}" for row in range(40)]
    assert "load" in runner.run(runner.write(table().assign(load=cells))).train.roles.categorical
    assert "column 'load' is text: only 0.025 of its cells are numbers" in capsys.readouterr().out


def test_an_undeclared_number_far_outside_is_kept_and_gives_a_warning(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    values = read_column(runner, [str(-200 if row % 10 == 0 else row / 8) for row in range(40)])
    assert values.count(-200) == 4
    assert "'load' is -200 in 10% of its rows, far outside all other values (0.125 to 4.875)" in capsys.readouterr().out


@pytest.mark.parametrize("code", ["-9999", "9999", "-999.25", "65535"])
def test_a_customary_code_gives_a_warning_even_near_the_other_values(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    scale = abs(float(code)) / 50
    read_column(runner, [code if row % 10 == 0 else f"{(row - 20) * scale:.1f}" for row in range(40)])
    warnings = capsys.readouterr().out
    assert f"'load' is {code} in 10% of its rows" in warnings
    assert f"give missing_values=[{code}]" in warnings


def test_a_code_of_many_digits_is_named_so_that_its_remedy_matches_it(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = ["3.4028234663852886e+38" if row % 5 == 0 else f"{row / 8}" for row in range(40)]
    read_column(runner, cells)
    assert "give missing_values=[3.4028234663852886e+38]" in capsys.readouterr().out
    values = read_column(runner, cells, table_format=TableFormat(missing_values=("3.4028234663852886e+38",)))
    assert sum(value is None or np.isnan(value) for value in values) == 8


# --- booleans and whole numbers


@pytest.mark.parametrize(("true", "false"), [("true", "false"), ("TRUE", "FALSE"), ("True", "false")])
def test_booleans_with_empty_cells_are_numbers(runner: IngestRunner, true: str, false: str) -> None:
    values = read_column(runner, [["", true, false][row % 3] for row in range(40)])
    assert np.isnan(values[:1]).all()
    assert values[1:3] == [1.0, 0.0]


def test_yes_and_no_are_text(runner: IngestRunner) -> None:
    cells = [["Yes", "No"][row % 2] for row in range(40)]
    assert "load" in runner.run(runner.write(table().assign(load=cells))).train.roles.categorical


def test_a_code_among_booleans_is_refused(runner: IngestRunner) -> None:
    cells = [["na", "true", "false"][row % 3] for row in range(40)]
    runner.assert_refused(runner.write(table().assign(load=cells)), 'missing_values=["na"]')


@pytest.mark.parametrize("first", [9_007_199_254_740_992, 18_446_744_073_709_551_610])
def test_whole_numbers_of_groups_keep_all_their_digits(runner: IngestRunner, first: int) -> None:
    frame = table().assign(site=[first + row // 4 for row in range(40)])
    parts = runner.run(runner.write(frame), drop=("at",), group_column="site")
    assert whole(parts)["site"].astype(str).nunique() == 10


@pytest.mark.parametrize("first", [9_007_199_254_740_992, 18_446_744_073_709_551_610])
def test_whole_numbers_of_labels_keep_all_their_digits(runner: IngestRunner, first: int) -> None:
    labels = [first + row % 2 for row in range(40)]
    train = runner.run(runner.write(table().assign(failed=labels))).train
    assert {int(label) for label in train.y().tolist()} == set(labels)


def test_whole_numbers_that_parquet_stores_as_text_stay_text(runner: IngestRunner) -> None:
    table().assign(type=[["1", "2"][row % 2] for row in range(40)]).to_parquet(runner.folder / "data.parquet")
    assert "type" in runner.run(runner.folder / "data.parquet").train.roles.categorical


def test_a_cell_of_several_lines_gives_one_sentence(runner: IngestRunner) -> None:
    cells = ["broken\nsince Monday" if row == 3 else str(row) for row in range(40)]
    runner.assert_refused(runner.write(table().assign(load=cells)), r'missing_values=["broken\nsince Monday"]')


@pytest.mark.parametrize("label", ["inf", "1e300"])
def test_a_label_beyond_every_whole_number_is_refused(runner: IngestRunner, label: str) -> None:
    labels = [label if row == 3 else str(row % 2) for row in range(40)]
    runner.assert_refused(runner.write(table().assign(failed=labels)), "'failed' is the target and is no whole number")


def test_unsigned_numbers_of_parquet_keep_all_their_digits(runner: IngestRunner) -> None:
    first = 18_446_744_073_709_551_000
    frame = table().assign(
        site=np.array([first + row // 4 for row in range(40)], dtype=np.uint64),
        failed=np.array([first + row % 2 for row in range(40)], dtype=np.uint64),
    )
    frame.to_parquet(runner.folder / "data.parquet")
    parts = runner.run(runner.folder / "data.parquet", drop=("at",), group_column="site")
    assert whole(parts)["site"].nunique() == 10
    assert set(whole(parts)["failed"]) == {str(first), str(first + 1)}


@pytest.mark.parametrize(
    "groups",
    [[f"2024-01-{row // 4 + 1:02d}" for row in range(40)], [f"{row // 4}.0" for row in range(40)]],
    ids=["days", "whole numbers with a decimal mark"],
)
def test_groups_may_be_days_and_whole_numbers(runner: IngestRunner, groups: list[str]) -> None:
    parts = runner.run(runner.write(table().assign(site=groups)), drop=("at",), group_column="site")
    assert whole(parts)["site"].nunique() == 10


def test_a_code_in_a_column_that_is_expected_to_be_a_number_is_refused_with_its_parameter(runner: IngestRunner) -> None:
    data = runner.write(table().assign(load=with_code("na", 0.7)))
    runner.assert_refused(
        data,
        "'load' is not a number in 28 rows (row 1: 'na'); if that means missing give missing_values=[\"na\"]",
        columns={"load": {"dtype": "number"}},
    )


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda row: f"'{row}.5", "holds numbers that are written as text, such as '0.5"),
        (lambda row: f'="{row}"', "write them without the apostrophe, quotes or ="),
        (lambda row: f"{row:02d}.30.00", "holds durations or times of day such as '00.30.00'"),
        (lambda row: f"{row % 12 + 1}:30 PM", "holds durations or times of day such as '1:30 PM'"),
        (
            lambda row: "".join(chr(0x660 + int(digit)) for digit in str(100 + row)),
            "write them in plain digits, such as",
        ),
    ],
)
def test_numbers_that_are_not_read_are_no_categories(runner: IngestRunner, write: object, message: str) -> None:
    cells = [write(row % 24) for row in range(40)]  # type: ignore[operator]
    runner.assert_refused(runner.write(table().assign(load=cells)), "column 'load'", message)


def test_many_numbers_with_a_few_units_are_no_identifiers(runner: IngestRunner) -> None:
    cells = [f"{row}{'ms' if row % 2 else 's'}" for row in range(240)]
    data = runner.write(table(240).assign(load=cells))
    runner.assert_refused(data, "holds numbers with the units 'ms' and 's'; write all of them as numbers in one unit")


@pytest.mark.parametrize("cell", ["3/10", "01/02"])
def test_a_fraction_is_no_number_with_a_unit(runner: IngestRunner, cell: str) -> None:
    cells = [f"{row % 9}{cell[-3:]}" for row in range(40)]
    assert "load" in runner.run(runner.write(table().assign(load=cells))).train.roles.categorical


def test_cells_with_digits_are_to_be_written_as_numbers(runner: IngestRunner) -> None:
    cells = ["<0.01" if row % 9 == 0 else f"{row}.5" for row in range(40)]
    data = runner.write(table().assign(load=cells))
    runner.assert_refused(
        data, 'write these cells as plain numbers; if these mean missing, give missing_values=["<0.01"]'
    )


@pytest.mark.parametrize("cell", ["1.0", "1"])
def test_true_and_1_are_the_same_in_a_column_of_booleans(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    cells = [("True", cell)[row // 2 % 2] if row % 2 else "0" for row in range(40)]
    assert read_column(runner, cells) == [0.0, 1.0] * 20
    assert (
        cell == "1"
    ) or "column 'load' is read as booleans: '0' is false and '1.0' is true" in capsys.readouterr().out


@pytest.mark.parametrize(("write", "example"), [("{:03d}", "000 as 0"), ("0x{:x}", "0x0 as 0")])
def test_codes_that_are_read_as_numbers_are_stated(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str], write: str, example: str
) -> None:
    cells = [write.format(row % 12) for row in range(40)]
    assert read_column(runner, cells) == [row % 12 for row in range(40)]
    remark = f"column 'load' is read as numbers, {example}; to keep codes as text give columns="
    assert remark in capsys.readouterr().out
    data = runner.write(table().assign(load=cells))
    kept = runner.run(data, drop=("site", "at"), columns={"load": {"dtype": "string"}})
    assert remark not in capsys.readouterr().out
    assert "load" in kept.train.roles.categorical
