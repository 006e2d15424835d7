import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.ingest.reading.sources import read_source
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml import dataset
from kfp_edge.storage.files import sha256_file
from support.ingest import IngestRunner, table
from support.s3 import s3_server

# --- outputs


def test_both_parts_are_written_as_datasets(runner: IngestRunner) -> None:
    parts = runner.run(runner.write(table()))
    for name, part in (("train", parts.train), ("test", parts.test)):
        loaded = dataset.load(runner.folder / "out" / name)
        pd.testing.assert_frame_equal(loaded.frame, part.frame)
        assert loaded.roles == part.roles


def test_numbers_are_numeric_and_text_is_categorical_in_the_order_of_the_data(runner: IngestRunner) -> None:
    roles = runner.run(runner.write(table())).train.roles
    assert (roles.numeric, roles.categorical) == (("speed", "load"), ("type",))
    assert roles.features == ("type", "speed", "load")


def test_numbers_become_float32_and_labels_stay_integers(runner: IngestRunner) -> None:
    frame = runner.run(runner.write(table())).train.frame
    assert frame.dtypes.astype(str).to_dict() == {
        "type": "object",
        "speed": "float32",
        "load": "float32",
        "failed": "int64",
    }


def test_missing_cells_are_nan_and_none(runner: IngestRunner) -> None:
    frame = table()
    frame.loc[3, "load"] = np.nan
    frame.loc[3, "type"] = None
    parts = runner.run(runner.write(frame))
    whole = pd.concat([parts.train.frame, parts.test.frame])
    assert whole["load"].isna().sum() == 1
    assert [cell for cell in whole["type"] if not isinstance(cell, str)] == [None]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["ok", "bad"], {"ok", "bad"}), ([True, False], {0, 1}), ([0.0, 1.0], {0, 1}), ([3, 7], {3, 7})],
)
def test_labels_keep_the_values_of_the_data(runner: IngestRunner, labels: list[object], expected: set[object]) -> None:
    frame = table().assign(failed=[labels[row % 2] for row in range(40)])
    assert set(runner.run(runner.write(frame)).train.y().tolist()) == expected


def test_booleans_become_numbers(runner: IngestRunner) -> None:
    frame = table().assign(hot=[row % 3 == 0 for row in range(40)])
    assert "hot" in runner.run(runner.write(frame)).train.roles.numeric


def test_time_and_group_are_kept_but_are_not_features(runner: IngestRunner) -> None:
    train = runner.run(runner.write(table()), drop=(), time_column="at", group_column="site").train
    assert (train.roles.time, train.roles.group) == ("at", "site")
    assert train.frame["at"].dtype == "datetime64[us]"
    assert not {"at", "site"} & set(train.roles.features)


def test_timestamps_without_a_role_are_left_out_and_reported(
    runner: IngestRunner, capsys: pytest.CaptureFixture[str]
) -> None:
    features = runner.run(runner.write(table()), drop=("site",)).train.roles.features
    remark = "column 'at' holds timestamps and is left out; name it in time_column to order and split the rows by it"
    assert features == ("type", "speed", "load")
    assert remark in capsys.readouterr().out
    assert remark in runner.report.read_text()


def test_timestamps_beside_the_time_column_are_left_out_without_advice_to_name_a_second_one(
    runner: IngestRunner,
) -> None:
    data = runner.write(table().assign(end=table()["at"]))
    warnings = runner.run(data, drop=("site",), time_column="at").train.preparation.warnings
    assert "column 'end' holds timestamps and is left out" in warnings


def test_the_same_request_gives_the_same_bytes(runner: IngestRunner) -> None:
    data = runner.write(table())
    written = []
    for _ in range(2):
        runner.run(data)
        written.append(sha256_file(runner.folder / "out" / "train"))
    assert written[0] == written[1]


def test_the_dataset_has_the_hash_of_the_file(runner: IngestRunner) -> None:
    data = runner.write(table())
    assert runner.run(data).test.sha256 == sha256_file(data)


def test_the_report_lists_rows_columns_and_class_shares(runner: IngestRunner) -> None:
    frame = table()
    frame.loc[[2, 5], "load"] = np.nan
    data = runner.write(frame)
    runner.run(data)
    report = runner.report.read_text()
    for line in (
        f"| sha256 | `{sha256_file(data)}` |",
        "| target | failed |",
        "| positive class | 1: the rarer class |",
        "| split | random: no time_column or group_column is given |",
        "| rows | 32 | 8 |",
        "| rows of class 1 | 8 (25.00 %) | 2 (25.00 %) |",
        "| load | number | 2 | 0 | 5.571 |",
        "| type | text, 2 values | 0 |  |  |",
    ):
        assert line in report


@pytest.mark.parametrize(("suffix", "name"), [("+01:00", "first 'at' (UTC)"), ("", "first 'at'")])
def test_the_report_states_utc_where_the_zone_of_the_times_was_known(
    runner: IngestRunner, suffix: str, name: str
) -> None:
    frame = table()
    frame["at"] = frame["at"].astype(str) + suffix
    runner.run(runner.write(frame), drop=("site",), time_column="at")
    assert f"| {name} |" in runner.report.read_text()


# --- sources


def test_a_byte_order_mark_is_not_part_of_the_first_column_name(runner: IngestRunner) -> None:
    data = runner.write(b"\xef\xbb\xbf" + table().to_csv(index=False).encode())
    assert runner.run(data, drop=("site",), time_column="at").train.roles.time == "at"


def test_parquet_and_csv_give_the_same_rows(runner: IngestRunner) -> None:
    table().to_parquet(runner.folder / "data.parquet")
    first, second = runner.run(runner.folder / "data.parquet"), runner.run(runner.write(table()))
    pd.testing.assert_frame_equal(first.train.frame, second.train.frame)


def test_a_pandas_index_is_not_a_feature(runner: IngestRunner) -> None:
    table()[table()["load"] > 1].to_parquet(runner.folder / "data.parquet")
    assert runner.run(runner.folder / "data.parquet").train.roles.features == ("type", "speed", "load")


def test_pandas_categories_are_text(runner: IngestRunner) -> None:
    table().astype({"type": "category"}).to_parquet(runner.folder / "data.parquet")
    assert runner.run(runner.folder / "data.parquet").train.roles.categorical == ("type",)


def test_a_folder_is_read_in_the_order_of_file_names(runner: IngestRunner) -> None:
    frame = table()
    frame[20:].to_csv(runner.write("", "parts/b.csv"), index=False)
    frame[:20].to_csv(runner.write("", "parts/a.csv"), index=False)
    runner.write("not data", "parts/_SUCCESS")
    runner.write("not data", "parts/.a.csv")
    parts = runner.run(runner.folder / "parts", split="random")
    whole = runner.run(runner.write(frame), split="random")
    pd.testing.assert_frame_equal(parts.train.frame.drop(columns="file"), whole.train.frame)


def test_each_row_of_a_folder_knows_its_file(runner: IngestRunner) -> None:
    runner.write(table(3), "parts/2024/run2.csv")
    runner.write(table(2), "parts/run1.csv")
    file_names = read_source(str(runner.folder / "parts"), runner.folder).file_names
    assert file_names is not None
    assert file_names.to_pylist() == ["2024/run2"] * 3 + ["run1"] * 2


def test_a_single_file_names_no_files(runner: IngestRunner) -> None:
    assert read_source(str(runner.write(table())), runner.folder).file_names is None


def test_the_hash_of_a_folder_changes_with_any_file(runner: IngestRunner) -> None:
    for name in ("a", "b"):
        runner.write(table(), f"parts/{name}.csv")
    first = runner.run(runner.folder / "parts").train.sha256
    runner.write(table(41), "parts/b.csv")
    assert runner.run(runner.folder / "parts").train.sha256 != first


def test_data_is_read_from_s3(runner: IngestRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server(runner.folder / "s3") as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        server.client().create_bucket(Bucket="plant")
        server.client().upload_file(str(runner.write(table())), "plant", "day/1.csv")
        server.client().put_object(Bucket="plant", Key="bad/1.csv", Body=b"")
        assert len(runner.run("s3://plant/day").train.frame) == 32
        with pytest.raises(KfpEdgeError, match="s3://plant/bad/1.csv is empty"):
            runner.run("s3://plant/bad")
