from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml import dataset
from kfp_edge.ml.dataset import Roles
from kfp_edge.storage.files import sha256_file
from support.ingest import Desk, table
from support.s3 import s3_server


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# --- what comes out


def test_both_parts_are_written_as_the_contract_says(desk: Desk) -> None:
    parts = desk.ask(desk.write(table()))
    for name, part in (("train", parts.train), ("test", parts.test)):
        loaded = dataset.load(desk.folder / "out" / name)
        pd.testing.assert_frame_equal(loaded.frame, part.frame)
        assert loaded.roles == part.roles


def test_numbers_are_numeric_and_text_is_categorical_in_the_datas_order(desk: Desk) -> None:
    roles = desk.ask(desk.write(table())).train.roles
    assert roles == Roles("classification", "failed", ("speed", "load"), ("type",), features=("type", "speed", "load"))


def test_integers_become_float64_and_labels_stay_integers(desk: Desk) -> None:
    frame = desk.ask(desk.write(table())).train.frame
    assert frame.dtypes.astype(str).to_dict() == {
        "type": "object",
        "speed": "float64",
        "load": "float64",
        "failed": "int64",
    }


def test_missing_cells_are_nan_and_none(desk: Desk) -> None:
    frame = table()
    frame.loc[3, "load"] = np.nan
    frame.loc[3, "type"] = None
    parts = desk.ask(desk.write(frame))
    whole = pd.concat([parts.train.frame, parts.test.frame])
    assert whole["load"].isna().sum() == 1
    assert [cell for cell in whole["type"] if not isinstance(cell, str)] == [None]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["ok", "bad"], {"ok", "bad"}), ([True, False], {0, 1}), ([0.0, 1.0], {0, 1}), ([3, 7], {3, 7})],
)
def test_labels_are_kept_as_the_data_has_them(desk: Desk, labels: list[object], expected: set[object]) -> None:
    frame = table().assign(failed=[labels[row % 2] for row in range(40)])
    assert set(desk.ask(desk.write(frame)).train.y().tolist()) == expected


def test_booleans_become_numbers(desk: Desk) -> None:
    frame = table().assign(hot=[row % 3 == 0 for row in range(40)])
    assert "hot" in desk.ask(desk.write(frame)).train.roles.numeric


def test_time_and_group_are_kept_and_are_no_features(desk: Desk) -> None:
    train = desk.ask(desk.write(table()), drop=(), time_column="at", group_column="site").train
    assert (train.roles.time, train.roles.group) == ("at", "site")
    assert train.frame["at"].dtype == "datetime64[us]"
    assert not {"at", "site"} & set(train.roles.features)


def test_the_same_request_gives_the_same_bytes(desk: Desk) -> None:
    data = desk.write(table())
    written = []
    for _ in range(2):
        desk.ask(data)
        written.append(sha256_file(desk.folder / "out" / "train"))
    assert written[0] == written[1]


def test_the_hash_is_that_of_the_file(desk: Desk) -> None:
    data = desk.write(table())
    assert desk.ask(data).test.sha256 == sha256_file(data)


def test_the_page_tells_rows_columns_and_shares(desk: Desk) -> None:
    frame = table()
    frame.loc[[2, 5], "load"] = np.nan
    data = desk.write(frame)
    desk.ask(data)
    page = desk.page.read_text()
    for line in (
        f"| sha256 | `{sha256_file(data)}` |",
        "| rows to train on | 32 |",
        "| 1 | 8 (25.00%) | 2 (25.00%) |",
        "| load | number | 2 | 0 | 5.57143 |",
        "| type | text, 2 values | 0 |  |  |",
    ):
        assert line in page


# --- where it comes from


def test_a_byte_order_mark_is_no_part_of_the_first_name(desk: Desk) -> None:
    data = desk.write(b"\xef\xbb\xbf" + table().to_csv(index=False).encode())
    assert desk.ask(data, drop=("site",), time_column="at").train.roles.time == "at"


def test_parquet_gives_the_same_as_csv(desk: Desk) -> None:
    table().to_parquet(desk.folder / "data.parquet")
    first, second = desk.ask(desk.folder / "data.parquet"), desk.ask(desk.write(table()))
    pd.testing.assert_frame_equal(first.train.frame, second.train.frame)


def test_the_row_labels_of_pandas_are_no_feature(desk: Desk) -> None:
    table()[table()["load"] > 1].to_parquet(desk.folder / "data.parquet")
    assert desk.ask(desk.folder / "data.parquet").train.roles.features == ("type", "speed", "load")


def test_categories_of_pandas_are_text(desk: Desk) -> None:
    table().astype({"type": "category"}).to_parquet(desk.folder / "data.parquet")
    assert desk.ask(desk.folder / "data.parquet").train.roles.categorical == ("type",)


def test_a_folder_is_read_part_by_part_in_the_order_of_names(desk: Desk) -> None:
    frame = table()
    frame[20:].to_csv(desk.write("", "parts/b.csv"), index=False)
    frame[:20].to_csv(desk.write("", "parts/a.csv"), index=False)
    desk.write("not data", "parts/_SUCCESS")
    desk.write("not data", "parts/.a.csv")
    parts = desk.ask(desk.folder / "parts")
    whole = desk.ask(desk.write(frame))
    pd.testing.assert_frame_equal(parts.train.frame, whole.train.frame)


def test_the_hash_of_a_folder_changes_with_any_part(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.write(table(), f"parts/{name}.csv")
    first = desk.ask(desk.folder / "parts").train.sha256
    desk.write(table(41), "parts/b.csv")
    assert desk.ask(desk.folder / "parts").train.sha256 != first


def test_data_comes_from_s3(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server(desk.folder / "s3") as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        server.client().create_bucket(Bucket="plant")
        server.client().upload_file(str(desk.write(table())), "plant", "day/1.csv")
        server.client().put_object(Bucket="plant", Key="bad/1.csv", Body=b"")
        assert len(desk.ask("s3://plant/day").train.frame) == 32
        with pytest.raises(KfpEdgeError, match="s3://plant/bad/1.csv is empty"):
            desk.ask("s3://plant/bad")
