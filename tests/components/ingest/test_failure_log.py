"""Labels that follow from a failure log: which rows are before a failure, and which have no label."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.ingest.ingest import TrainTestSplit
from kfp_edge.components.ingest.labelling.label_options import LabelOptions
from kfp_edge.components.ingest.options import IngestOptions, find_contradictions
from kfp_edge.components.ingest.reading.table_format import TableFormat
from support.ingest import IngestRunner

NONE: Mapping[str, Any] = {}
HOURS = pd.date_range("2024-03-01", periods=200, freq="h")


def make_rows(machines: tuple[object, ...] = ("m1", "m2"), rows: int = 200) -> pd.DataFrame:
    """Return hourly rows of machines that run at the same time; `load` is the number of the row."""
    frame = pd.DataFrame({"at": HOURS[:rows], "load": np.arange(rows) / 7})
    return pd.concat([frame.assign(machine=name) for name in machines], ignore_index=True)


def make_log(*failures: tuple[object, str], **columns: list[object]) -> pd.DataFrame:
    """Return a log of failures: the machine, and the hour as `02 10:00` of March 2024."""
    log = pd.DataFrame(
        {"machine": [name for name, _ in failures], "failed_at": [f"2024-03-{at}" for _, at in failures]}
    )
    return log.assign(**columns)


class LogRunner:
    """Runs `ingest` on rows and a failure log."""

    def __init__(self, runner: IngestRunner) -> None:
        self.runner = runner

    def _options(
        self, log: pd.DataFrame | str, labels: Mapping[str, Any], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        path = self.runner.write(log, "failures.csv")
        made = LabelOptions(**{"failures": str(path), "horizon": "10h", **labels})
        common = {"target": "", "drop": (), "time_column": "at", "group_column": "machine", "split": "time"}
        return {**common, **options, "labels": made}

    def run(
        self, rows: pd.DataFrame, log: pd.DataFrame | str, labels: Mapping[str, Any] = NONE, **options: Any
    ) -> TrainTestSplit:
        return self.runner.run(self.runner.write(rows), **self._options(log, labels, options))

    def assert_refused(
        self,
        rows: pd.DataFrame,
        log: pd.DataFrame | str,
        *expected: str,
        labels: Mapping[str, Any] = NONE,
        **options: Any,
    ) -> None:
        self.runner.assert_refused(self.runner.write(rows), *expected, **self._options(log, labels, options))


@pytest.fixture
def logs(runner: IngestRunner) -> LogRunner:
    return LogRunner(runner)


#: Every machine fails on 2 March at 12:00, and on 8 March at 02:00.
LOG = make_log(("m1", "02 12:00"), ("m2", "02 12:00"), ("m1", "08 02:00"), ("m2", "08 02:00"))


def find_positive(parts: TrainTestSplit, machine: object, target: str = "fails_within_10h") -> list[str]:
    """Return the hours of a machine that are labelled 1, such as `02 10:00`."""
    frame = pd.concat([parts.train.frame, parts.test.frame])
    rows = frame[(frame["machine"] == machine) & (frame[target] == 1)]
    return sorted(rows["at"].dt.strftime("%d %H:%M"))


def list_hours(start: str, end: str) -> list[str]:
    return pd.date_range(f"2024-03-{start}", f"2024-03-{end}", freq="h").strftime("%d %H:%M").tolist()


# --- which rows are positive


def test_rows_within_the_horizon_before_a_failure_of_their_machine_are_positive(logs: LogRunner) -> None:
    log = make_log(("m1", "02 12:00"), ("m1", "08 02:00"), ("m2", "03 06:30"), ("m2", "08 02:00"))
    parts = logs.run(make_rows(), log)
    assert find_positive(parts, "m1") == list_hours("02 02:00", "02 11:00") + list_hours("07 16:00", "08 01:00")
    assert find_positive(parts, "m2") == list_hours("02 21:00", "03 06:00") + list_hours("07 16:00", "08 01:00")
    roles = parts.train.roles
    assert (roles.target, roles.positive, roles.features) == ("fails_within_10h", 1, ("load",))


def test_the_time_until_the_failure_is_kept_beside_the_label(logs: LogRunner) -> None:
    frame = logs.run(make_rows(), LOG).test.frame
    positive = frame[frame["fails_within_10h"] == 1]
    expected = (pd.Timestamp("2024-03-08 02:00") - positive["at"]) / pd.Timedelta("1h")
    assert positive["time until failure"].tolist() == expected.tolist()
    assert frame.loc[frame["fails_within_10h"] == 0, "time until failure"].isna().all()


def test_the_positive_class_is_the_failure_even_where_it_is_not_the_rarer_one(logs: LogRunner) -> None:
    parts = logs.run(make_rows(), LOG, {"horizon": "130h"}, split="group", test_fraction=0.5)
    assert parts.train.y().mean() > 0.5
    assert parts.train.roles.positive == 1
    assert "fails within 130h" in parts.train.preparation.positive_reason


def test_the_report_says_how_the_labels_were_made(logs: LogRunner) -> None:
    logs.run(make_rows(), LOG)
    report = logs.runner.report.read_text()
    assert "fails within 10h after the row (failure log" in report
    assert "4 failures of 2 machines" in report


@pytest.mark.parametrize(
    ("horizon", "name"),
    [("600min", "600min"), ("10 hours", "10h"), ("0.5d", "0.5d"), ("0.1w", "0.1w"), ("36000s", "36000s")],
)
def test_a_horizon_has_the_units_of_time(logs: LogRunner, horizon: str, name: str) -> None:
    target = logs.run(make_rows(), LOG, {"horizon": horizon}, test_fraction=0.5, split="group").train.roles.target
    assert target == f"fails_within_{name}"


# --- rows without a label


def count_left_out(parts: TrainTestSplit) -> dict[str, int]:
    return dict(parts.train.preparation.left_out)


DOWN = "rows from a failure on until the machine runs again"
CENSORED = "rows at the end of the data of a machine, of which the next 10h are not known"


def test_rows_whose_next_horizon_is_not_known_are_left_out_and_not_negative(logs: LogRunner) -> None:
    parts = logs.run(make_rows(), LOG)
    # the data ends on 9 March at 07:00
    assert count_left_out(parts)[CENSORED] == 2 * 10
    assert parts.test.frame["at"].max() == pd.Timestamp("2024-03-08 21:00")


def test_rows_before_a_failure_that_is_logged_after_the_end_of_the_data_are_positive(logs: LogRunner) -> None:
    log = pd.concat([LOG, make_log(("m1", "09 09:00"))])
    parts = logs.run(make_rows(), log)
    assert find_positive(parts, "m1")[-9:] == list_hours("08 23:00", "09 07:00")
    assert count_left_out(parts)[CENSORED] == 10


def test_the_row_at_the_time_of_a_failure_has_no_label(logs: LogRunner) -> None:
    assert count_left_out(logs.run(make_rows(), LOG))[DOWN] == 4


def test_rows_until_the_end_of_the_repair_are_left_out(logs: LogRunner) -> None:
    log = LOG.assign(back=["2024-03-02 16:00", "2024-03-02 12:30", "2024-03-08 02:00", "2024-03-08 03:00"])
    parts = logs.run(make_rows(), log, {"failure_columns": {"time": "failed_at", "repaired": "back"}})
    assert count_left_out(parts)[DOWN] == 4 + 1 + 1 + 1


def test_a_stated_repair_time_leaves_out_the_rows_after_a_failure(logs: LogRunner) -> None:
    assert count_left_out(logs.run(make_rows(), LOG, {"repair_time": "6h"}))[DOWN] == 4 * 6


def test_rows_until_the_first_gap_after_a_failure_are_left_out(logs: LogRunner) -> None:
    rows = make_rows()
    # m1 reports for two more hours, and is then off for a day
    is_off = (rows["machine"] == "m1") & rows["at"].between("2024-03-02 15:00", "2024-03-03 15:00")
    parts = logs.run(rows[~is_off], LOG)
    assert count_left_out(parts)[DOWN] == 3 + 3


def test_rows_between_two_failures_during_a_repair_are_not_positive(logs: LogRunner) -> None:
    log = pd.concat([LOG, make_log(("m1", "02 14:00"))])
    parts = logs.run(make_rows(), log, {"repair_time": "6h"})
    assert find_positive(parts, "m1")[:10] == list_hours("02 02:00", "02 11:00")
    assert count_left_out(parts)[DOWN] == 4 * 6 + 2


def test_a_failure_that_is_logged_twice_counts_once(logs: LogRunner) -> None:
    log = pd.concat([LOG, LOG.iloc[:1]]).assign(mode=["a", "a", "a", "a", "b"])
    logs.run(make_rows(), log)
    assert "4 failures of 2 machines" in logs.runner.report.read_text()


# --- the split


def test_a_split_by_time_leaves_a_gap_of_the_horizon_so_that_no_failure_is_in_both_parts(logs: LogRunner) -> None:
    log = make_log(("m1", "02 12:00"), ("m2", "07 14:00"), ("m1", "07 16:00"), ("m2", "08 12:00"))
    parts = logs.run(make_rows(), log)
    start = parts.test.frame["at"].min()
    # the cut lies within the horizon of both failures of 7 March
    assert start < pd.Timestamp("2024-03-07 16:00") < start + pd.Timedelta("10h")
    assert parts.train.frame["at"].max() < start - pd.Timedelta("10h")
    assert parts.train.y().sum() == 10
    assert count_left_out(parts)["rows within 10h before the test part begins, whose failure may be in it"] == 2 * 10


def test_failures_that_all_lie_before_the_last_rows_are_split_by_machine(logs: LogRunner) -> None:
    log = make_log(*((name, "02 12:00") for name in ("m1", "m2", "m3", "m4")))
    parts = logs.run(make_rows(("m1", "m2", "m3", "m4")), log, split="auto")
    assert parts.train.preparation.split == "group"
    assert "split=time would be of no use" in parts.train.preparation.split_reason
    assert set(parts.train.frame["machine"]).isdisjoint(parts.test.frame["machine"])


def test_a_random_split_of_rows_before_failures_is_refused(logs: LogRunner) -> None:
    logs.assert_refused(make_rows(), LOG, "split=random with failures would leak", split="random")


def test_a_gap_that_leaves_no_training_row_is_refused(logs: LogRunner) -> None:
    logs.assert_refused(make_rows(), LOG, "no row is left to train on", labels={"horizon": "50h"}, test_fraction=0.8)


# --- machines


def test_names_of_machines_are_compared_as_text(logs: LogRunner) -> None:
    log = make_log(("7", "02 12:00"), ("8", "02 12:00"), ("7", "08 02:00"))
    assert find_positive(logs.run(make_rows((7, 8)), log), 7)


def test_failures_of_machines_that_the_data_does_not_have_are_counted_in_a_warning(logs: LogRunner) -> None:
    log = pd.concat([LOG, make_log(("m8", "02 12:00"), ("m9", "02 12:00"))])
    warnings = logs.run(make_rows(), log).train.preparation.warnings
    assert "2 failures of machines that the data does not have ('m8', 'm9') are not used" in warnings


@pytest.mark.parametrize("written", ["M1", "m 1", "m-1", "m01"])
def test_a_machine_that_is_typed_otherwise_is_named_with_its_name_in_the_data(logs: LogRunner, written: str) -> None:
    log = LOG.replace({"machine": {"m1": written}})
    warnings = logs.run(make_rows(), log).train.preparation.warnings
    assert any(text.endswith(f"write them alike: {written!r} is 'm1' in the data") for text in warnings)


def test_failures_outside_the_time_of_the_data_are_counted_in_a_warning(logs: LogRunner) -> None:
    log = pd.concat([LOG, pd.DataFrame({"machine": "m1", "failed_at": ["2023-01-01 00:00", "2025-01-01 00:00"]})])
    warnings = logs.run(make_rows(), log).train.preparation.warnings
    assert any(text.startswith("2 failures of the failure log are outside the time of the rows") for text in warnings)


def test_a_single_machine_needs_no_group(logs: LogRunner) -> None:
    rows, log = make_rows(("m1",)).drop(columns="machine"), LOG[["failed_at"]].drop_duplicates()
    parts = logs.run(rows, log, group_column="")
    assert parts.train.y().sum() == 10


def test_the_files_of_a_folder_are_the_machines(logs: LogRunner) -> None:
    for name in ("m1", "m2"):
        logs.runner.write(make_rows((name,)).drop(columns="machine"), f"fleet/{name}.csv")
    log = logs.runner.write(LOG, "failures.csv")
    options = {"labels": LabelOptions(str(log), horizon="10h"), "split": "time", "time_column": "at"}
    parts = logs.runner.run(logs.runner.folder / "fleet", target="", drop=(), **options)
    assert parts.train.frame.groupby("file")["fails_within_10h"].sum().to_dict() == {"m1": 10, "m2": 10}


# --- columns of the log


def test_columns_of_the_log_are_found_and_the_reason_is_stated(
    logs: LogRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    log = LOG.rename(columns={"machine": "asset"}).assign(code=[3, 4, 3, 5])
    logs.run(make_rows(), log)
    output = capsys.readouterr().out
    assert "the time of a failure is in 'failed_at' (the only column that holds times)" in output
    assert "its machine is in 'asset' (its values are groups of 'machine')" in output


def test_columns_that_are_named_as_those_of_the_data_are_taken(
    logs: LogRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.run(make_rows(), LOG.rename(columns={"failed_at": "at"}).assign(noted="2024-03-30"))
    assert "in 'at' (named as the time column)" in capsys.readouterr().out


def test_several_columns_of_times_are_named_with_what_decides(logs: LogRunner) -> None:
    log = LOG.assign(back=LOG["failed_at"])
    labels = {"failure_columns": {"time": "failed_at", "repaired": "back"}}
    logs.assert_refused(make_rows(), log, "failure_columns={time: failed_at, repaired: back}")
    assert logs.run(make_rows(), log, labels)


def test_a_log_as_parquet_is_read(logs: LogRunner) -> None:
    path = logs.runner.folder / "failures.parquet"
    LOG.assign(failed_at=pd.to_datetime(LOG["failed_at"])).to_parquet(path)
    assert find_positive(logs.run(make_rows(), LOG, {"failures": str(path)}), "m1")


def test_a_log_with_other_separators_is_read(logs: LogRunner) -> None:
    assert find_positive(logs.run(make_rows(), LOG.to_csv(sep=";", index=False)), "m1")


def write_german(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame.assign(**{column: pd.to_datetime(frame[column]).dt.strftime("%d.%m.%Y %H:%M")})


def test_times_of_the_log_may_have_the_format_of_the_data(logs: LogRunner) -> None:
    # the days of the log alone can be read in two ways; those of the data go beyond the twelfth
    rows = make_rows(rows=200)
    rows["at"] += pd.Timedelta("5D")
    log = make_log(("m1", "07 12:00"), ("m2", "07 12:00"), ("m1", "12 02:00"), ("m2", "12 02:00"))
    parts = logs.run(write_german(rows, "at"), write_german(log, "failed_at"), test_fraction=0.3)
    assert find_positive(parts, "m1")[:10] == list_hours("07 02:00", "07 11:00")


def test_times_that_can_be_read_in_two_ways_are_refused(logs: LogRunner) -> None:
    remedy = "can be read in two ways; write them like those of the time column, or as ISO 8601"
    logs.assert_refused(make_rows(), write_german(LOG, "failed_at"), remedy)


def test_times_of_the_log_are_in_the_zone_of_the_data(logs: LogRunner) -> None:
    zone = {"table_format": TableFormat(time_zone="Europe/Berlin")}
    parts = logs.run(make_rows(), LOG, **zone)
    assert find_positive(parts, "m1")[:10] == list_hours("02 01:00", "02 10:00")  # in UTC


def test_a_log_without_offsets_beside_data_with_offsets_is_warned_of(logs: LogRunner) -> None:
    rows = make_rows()
    rows["at"] = rows["at"].astype(str) + "+00:00"
    warnings = logs.run(rows, LOG).train.preparation.warnings
    assert any("has times without an offset from UTC, which are taken as UTC" in text for text in warnings)


def test_days_without_a_time_of_day_are_warned_of(logs: LogRunner) -> None:
    log = LOG.assign(failed_at=["2024-03-03", "2024-03-03", "2024-03-08", "2024-03-08"])
    warnings = logs.run(make_rows(), log).train.preparation.warnings
    assert any("has days without a time of day: failures count from 00:00 on" in text for text in warnings)


# --- numbers as times


def test_cycles_are_compared_with_cycles(logs: LogRunner) -> None:
    rows = make_rows().assign(at=lambda frame: frame["load"].mul(7).round().astype(int))
    log = pd.DataFrame({"machine": ["m1", "m2", "m1", "m2"], "at": [40, 50, 170, 180]})
    parts = logs.run(rows, log, {"horizon": "10"})
    frame = pd.concat([parts.train.frame, parts.test.frame])
    positive = frame.loc[(frame["machine"] == "m1") & (frame["fails_within_10"] == 1), "at"]
    assert sorted(positive) == [*range(30, 40), *range(160, 170)]


@pytest.mark.parametrize("horizon", ["10", "5.5"])
def test_a_number_as_horizon_of_timestamps_is_refused(logs: LogRunner, horizon: str) -> None:
    logs.assert_refused(make_rows(), LOG, "is a number without a unit", "horizon=24h", labels={"horizon": horizon})


def test_a_duration_as_horizon_of_cycles_is_refused(logs: LogRunner) -> None:
    rows = make_rows().assign(at=range(400))
    log = pd.DataFrame({"machine": ["m1"], "at": [40]})
    logs.assert_refused(rows, log, "horizon=10h is a duration, and 'at' holds numbers", "horizon=30")


# --- logs that cannot be used


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("machine,failed_at\n", "has a header and no rows"),
        (LOG.replace({"m1": "x", "m2": "y"}), "no machine of the failure log"),
        (LOG.replace({"m1": "x", "m2": "y"}).rename(columns={"machine": "asset"}), "failure_columns={machine: NAME}"),
        (LOG.assign(failed_at="soon"), "holds times, as 'at' of the data does; its columns are"),
        (LOG.assign(failed_at=["2024-03-02 12:00", None, "2024-03-08", "2024-03-08"]), "is empty in 1 row (row 2)"),
        (LOG.assign(machine=["m1", None, "m1", "m2"]), "column 'machine' of the failure log"),
        (LOG.assign(failed_at="2030-01-01 00:00"), "give a log of the time of the data"),
        (LOG[["failed_at"]], "no column of the failure log"),
        (LOG[["machine"]], "no column of the failure log"),
    ],
)
def test_a_log_that_cannot_be_used_is_refused(logs: LogRunner, log: pd.DataFrame | str, expected: str) -> None:
    logs.assert_refused(make_rows(), log, expected)


def test_cycles_as_times_of_failures_are_refused_where_the_data_has_timestamps(logs: LogRunner) -> None:
    cause = "holds times, as 'at' of the data does ('failed_at' holds numbers)"
    logs.assert_refused(make_rows(), LOG.assign(failed_at=[5, 9, 12, 20]), cause, "write the times of failures like")


def test_timestamps_as_times_of_failures_are_refused_where_the_data_has_cycles(logs: LogRunner) -> None:
    rows = make_rows().assign(at=[*range(200), *range(200)])
    cause = "holds numbers, as 'at' of the data does ('failed_at' holds times)"
    logs.assert_refused(rows, LOG, cause, "write the times of failures in the units of 'at'", labels={"horizon": "10"})


def test_a_column_that_does_not_exist_is_refused_with_a_similar_one(logs: LogRunner) -> None:
    labels = {"failure_columns": {"time": "failedat"}}
    logs.assert_refused(make_rows(), LOG, "did you mean 'failed_at'?", labels=labels)


def test_a_named_column_without_any_machine_of_the_data_is_refused_with_their_names(logs: LogRunner) -> None:
    log = LOG.replace({"m1": "x", "m2": "y"})
    expected = "no machine of the failure log", "('x', 'y' in 'machine')", "the data has 'm1', 'm2'"
    logs.assert_refused(make_rows(), log, *expected, labels={"failure_columns": {"machine": "machine"}})


def test_a_log_of_several_machines_needs_their_column_in_the_data(logs: LogRunner) -> None:
    labels = {"failure_columns": {"machine": "machine"}}
    rows = make_rows().drop(columns="machine")
    logs.assert_refused(rows, LOG, "name their column in group_column", labels=labels, group_column="")


@pytest.mark.parametrize("column", ["machine", "Machine ID", "asset_no", "unit_number"])
def test_failures_of_other_machines_are_not_those_of_data_without_a_group_column(logs: LogRunner, column: str) -> None:
    rows = make_rows().query("machine == 'm1'").drop(columns="machine")
    log = LOG.rename(columns={"machine": column})
    logs.assert_refused(rows, log, "failures of 2 machines ('m1', 'm2')", "remove the failures of the", group_column="")


def test_machines_are_listed_as_the_log_writes_them(logs: LogRunner) -> None:
    rows = make_rows().query("machine == 'm1'").drop(columns="machine")
    log = LOG.replace({"m1": "01", "m2": "02"})
    logs.assert_refused(rows, log, "failures of 2 machines ('01', '02')", group_column="")


def test_zeros_in_front_of_a_machine_are_kept_in_a_column_of_any_name(logs: LogRunner) -> None:
    log = LOG.replace({"m1": "01", "m2": "02"}).rename(columns={"machine": "press"})
    parts = logs.run(make_rows(("01", "02")), log)
    assert set(parts.train.frame["machine"]) == {"01", "02"}


def test_failures_of_other_machines_are_not_those_of_the_only_group(logs: LogRunner) -> None:
    rows = make_rows().query("machine == 'm1'").assign(machine="spindle")
    log = LOG.rename(columns={"machine": "asset"})
    logs.assert_refused(rows, log, "no machine of the failure log", "'m1', 'm2' in 'asset'", "group of 'machine'")


def test_a_machine_in_two_spellings_is_warned_of(logs: LogRunner) -> None:
    rows = make_rows()
    rows.loc[rows.index % 2 == 0, "machine"] = rows["machine"].str.replace("m", "M 0")
    warnings = "\n".join(logs.run(rows, LOG).train.preparation.warnings)
    assert "groups of 'machine' differ only in how they are written" in warnings
    assert "'M 01' and 'm1', 'M 02' and 'm2'; write them alike if they are the same" in warnings


def test_numbers_between_signs_are_different_machines(logs: LogRunner) -> None:
    rows = make_rows()
    rows["machine"] = rows["machine"].map({"m1": "1-1", "m2": "11"})
    log = LOG.assign(machine=LOG["machine"].map({"m1": "1-1", "m2": "11"}))
    assert "in how they are written" not in "\n".join(logs.run(rows, log).train.preparation.warnings)


def test_a_repair_that_ends_before_its_failure_is_refused(logs: LogRunner) -> None:
    log = LOG.assign(back="2024-03-03 00:00")
    labels = {"failure_columns": {"time": "failed_at", "repaired": "back"}}
    logs.assert_refused(make_rows(), log, "a repair ends before its failure in 2 rows (row 3)", labels=labels)


def test_a_horizon_that_makes_every_row_positive_is_refused(logs: LogRunner) -> None:
    log = make_log(*((name, f"{day:02} 00:00") for name in ("m1", "m2") for day in range(1, 12)))
    logs.assert_refused(make_rows(), log, "every row is within 48h", "shorter horizon", labels={"horizon": "48h"})


def test_a_column_of_the_data_with_the_name_of_the_label_is_refused(logs: LogRunner) -> None:
    rows = make_rows().assign(fails_within_10h=1)
    logs.assert_refused(rows, LOG, "already has a column 'fails_within_10h'")


# --- parameters


def find_problems(**parameters: object) -> list[str]:
    defaults = {"data": "rows.csv", "time_column": "at", "group_column": "machine"}
    return list(find_contradictions(IngestOptions.from_parameters({**defaults, **parameters})))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"failures": "log.csv"}, "failures needs a horizon"),
        ({"run_to_failure": True}, "run_to_failure needs a horizon"),
        ({"failures": "log.csv", "horizon": "1 month"}, "horizon is '1 month'; give a duration such as 30min"),
        ({"failures": "log.csv", "horizon": "0h"}, "horizon is '0h'"),
        ({"failures": "log.csv", "horizon": "5m"}, "horizon is '5m'"),
        ({"failures": "log.csv", "horizon": "5h", "time_column": ""}, "failures needs the column of times"),
        ({"failures": "log.csv", "horizon": "5h", "target": "failed"}, "failures and target both give the label"),
        ({"failures": "log.csv", "horizon": "5h", "windows": "w.json"}, "failures and windows both give the label"),
        ({"failures": "log.csv", "horizon": "5h", "run_to_failure": True}, "failures and run_to_failure both give"),
        ({"failures": "log.csv", "horizon": "5h", "positive": "0"}, "positive is '0'"),
        ({"failures": "log.csv", "horizon": "5h", "max_rul": "10h"}, "max_rul limits the remaining useful life"),
        ({"failures": "log.csv", "horizon": "5h", "failure_columns": {"date": "at"}}, "failure_columns has 'date'"),
        ({"failures": "log.csv", "horizon": "5h", "failure_columns": {"time": 3}}, "failure_columns has 3 as time"),
        ({"target": "failed", "horizon": "5h"}, "horizon needs failures, a failure log, or run_to_failure=true"),
        ({"target": "failed", "repair_time": "5h"}, "repair_time is about the failure log; name it in failures"),
        ({"run_to_failure": True, "horizon": "30", "split": "time"}, "run_to_failure needs whole groups in one part"),
        ({"task": "regression", "run_to_failure": True, "horizon": "30"}, "the task predicts the remaining useful"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(parameters: dict[str, object], expected: str) -> None:
    problems = find_problems(**parameters)
    assert len(problems) == 1
    assert problems[0].startswith(expected) or expected in problems[0]


def test_a_number_of_cycles_may_come_as_a_number() -> None:
    assert find_problems(run_to_failure=True, horizon=30) == []
