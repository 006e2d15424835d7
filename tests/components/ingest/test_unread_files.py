"""Parquet files whose rows are all before the time range are not read, and the rows that are taken are the same."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kfp_edge.components.ingest import ingest as ingest_module
from kfp_edge.components.ingest.ingest import TrainTestSplit
from kfp_edge.components.ingest.reading.table_format import TableFormat
from kfp_edge.components.ingest.reading.unread_files import FOOTER_SIZE
from kfp_edge.components.ingest.splitting.time_range import TimeRange
from kfp_edge.errors import KfpEdgeError
from kfp_edge.storage import s3 as s3_storage
from support.ingest import IngestRunner
from support.s3 import S3Server

DAYS, ROWS_A_DAY = 12, 24
FIRST_DAY = pd.Timestamp("2024-03-25")
NAIVE = pa.timestamp("us")


def make_day(day: int) -> pd.DataFrame:
    random = np.random.default_rng(day)
    at = pd.date_range(FIRST_DAY + pd.Timedelta(days=day), periods=ROWS_A_DAY, freq="h")
    return pd.DataFrame(
        {
            "at": at,
            "machine": [f"m{row % 3}" for row in range(ROWS_A_DAY)],
            "speed": random.normal(size=ROWS_A_DAY),
            "load": random.normal(size=ROWS_A_DAY),
            "failed": [int(row % 4 == 3) for row in range(ROWS_A_DAY)],
        }
    )


def write_days(folder: Path, days: Mapping[int, pd.DataFrame], kind: pa.DataType = NAIVE, **how: Any) -> Path:
    folder.mkdir()
    for day, frame in days.items():
        rows = pa.Table.from_pandas(frame, preserve_index=False)
        times = rows.column("at")
        if pa.types.is_timestamp(kind):
            times = times.cast(pa.timestamp(kind.unit)).cast(kind) if kind.tz is None else times.cast(kind)
        else:
            times = times.cast(kind)
        rows = rows.set_column(0, "at", times)
        pq.write_table(rows, folder / f"{FIRST_DAY.date() + pd.Timedelta(days=day)}.parquet", **how)
    return folder


def all_days() -> dict[int, pd.DataFrame]:
    return {day: make_day(day) for day in range(DAYS)}


def count_unread(runner: IngestRunner) -> int:
    line = next((line for line in runner.report.read_text().splitlines() if "not read: " in line), "not read: 0 of")
    return int(line.partition("not read: ")[2].split()[0])


def run(runner: IngestRunner, data: object, **options: Any) -> TrainTestSplit:
    start = options.pop("start", "-3d")
    time_range = TimeRange(start=start, **{name: options.pop(name) for name in ("end", "recent") if name in options})
    given = {"time_column": "at", "drop": ("machine",), "split": "time", "time_range": time_range, **options}
    return runner.run(data, **given)


@pytest.fixture
def read_everything(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Switch that makes `ingest` read all files."""
    with monkeypatch.context() as patch:
        yield patch


def run_both(
    runner: IngestRunner, patch: pytest.MonkeyPatch, data: object, **options: Any
) -> tuple[TrainTestSplit, int, TrainTestSplit]:
    """Run as always, and on all files; return both results, and how many files the first one did not read."""
    pruned = run(runner, data, **options)
    unread = count_unread(runner)
    patch.setattr(ingest_module, "_find_range_start", lambda *_: None)
    complete = run(runner, data, **options)
    assert count_unread(runner) == 0
    return pruned, unread, complete


def assert_same(pruned: TrainTestSplit, complete: TrainTestSplit) -> None:
    for few, all_ in ((pruned.train, complete.train), (pruned.test, complete.test)):
        pd.testing.assert_frame_equal(few.frame, all_.frame)
        assert few.roles == all_.roles
    assert pruned.train.preparation == complete.train.preparation


def without_newest_labels() -> dict[int, pd.DataFrame]:
    """The labels of the last two days are not known yet, so that -3d counts from the day before."""
    days = all_days()
    for day in (DAYS - 2, DAYS - 1):
        days[day]["failed"] = np.nan
    return days


def with_a_gap() -> dict[int, pd.DataFrame]:
    """A day is lacking long before the range, so that the files are no recording, and are groups."""
    return {day: frame for day, frame in all_days().items() if day != 2}


def with_late_rows() -> dict[int, pd.DataFrame]:
    """An old file got rows of the newest day, and the newest one a row of the first."""
    days = all_days()
    days[1].loc[5, "at"] = FIRST_DAY + pd.Timedelta(days=DAYS - 1, minutes=30)
    days[DAYS - 1].loc[5, "at"] = FIRST_DAY + pd.Timedelta(minutes=30)
    return days


@pytest.mark.parametrize(
    ("days", "kind", "options", "unread"),
    [
        pytest.param(all_days(), NAIVE, {}, 8, id="before the newest row"),
        pytest.param(all_days(), NAIVE, {"start": "2024-04-01"}, 7, id="since a time"),
        pytest.param(all_days(), NAIVE, {"start": "2024-04-01T00:30+02:00"}, 6, id="since a time with an offset"),
        pytest.param(all_days(), NAIVE, {"end": "-1d", "recent": "1d"}, 8, id="until a time, with a recent period"),
        pytest.param(all_days(), pa.timestamp("ns"), {}, 8, id="nanoseconds"),
        pytest.param(all_days(), pa.timestamp("ms"), {}, 8, id="milliseconds"),
        pytest.param(all_days(), pa.timestamp("us", "America/New_York"), {}, 8, id="times with a zone"),
        pytest.param(
            all_days(),
            pa.timestamp("us", "Asia/Tokyo"),
            {"start": "2024-04-01", "table_format": TableFormat(time_zone="Asia/Tokyo")},
            6,
            id="start in the zone of the data",
        ),
        pytest.param(all_days(), NAIVE, {"group_column": "machine", "drop": ()}, 8, id="groups that are text"),
        pytest.param(
            all_days(),
            NAIVE,
            {"drop": (), "columns": {"machine": {"dtype": "string"}}},
            8,
            id="a feature that was stated to be text",
        ),
        pytest.param(without_newest_labels(), NAIVE, {}, 6, id="newest rows without a label"),
        pytest.param(with_a_gap(), NAIVE, {"split": "auto"}, 7, id="files that are groups"),
        pytest.param(with_late_rows(), NAIVE, {}, 7, id="rows in files of other days"),
        pytest.param(
            all_days(),
            NAIVE,
            {"task": "regression", "target": "load", "start": "2024-04-01"},
            7,
            id="a number as target, since a time",
        ),
        pytest.param(
            all_days(), NAIVE, {"task": "anomaly", "target": "", "drop": ("machine", "failed")}, 8, id="no labels"
        ),
    ],
)
@pytest.mark.parametrize("how", [{}, {"row_group_size": 5}], ids=["one row group", "several row groups"])
def test_the_rows_are_the_same_without_the_files_before_the_range(
    runner: IngestRunner,
    read_everything: pytest.MonkeyPatch,
    days: Mapping[int, pd.DataFrame],
    kind: pa.DataType,
    options: dict[str, Any],
    unread: int,
    how: dict[str, Any],
) -> None:
    folder = write_days(runner.folder / "days", days, kind, **how)
    pruned, its_unread, complete = run_both(runner, read_everything, folder, **options)
    assert its_unread == unread
    assert_same(pruned, complete)


@pytest.mark.parametrize(
    ("kind", "how", "options"),
    [
        pytest.param(NAIVE, {"write_statistics": False}, {}, id="files without statistics"),
        pytest.param(NAIVE, {"write_statistics": ["failed"]}, {}, id="times without statistics"),
        pytest.param(NAIVE, {"use_deprecated_int96_timestamps": True}, {}, id="times of 96 bits"),
        pytest.param(pa.string(), {}, {}, id="times that are text"),
        pytest.param(NAIVE, {}, {"start": ""}, id="no start"),
        pytest.param(NAIVE, {}, {"rolling_windows": (3,)}, id="rolling windows, which see the rows before"),
        pytest.param(NAIVE, {}, {"drop": ()}, id="text that may be numbers"),
        pytest.param(
            NAIVE,
            {},
            {"table_format": TableFormat(time_zone="Asia/Tokyo"), "start": "2024-04-02"},
            id="local times, which their order decides",
        ),
        pytest.param(NAIVE, {}, {"table_format": TableFormat(missing_values=("7",))}, id="codes for missing labels"),
        pytest.param(NAIVE, {}, {"task": "regression", "target": "load"}, id="a target that may be not a number"),
        pytest.param(NAIVE, {}, {"task": "anomaly"}, id="an anomaly task with labels"),
    ],
)
def test_every_file_is_read_where_it_may_matter(
    runner: IngestRunner,
    read_everything: pytest.MonkeyPatch,
    kind: pa.DataType,
    how: dict[str, Any],
    options: dict[str, Any],
) -> None:
    folder = write_days(runner.folder / "days", all_days(), kind, **how)
    pruned, unread, complete = run_both(runner, read_everything, folder, **options)
    assert unread == 0
    assert_same(pruned, complete)
    assert pruned.train.sha256 == complete.train.sha256


def test_every_file_is_read_where_labels_are_made_of_windows(
    runner: IngestRunner, read_everything: pytest.MonkeyPatch
) -> None:
    days = {day: frame.drop(columns="failed") for day, frame in all_days().items()}
    windows = [["2024-04-03 06:00", "2024-04-03 12:00"], ["2024-04-05 06:00", "2024-04-05 09:00"]]
    options = {"target": "", "windows": str(runner.write(json.dumps(windows), "windows.json"))}
    folder = write_days(runner.folder / "days", days)
    pruned, unread, complete = run_both(runner, read_everything, folder, **options)
    assert unread == 0
    assert_same(pruned, complete)


def test_a_time_that_is_missing_is_refused_wherever_it_is(runner: IngestRunner) -> None:
    days = all_days()
    days[1].loc[3, "at"] = pd.NaT
    folder = write_days(runner.folder / "days", days)
    with pytest.raises(KfpEdgeError, match="'at' is the time column and is missing"):
        run(runner, folder)


def test_columns_that_differ_are_refused_wherever_they_are(runner: IngestRunner) -> None:
    days = all_days()
    days[1] = days[1].assign(extra=1.0)
    folder = write_days(runner.folder / "days", days)
    with pytest.raises(KfpEdgeError, match="has the column 'extra' and"):
        run(runner, folder)


def test_a_range_without_rows_is_refused_as_ever(runner: IngestRunner) -> None:
    folder = write_days(runner.folder / "days", all_days())
    with pytest.raises(KfpEdgeError, match="no row is left between 2024-03-25 .* time_range leaves out all of them"):
        run(runner, folder, start="2030-01-01")


def test_the_hash_is_that_of_the_files_that_were_read(runner: IngestRunner) -> None:
    folder = write_days(runner.folder / "days", all_days())
    few = write_days(runner.folder / "few", {day: frame for day, frame in all_days().items() if day >= 8})
    assert run(runner, folder).train.sha256 == run(runner, few).train.sha256


def test_the_report_has_the_rows_of_all_files_and_says_which_were_not_read(runner: IngestRunner) -> None:
    run(runner, write_days(runner.folder / "days", all_days()))
    report = runner.report.read_text()
    assert f"| rows in the source | {DAYS * ROWS_A_DAY} |" in report
    assert "not read: 8 of 12 files, whose 192 rows are before time_range" in report


@pytest.fixture
def received(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what the object store sends, by its own account."""
    lengths: list[int] = []
    create_client = s3_storage._create_client

    def create_counting_client() -> Any:
        client = create_client()
        client.meta.events.register(
            "after-call.s3.GetObject", lambda parsed, **_: lengths.append(parsed.get("ContentLength", 0))
        )
        return client

    monkeypatch.setattr(s3_storage, "_create_client", create_counting_client)
    return lengths


def upload(s3: S3Server, folder: Path, bucket: str) -> dict[str, int]:
    """Upload the files of a folder; return their sizes."""
    s3.client().create_bucket(Bucket=bucket)
    for file in folder.iterdir():
        s3.client().upload_file(str(file), bucket, f"press/{file.name}")
    return {file.name: file.stat().st_size for file in folder.iterdir()}


def make_long_day(day: int) -> pd.DataFrame:
    """Rows every minute with numbers of full precision, so that a footer is a small part of a file."""
    random = np.random.default_rng(day)
    at = pd.date_range(FIRST_DAY + pd.Timedelta(days=day), periods=1440, freq="min")
    numbers = {f"load{number}": random.normal(size=len(at)) for number in range(20)}
    return pd.DataFrame({"at": at, **numbers, "failed": [int(row % 4 == 3) for row in range(len(at))]})


@pytest.mark.parametrize("row_group_size", [None, 20], ids=["short footers", "footers longer than what is read first"])
def test_of_objects_before_the_range_only_the_footers_are_downloaded(
    runner: IngestRunner,
    s3: S3Server,
    received: list[int],
    read_everything: pytest.MonkeyPatch,
    row_group_size: int | None,
) -> None:
    days = {day: make_long_day(day) for day in range(DAYS)}
    folder = write_days(runner.folder / "days", days, row_group_size=row_group_size)
    bucket = f"unread-{row_group_size or 'one'}"
    sizes = upload(s3, folder, bucket)
    options = {"drop": (), "start": "-2d"}
    pruned = run(runner, f"s3://{bucket}/press", **options)
    assert count_unread(runner) == 9
    lengths = [pq.read_metadata(folder / name).serialized_size + 8 for name in sizes]
    footers = sum(FOOTER_SIZE + (length if length > FOOTER_SIZE else 0) for length in lengths)
    needed = sum(size for _, size in sorted(sizes.items())[9:])
    assert sum(received) == footers + needed
    assert sum(received) < sum(sizes.values())
    assert pruned.train.sha256 == run(runner, folder, **options).train.sha256
    received.clear()
    read_everything.setattr(ingest_module, "_find_range_start", lambda *_: None)
    complete = run(runner, f"s3://{bucket}/press", **options)
    assert sum(received) == sum(sizes.values())
    assert_same(pruned, complete)


def test_a_single_object_is_read_whole(runner: IngestRunner, s3: S3Server) -> None:
    upload(s3, write_days(runner.folder / "days", all_days()), "unread-object")
    run(runner, f"s3://unread-object/press/{FIRST_DAY.date()}.parquet", start="-12h")
    assert count_unread(runner) == 0


def test_objects_that_are_no_parquet_in_spite_of_their_names_are_read(runner: IngestRunner, s3: S3Server) -> None:
    s3.client().create_bucket(Bucket="unread-csv")
    for day, frame in all_days().items():
        body = frame.to_csv(index=False).encode()
        s3.client().put_object(Bucket="unread-csv", Key=f"press/{day:02}.parquet", Body=body)
    run(runner, "s3://unread-csv/press")
    assert count_unread(runner) == 0
