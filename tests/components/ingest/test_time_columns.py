"""Times in other forms than ISO 8601 and in local time: read with a stated reason, or refused in one sentence."""

import json

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.ingest.reading.table_format import TableFormat
from kfp_edge.errors import KfpEdgeError
from support.ingest import IngestRunner, table

#: Reaches a day above 12, so that day and month cannot be confused.
HOURS = pd.date_range("2024-01-11 20:00", periods=40, freq="h")
#: In one of its days day and month are confused easily.
FEBRUARY = pd.date_range("2024-02-03", periods=40, freq="min")


def read_times(runner: IngestRunner, cells: list[str], **options: str) -> pd.DatetimeIndex:
    """Return the times of a table, whose rows are in the order of time, as they were read."""
    data = runner.write(table(len(cells)).assign(at=cells))
    parts = runner.run(data, drop=("site",), time_column="at", table_format=TableFormat(**options))  # type: ignore[arg-type]
    return pd.DatetimeIndex([*parts.train.frame["at"], *parts.test.frame["at"]])


def assert_refused(runner: IngestRunner, cells: list[str], *messages: str, **options: str) -> None:
    table_format = TableFormat(**options)  # type: ignore[arg-type]
    data = runner.write(table(len(cells)).assign(at=cells))
    runner.assert_refused(data, *messages, drop=("site",), time_column="at", table_format=table_format)


@pytest.mark.parametrize(
    "time_format",
    [
        "%d.%m.%Y %H:%M",
        "%m/%d/%Y %H:%M",
        "%d/%m/%Y %H:%M:%S",
        "%m/%d/%Y %I:%M:%S %p",
        "%d-%b-%y %H:%M:%S",
        "%d-%b-%Y %H:%M:%S",
        "%Y/%m/%d %H:%M",
        "%b %d, %Y %H:%M",
        "%m-%d-%y %H:%M",
    ],
)
def test_a_format_that_alone_fits_every_row_is_read_and_stated(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str], time_format: str
) -> None:
    hours = HOURS + pd.Timedelta(days=7)
    assert (read_times(runner, hours.strftime(time_format).tolist()) == hours).all()
    assert f"time_format '{time_format}' (column 'at' has" in capsys.readouterr().out


@pytest.mark.parametrize("time_format", ["%B %d, %Y %H:%M", "%d %B %Y %H:%M"])
def test_names_of_months_may_be_written_out(runner: IngestRunner, time_format: str) -> None:
    assert (read_times(runner, HOURS.strftime(time_format).tolist()) == HOURS).all()


def test_readings_that_give_the_same_times_leave_no_doubt(runner: IngestRunner) -> None:
    minutes = pd.date_range("2024-01-01", periods=40, freq="min")
    assert (read_times(runner, minutes.strftime("%d.%m.%Y %H:%M").tolist()) == minutes).all()


def test_day_and_month_that_could_be_either_are_refused_with_both_formats(runner: IngestRunner) -> None:
    assert_refused(
        runner,
        FEBRUARY.strftime("%d/%m/%Y %H:%M").tolist(),
        "column 'at' holds times such as '03/02/2024 00:00', which can be read in two ways; "
        'give time_format="%d/%m/%Y %H:%M" or time_format="%m/%d/%Y %H:%M"',
    )


@pytest.mark.parametrize(
    "time_format", ["%d/%m/%Y %H:%M", "%Y%m%d%H%M", "%A, %d. %B %Y %H:%M", "%d.%m.%Y, %H:%M Uhr", "%y%m%d %H:%M:%S.%f"]
)
def test_a_format_can_be_given(runner: IngestRunner, time_format: str) -> None:
    cells = FEBRUARY.strftime(time_format).tolist()
    assert (read_times(runner, cells, time_format=time_format) == FEBRUARY).all()


def test_cells_of_another_format_are_named(runner: IngestRunner) -> None:
    cells = HOURS.strftime("%d.%m.%Y %H:%M").tolist()
    assert_refused(runner, cells, "does not have the time_format '%Y-%m-%d'", time_format="%Y-%m-%d")


@pytest.mark.parametrize("cell", ["31.02.2024 10:00", "yesterday"])
def test_a_date_that_does_not_exist_is_named(runner: IngestRunner, cell: str) -> None:
    cells = HOURS.strftime("%d.%m.%Y %H:%M").tolist()
    cells[7] = cell
    assert_refused(runner, cells, f"is no timestamp like 11.01.2024 20:00 (%d.%m.%Y %H:%M) in 1 row (row 8: '{cell}')")


def test_fractions_of_a_second_and_dates_without_time_may_be_mixed(runner: IngestRunner) -> None:
    cells = HOURS.strftime("%d.%m.%Y %H:%M:%S").tolist()
    cells[0], cells[4] = "11.01.2024 20:00:00,25", "12.01.2024"
    times = read_times(runner, cells)
    assert (times[0], times[4]) == (pd.Timestamp("2024-01-11 20:00:00.25"), pd.Timestamp("2024-01-12"))


def test_numbers_with_decimal_commas_can_be_the_time(runner: IngestRunner) -> None:
    data = runner.write(table().assign(at=[f"{row},5" for row in range(40)]))
    assert runner.run(data, drop=("site",), time_column="at").train.frame["at"].iloc[0] == 0.5


def test_dates_as_text_without_a_role_are_left_out(runner: IngestRunner) -> None:
    data = runner.write(table().assign(at=FEBRUARY.strftime("%d/%m/%Y %H:%M")))
    assert "at" not in runner.run(data, drop=("site",)).train.roles.columns


def test_times_with_and_without_an_offset_are_refused(runner: IngestRunner) -> None:
    cells = [f"2024-01-01 10:{row:02d}:00" + ("+01:00" if row % 2 else "") for row in range(40)]
    assert_refused(
        runner, cells, "has times with an offset from UTC and is without one in 20 rows (row 1:", "write every"
    )


@pytest.mark.parametrize("time_format", ["%d.%m.%y %H:%M", "%d.%m.%y", "%y-%m-%d %H:%M"])
def test_years_of_two_digits_are_read_or_refused_with_the_formats(runner: IngestRunner, time_format: str) -> None:
    times = pd.date_range("2024-01-11", periods=400, freq="D" if time_format == "%d.%m.%y" else "h")
    cells = times.strftime(time_format).tolist()
    assert_refused(runner, cells, "can be read in two ways", f'time_format="{time_format}"')
    assert (read_times(runner, cells, time_format=time_format) == times).all()


def test_the_abbreviation_of_a_zone_is_named_with_a_format_that_reads_it(runner: IngestRunner) -> None:
    cells = HOURS.strftime("%Y-%m-%d %H:%M:%S CET").tolist()
    time_format = "%Y-%m-%d %H:%M:%S CET"
    assert_refused(runner, cells, "ends with the abbreviation CET of a time zone", f'give time_format="{time_format}"')
    assert (read_times(runner, cells, time_format=time_format) == HOURS).all()


def test_two_abbreviations_have_no_format(runner: IngestRunner) -> None:
    cells = [f"2024-01-01 {row % 24:02d}:00:00 {'CEST' if row % 2 else 'CET'}" for row in range(40)]
    assert_refused(runner, cells, "save the times with their offset, such as 2024-01-31 13:00:00+01:00.")


@pytest.mark.parametrize("day", ["2024-01-11", "31.01.2024"])
def test_the_hour_24_is_named(runner: IngestRunner, day: str) -> None:
    cells = [f"{day} 24:00:00"] + [f"{day} 12:{row:02d}:00" for row in range(1, 40)]
    message = f"column 'at' has the hour 24 in 1 row (row 1: '{day} 24:00:00'); write it as 00:00 of the next day"
    assert_refused(runner, cells, message)


# --- local time


def local_times(zone: str, start: str, periods: int = 400, freq: str = "min") -> tuple[list[str], pd.DatetimeIndex]:
    """Return ordered times as local clocks show them, and in UTC."""
    times = pd.date_range(start, periods=periods, freq=freq, tz=zone)
    return times.strftime("%Y-%m-%d %H:%M:%S").tolist(), times.tz_convert(None)


@pytest.mark.parametrize(
    ("zone", "start", "freq"),
    [
        ("Europe/Berlin", "2024-10-27 00:00", "min"),
        ("Europe/Berlin", "2024-10-20 00:00", "h"),
        ("Europe/London", "2024-10-27 00:00", "min"),
        ("America/New_York", "2024-11-03 00:00", "10min"),
    ],
)
def test_the_hour_that_occurs_twice_is_refused_until_its_zone_is_given(
    runner: IngestRunner, zone: str, start: str, freq: str
) -> None:
    cells, utc = local_times(zone, start, freq=freq)
    assert_refused(runner, cells, "goes back in time as local clocks do", "in 1 row", f"such as time_zone={zone}")
    assert (read_times(runner, cells, time_zone=zone) == utc).all()


def test_each_group_has_its_own_order(runner: IngestRunner) -> None:
    cells, utc = local_times("Europe/Berlin", "2024-10-27 00:00")
    frame = pd.concat([table(400).assign(site=site, at=cells) for site in "abc"])
    options = {"drop": (), "time_column": "at", "group_column": "site"}
    data = runner.write(frame)
    runner.assert_refused(data, "goes back in time", **options)
    parts = runner.run(data, table_format=TableFormat(time_zone="Europe/Berlin"), **options)
    whole = pd.concat([parts.train.frame, parts.test.frame])
    for _, rows in whole.groupby("site"):
        assert (np.sort(rows["at"].to_numpy()) == utc.to_numpy()).all()


def test_each_file_of_a_folder_has_its_own_order(runner: IngestRunner) -> None:
    cells, utc = local_times("Europe/Berlin", "2024-10-27 01:00", periods=200)
    for site in "abc":
        runner.write(table(200).assign(site=site, at=cells), f"parts/{site}.csv")
    options = {"drop": ("site",), "time_column": "at"}
    runner.assert_refused(runner.folder / "parts", "goes back in time", **options)
    parts = runner.run(runner.folder / "parts", table_format=TableFormat(time_zone="Europe/Berlin"), **options)
    times = np.concatenate([part.frame["at"].to_numpy() for part in (parts.train, parts.test)])
    assert (np.sort(times) == np.sort(np.tile(utc.to_numpy(), 3))).all()


def test_a_file_with_the_newest_row_first_is_read_as_well(runner: IngestRunner) -> None:
    cells, utc = local_times("Europe/Berlin", "2024-10-27 00:00")
    assert_refused(runner, cells[::-1], "goes back in time as local clocks do")
    assert (read_times(runner, cells[::-1], time_zone="Europe/Berlin") == utc).all()


def test_an_hour_whose_order_shows_nothing_is_refused(runner: IngestRunner) -> None:
    cells = ["2024-10-27 01:00:00", "2024-10-27 02:30:00", "2024-10-27 04:00:00"] + ["2024-10-27 05:00:00"] * 37
    assert_refused(runner, cells, "lies in the hour that occurs twice in Europe/Berlin", time_zone="Europe/Berlin")


def test_a_time_that_clocks_skip_is_refused(runner: IngestRunner) -> None:
    cells = pd.date_range("2024-03-31", periods=40, freq="30min").strftime("%Y-%m-%d %H:%M").tolist()
    assert_refused(
        runner,
        cells,
        "column 'at' has times that Europe/Berlin skips when clocks are set forward in 2 rows",
        time_zone="Europe/Berlin",
    )


@pytest.mark.parametrize("seed", range(3))
def test_rows_in_any_order_are_no_sign_of_local_time(runner: IngestRunner, seed: int) -> None:
    times = pd.date_range("2024-10-26", periods=2000, freq="min").to_series().sample(frac=1, random_state=seed)
    assert len(read_times(runner, times.astype(str).tolist())) == 2000


def test_an_offset_counts_more_than_the_zone(runner: IngestRunner) -> None:
    cells = HOURS.strftime("%Y-%m-%d %H:%M:%S+00:00").tolist()
    assert (read_times(runner, cells, time_zone="Europe/Berlin") == HOURS).all()


def test_failure_windows_are_in_the_same_zone(runner: IngestRunner) -> None:
    cells, _ = local_times("Europe/Berlin", "2024-06-01", periods=40, freq="h")
    windows = runner.write(json.dumps([["2024-06-02 10:00", "2024-06-02 12:00"]]), "windows.json")
    data = runner.write(table().drop(columns="failed").assign(at=cells))
    parts = runner.run(
        data,
        target="",
        drop=("site",),
        time_column="at",
        windows=str(windows),
        split="random",
        table_format=TableFormat(time_zone="Europe/Berlin"),
    )
    whole = pd.concat([parts.train.frame, parts.test.frame])
    assert sorted(whole.loc[whole["anomaly"] == 1, "at"].astype(str)) == [
        f"2024-06-02 {hour:02d}:00:00" for hour in (8, 9, 10)
    ]


def read_failures(
    runner: IngestRunner, cells: list[str], window: list[str], table_format: TableFormat
) -> list[pd.Timestamp]:
    """Return the times, in UTC, that a failure window labels."""
    windows = runner.write(json.dumps([window]), "windows.json")
    data = runner.write(table(len(cells)).drop(columns="failed").assign(at=cells))
    options = {"target": "", "drop": ("site",), "time_column": "at", "split": "random"}
    parts = runner.run(data, **options, windows=str(windows), table_format=table_format)
    whole = pd.concat([parts.train.frame, parts.test.frame])
    return sorted(whole.loc[whole["anomaly"] == 1, "at"])


@pytest.mark.parametrize("stated", ["", "%d.%m.%Y %H:%M"])
@pytest.mark.parametrize("window", [["02.03.2024 12:00", "02.03.2024 14:00"], ["2024-03-02 12:00", "02.03.2024 14:00"]])
def test_failure_windows_are_written_like_the_time_column(runner: IngestRunner, window: list[str], stated: str) -> None:
    hours = pd.date_range("2024-03-01", periods=400, freq="h")
    times = read_failures(runner, hours.strftime("%d.%m.%Y %H:%M").tolist(), window, TableFormat(time_format=stated))
    assert times == pd.date_range("2024-03-02 12:00", periods=3, freq="h").tolist()


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (["02.03.2024 12:00", "02.03.2024 14:00"], "can be read in two ways; write them like those of the time column"),
        (["1709380800", "1709380900"], "is no window"),
        ([1709380800, 1709380900], "is no window"),
        (["soon", "2024-03-02"], "is no window"),
    ],
)
def test_windows_of_unclear_times_are_refused(runner: IngestRunner, window: list[str], message: str) -> None:
    cells = pd.date_range("2024-03-01", periods=400, freq="h").strftime("%Y-%m-%d %H:%M").tolist()
    with pytest.raises(KfpEdgeError, match=message):
        read_failures(runner, cells, window, TableFormat())


def test_windows_in_one_other_format_are_read(runner: IngestRunner) -> None:
    cells = pd.date_range("2024-03-01", periods=800, freq="h").strftime("%Y-%m-%d %H:%M").tolist()
    times = read_failures(runner, cells, ["31.03.2024 12:00", "31.03.2024 15:00"], TableFormat())
    assert times == pd.date_range("2024-03-31 12:00", periods=4, freq="h").tolist()


def test_a_zone_is_for_timestamps(runner: IngestRunner) -> None:
    assert_refused(runner, [str(row) for row in range(40)], "time_zone is for timestamps", time_zone="Europe/Berlin")


@pytest.mark.parametrize("time_format", ["%Y-%m-%dT%H:%M:%SZ", "%Y%m%dT%H%M%S"])
def test_a_cell_among_iso_times_that_is_none_is_named(runner: IngestRunner, time_format: str) -> None:
    cells = HOURS.strftime(time_format).tolist()
    cells[3] = "soon"
    assert_refused(runner, cells, f"is no timestamp like {cells[0]} in 1 row (row 4: 'soon')")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([f"{row + 1}. März 2024" for row in range(30)], "has the month 'März', and only English names of months"),
        ([f"01/{row + 1}/2024 10:00 p.m." for row in range(30)], "has a.m. or p.m. with points in 30 rows"),
        ([f"{row}:00:00" for row in range(200)], "holds times of day or durations, which have no date"),
        ([f"2024.01.01.{row:02d}.00.00" for row in range(24)], "name its format in time_format"),
        ([f"01-JAN-24 {row + 1:02d}.00.00 AM" for row in range(12)], "name their format in time_format"),
        (["yesterday"] * 30, "name a column of timestamps or numbers in time_column"),
        (["inf", *map(str, range(30))], "is the time column and is infinite in 1 row (row 1: inf)"),
    ],
)
def test_the_remedy_for_times_that_are_not_read_fits_them(runner: IngestRunner, cells: list[str], message: str) -> None:
    assert_refused(runner, cells, message)


@pytest.mark.parametrize("cells", [["01/01/2024"] * 20 + ["01/02/2024"] * 20, ["2024-01-01"] * 39 + ["unknown"]])
def test_dates_that_no_parameter_names_are_left_out(runner: IngestRunner, cells: list[str]) -> None:
    parts = runner.run(runner.write(table().assign(at=cells)), drop=("site",))
    assert "at" not in parts.train.frame
    assert "column 'at' holds timestamps and is left out" in "".join(parts.train.preparation.warnings)
