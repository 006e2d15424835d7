"""Rows are taken from a stretch of time, and tested on both what was usual before and what is usual now."""

from typing import Any

import pandas as pd
import pytest

from kfp_edge.components.ingest.ingest import TrainTestSplit
from kfp_edge.components.ingest.labelling.label_options import LabelOptions
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.components.ingest.splitting.time_range import TimeRange
from kfp_edge.errors import DataError, ParameterError
from support.ingest import IngestRunner, table

ROWS = 400
#: The last of `ROWS` rows, one an hour.
NEWEST = pd.Timestamp("2024-01-01") + pd.Timedelta(hours=ROWS - 1)


def run(runner: IngestRunner, frame: pd.DataFrame | None = None, **options: Any) -> TrainTestSplit:
    """Run ingest on rows of every hour; `options` are those of the range, and others of ingest."""
    names = ("start", "end", "recent", "leave_out", "quarantined")
    time_range = TimeRange(**{name: options.pop(name) for name in names if name in options})
    data = runner.write(table(ROWS) if frame is None else frame)
    return runner.run(data, **{"time_column": "at", "drop": ("site",), "time_range": time_range, **options})


def quarantine_of(site: str) -> dict[str, str]:
    return {"site": site, "start": "2023-12-01T00:00:00Z", "end": "2024-02-01T00:00:00Z"}


def times_of(parts: TrainTestSplit) -> pd.Series:
    return pd.concat([parts.train.frame["at"], parts.test.frame["at"]])


class TestTheRange:
    @pytest.mark.parametrize(
        ("options", "first", "last"),
        [
            ({"start": "2024-01-10"}, "2024-01-10 00:00", NEWEST),
            ({"end": "2024-01-10 06:00"}, "2024-01-01 00:00", "2024-01-10 06:00"),
            ({"start": "-48h"}, NEWEST - pd.Timedelta(hours=48), NEWEST),
            ({"start": "-5d", "end": "-1d"}, NEWEST - pd.Timedelta(days=5), NEWEST - pd.Timedelta(days=1)),
            ({"start": "2024-01-10T02:00:00+02:00"}, "2024-01-10 00:00", NEWEST),
        ],
    )
    def test_takes_the_rows_of_that_time_both_ends_included(
        self, runner: IngestRunner, options: dict[str, str], first: object, last: object
    ) -> None:
        times = times_of(run(runner, **options))
        assert (times.min(), times.max()) == (pd.Timestamp(str(first)), pd.Timestamp(str(last)))

    def test_is_read_in_the_zone_of_the_data(self, runner: IngestRunner) -> None:
        from kfp_edge.components.ingest.reading.table_format import TableFormat

        parts = run(runner, start="2024-01-10 01:00", table_format=TableFormat(time_zone="Europe/Berlin"))
        assert times_of(parts).min() == pd.Timestamp("2024-01-10 00:00")

    def test_is_in_the_units_of_a_time_column_with_numbers(self, runner: IngestRunner) -> None:
        frame = table(ROWS).assign(at=range(ROWS))
        assert times_of(run(runner, frame, start="-99")).min() == ROWS - 100
        assert times_of(run(runner, frame, end="200")).max() == 200

    def test_has_no_end_that_is_no_number(self, runner: IngestRunner) -> None:
        with pytest.raises(ParameterError, match="end of time_range is 'nan'; give a number such as 1200, or -300"):
            run(runner, table(ROWS).assign(at=range(ROWS)), end="nan")

    def test_counts_from_the_newest_row_with_a_label(self, runner: IngestRunner) -> None:
        frame = table(ROWS)
        frame["failed"] = frame["failed"].astype(object)
        frame.loc[ROWS - 24 :, "failed"] = None
        times = times_of(run(runner, frame, start="-48h"))
        assert times.max() - times.min() == pd.Timedelta(hours=48)

    def test_keeps_the_rows_before_it_for_rolling_windows(self, runner: IngestRunner) -> None:
        parts = run(runner, start="2024-01-10", rolling_windows=(6,), split="time")
        assert times_of(parts).min() == pd.Timestamp("2024-01-10")

    def test_says_how_many_rows_are_outside(self, runner: IngestRunner) -> None:
        left_out = run(runner, start="-99h").train.preparation.left_out
        assert left_out == {"rows outside of time_range, start -99h": ROWS - 100}


class TestRowsThatAreLeftOut:
    def test_are_those_of_a_group_and_a_time(self, runner: IngestRunner) -> None:
        entry = {"group": "s2", "start": "2024-01-05", "end": "2024-01-08"}
        parts = run(runner, leave_out=(entry,), group_column="site", drop=(), split="time")
        rows = pd.concat([parts.train.frame, parts.test.frame])
        between = rows[rows["at"].between("2024-01-05", "2024-01-08")]
        assert set(between["site"]) == {"s0", "s1", "s3", "s4"}
        assert len(rows) == ROWS - sum(parts.train.preparation.left_out.values())
        assert set(rows["site"]) == {f"s{number}" for number in range(5)}

    def test_are_all_of_a_group_without_a_time(self, runner: IngestRunner) -> None:
        parts = run(runner, leave_out=({"group": "s2"},), group_column="site", drop=(), split="time")
        assert "s2" not in set(pd.concat([parts.train.frame, parts.test.frame])["site"])

    def test_are_those_of_a_broken_sensor_that_drift_found(self, runner: IngestRunner) -> None:
        found = {
            "site": "s2",
            "features": ["load"],
            "start": "2024-01-05T00:00:00Z",
            "end": "2024-01-08T00:00:00Z",
            "reason": "load is constant",
        }
        parts = run(runner, quarantined=(found,), group_column="site", drop=(), split="time")
        assert parts.train.preparation.left_out == {"rows of a broken sensor at s2": 15}

    @pytest.mark.parametrize(
        ("options", "obstacle"),
        [
            ({}, "no column of groups; name it in group_column"),
            ({"time_column": "", "drop": ("at", "site")}, "no column of times; name it in time_column"),
            ({"group_column": "type", "split": "time"}, "no such name in 'type'"),
            (
                {"numbers": True, "group_column": "site", "drop": (), "split": "time"},
                "numbers in 'at' instead of dates",
            ),
        ],
    )
    def test_of_a_broken_sensor_are_warned_of_where_the_data_do_not_show_which_they_are(
        self, runner: IngestRunner, options: dict[str, Any], obstacle: str
    ) -> None:
        frame = table(ROWS).assign(at=range(ROWS)) if options.pop("numbers", False) else table(ROWS)
        preparation = run(runner, frame, quarantined=(quarantine_of("s2"),), **options).train.preparation
        assert preparation.left_out == {}
        expected = f"rows of broken sensors at s2 are not left out, since the data have {obstacle}"
        assert any(warning.startswith(expected) for warning in preparation.warnings)

    @pytest.mark.parametrize("recent", ["", "100h"])
    def test_of_broken_sensors_may_be_all_of_them(self, runner: IngestRunner, recent: str) -> None:
        found = tuple(quarantine_of(f"s{number}") for number in range(5))
        with pytest.raises(DataError) as caught:
            run(runner, recent=recent, quarantined=found, group_column="site", drop=(), split="time")
        assert str(caught.value) == (
            "no row is left: all are of sites with a broken sensor, s0, s1, s2, s3, s4; repair the sensors, or take "
            "rows of a longer time by time_range."
        )

    def test_are_warned_of_where_there_are_none(self, runner: IngestRunner) -> None:
        entry = {"group": "s9", "start": "2024-01-05"}
        parts = run(runner, leave_out=(entry,), group_column="site", drop=(), split="time")
        assert "leave_out has an entry that fits no row: group s9, start 2024-01-05" in parts.train.preparation.warnings


class TestTheRecentPeriod:
    def test_has_held_out_rows_of_its_own(self, runner: IngestRunner) -> None:
        parts = run(runner, recent="100h", test_fraction=0.2)
        since = NEWEST - pd.Timedelta(hours=100)
        for rows, share in ((parts.test.frame, 0.2), (parts.train.frame, 0.8)):
            assert (rows["at"] >= since).sum() == pytest.approx(101 * share, abs=1)
            assert (rows["at"] < since).sum() == pytest.approx(299 * share, abs=1)
        assert parts.test.preparation.recent_since == since.value // 1000

    def test_tests_on_the_last_rows_of_each_period(self, runner: IngestRunner) -> None:
        parts = run(runner, recent="100h")
        since = NEWEST - pd.Timedelta(hours=100)
        for is_of_period in (lambda at: at < since, lambda at: at >= since):
            train, test = (rows.frame["at"][is_of_period(rows.frame["at"])] for rows in (parts.train, parts.test))
            assert train.max() < test.min()

    def test_is_stated_with_the_reason_of_the_split(self, runner: IngestRunner) -> None:
        assert (
            "both before 2024-01-13 11:00:00 and since then" in run(runner, recent="100h").test.preparation.split_reason
        )

    def test_keeps_labels_that_only_it_tells_out_of_the_rows_before(self, runner: IngestRunner) -> None:
        failures = runner.write("at\n" + "\n".join(f"2024-01-{day:02} 12:00" for day in range(2, 17, 1)), "log.csv")
        frame = table(ROWS).drop(columns="failed")
        labels = LabelOptions(failures=str(failures), horizon="6h", repair_time="1h")
        parts = run(runner, frame, recent="102h", labels=labels, target="")
        reasons = parts.train.preparation.left_out
        assert any("failure" in reason for reason in reasons), reasons

    def test_is_in_the_dataset_that_later_stages_read(self, runner: IngestRunner) -> None:
        from kfp_edge.ml import dataset

        parts = run(runner, recent="100h")
        assert (
            dataset.load(runner.folder / "out" / "test").preparation.recent_since == parts.test.preparation.recent_since
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recent": "soon"}, "recent is 'soon'; give a duration"),
        ({"recent": "30"}, "recent=30 is a number without a unit, and 'at' holds timestamps"),
        ({"start": "yesterday"}, "start of time_range is 'yesterday'; give a time such as 2026-09-01, or -90d"),
        ({"start": "10/11/2024"}, "start of time_range is '10/11/2024'; give a time such as 2026-09-01, or -90d"),
        ({"end": "NaT"}, "end of time_range is 'NaT'; give a time such as 2026-09-01, or -90d"),
        ({"start": "2030-01-01"}, "time_range leaves out all of them; widen it"),
        ({"recent": "400d"}, "only 0 rows before the recent ones"),
        ({"recent": "2d", "split": "group-and-time"}, "use split=time or split=group"),
        ({"recent": "2d", "time_column": "", "drop": ("at", "site")}, "time_range needs the column of times"),
        ({"leave_out": ({"grp": "s1"},)}, "did you mean group"),
        ({"leave_out": ({"group": "s1"},)}, "name the column of groups in group_column"),
        ({"leave_out": ({},)}, "would leave out everything"),
        ({"leave_out": ("s1",)}, "write {group: NAME, start: TIME, end: TIME}"),
    ],
)
def test_what_cannot_be_used_is_named(runner: IngestRunner, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ParameterError, DataError)) as caught:
        run(runner, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("time_range", "message"),
    [
        ({"begin": "-3d"}, "time_range has the key 'begin'; its keys are start, end, recent, leave_out."),
        ({"recents": "3d"}, "time_range has the key 'recents'; did you mean recent? its keys are"),
        ({"leave_out": "s1"}, "leave_out of time_range is 's1'; write a list."),
        ({"start": ["-3d"]}, "start of time_range is ['-3d']; write a time or a duration."),
    ],
)
def test_a_range_that_cannot_be_read_is_named(time_range: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        IngestOptions.from_parameters({"data": "x", "time_range": time_range})
    assert str(caught.value).startswith(message)


def test_a_range_is_read_as_pipelines_pass_it() -> None:
    options = IngestOptions.from_parameters({"data": "x", "time_range": {"start": 200.0, "leave_out": [{"end": 3}]}})
    assert options.time_range == TimeRange(start="200.0", leave_out=({"end": 3},))
