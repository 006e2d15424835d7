from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ingest_parts import AI4I, Desk, needs_data, table
from s3 import s3_server

from kfp_edge import dataset
from kfp_edge.components.ingest import synthetic
from kfp_edge.dataset import Roles
from kfp_edge.errors import KfpEdgeError
from kfp_edge.files import sha256_file


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


# --- the project's own data


def test_synthetic_data_has_the_columns_and_types_of_the_recipe() -> None:
    frame = synthetic.ai4i(100, 0).to_pandas()
    assert list(frame) == [
        *("UDI", "Product ID", "Type", "Air temperature [K]", "Process temperature [K]", "Rotational speed [rpm]"),
        *("Torque [Nm]", "Tool wear [min]", "Machine failure", "TWF", "HDF", "PWF", "OSF", "RNF"),
    ]


@needs_data
def test_synthetic_data_has_the_columns_and_types_of_the_published_file() -> None:
    published, made = pd.read_csv(AI4I), synthetic.ai4i(100, 0).to_pandas()
    assert made.dtypes.to_dict() == published.dtypes.to_dict()


@pytest.fixture(scope="module")
def made() -> pd.DataFrame:
    return synthetic.ai4i(100_000, 7).to_pandas()


@pytest.mark.parametrize("seed", range(5))
def test_the_share_of_failures_is_near_that_of_the_recipe(seed: int) -> None:
    assert synthetic.ai4i(20_000, seed).to_pandas()["Machine failure"].mean() == pytest.approx(0.034, abs=0.006)


def test_a_row_fails_when_any_of_its_modes_does(made: pd.DataFrame) -> None:
    assert (made["Machine failure"] == made[["TWF", "HDF", "PWF", "OSF", "RNF"]].max(axis=1)).all()


def test_each_failure_mode_follows_its_rule(made: pd.DataFrame) -> None:
    difference = (made["Process temperature [K]"] - made["Air temperature [K]"]).round(1)
    speed, torque, wear = (made[name] for name in ("Rotational speed [rpm]", "Torque [Nm]", "Tool wear [min]"))
    power = speed * torque * 2 * np.pi / 60
    limit = made["Type"].map({"L": 11_000, "M": 12_000, "H": 13_000})
    assert (made["HDF"] == ((difference < 8.6) & (speed < 1380))).all()
    assert (made["PWF"] == ((power < 3500) | (power > 9000))).all()
    assert (made["OSF"] == (wear * torque > limit)).all()
    assert wear[made["TWF"] == 1].between(200, 245).all()


def test_tools_wear_by_quality_and_are_replaced_after_200_to_240_minutes(made: pd.DataFrame) -> None:
    wear = made["Tool wear [min]"]
    step = made["Type"].map({"L": 2, "M": 3, "H": 5}).shift()
    replaced = wear.diff() < 0
    assert (wear.diff()[1:] == step[1:])[~replaced[1:]].all()
    assert (wear[replaced] == 0).all()
    assert wear[replaced.shift(-1, fill_value=False)].between(200, 245).all()


def test_quality_torque_and_temperature_are_spread_as_the_recipe_says(made: pd.DataFrame) -> None:
    assert made["Type"].value_counts(normalize=True).to_dict() == pytest.approx(
        {"L": 0.5, "M": 0.3, "H": 0.2}, abs=0.01
    )
    assert made["Torque [Nm]"].agg(["mean", "std"]).tolist() == pytest.approx([40, 10], abs=0.1)
    assert made["Torque [Nm]"].min() > 0
    assert made["Air temperature [K]"].agg(["mean", "std"]).tolist() == pytest.approx([300, 2], abs=0.05)


def test_the_same_address_gives_the_same_rows_and_another_seed_others() -> None:
    first, again, other = (synthetic.generate(f"synthetic:ai4i?rows=50&seed={seed}") for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_synthetic_data_knows_its_own_target_and_what_leaks_it(desk: Desk) -> None:
    roles = desk.ask("synthetic:ai4i?rows=2000", target="", drop=()).train.roles
    assert (roles.target, roles.categorical, len(roles.numeric)) == ("Machine failure", ("Type",), 5)


def test_the_hash_of_synthetic_data_is_that_of_its_csv(desk: Desk) -> None:
    first, again, other = (desk.ask(f"synthetic:ai4i?rows=500&seed={s}", target="", drop=()) for s in (1, 1, 2))
    assert first.train.sha256 == again.train.sha256 != other.train.sha256


@pytest.mark.parametrize(
    "uri", ["synthetic:cmapss", "synthetic:ai4i?rows=x", "synthetic:ai4i?rows=0", "synthetic:ai4i?n=1"]
)
def test_a_recipe_that_is_none_is_refused(desk: Desk, uri: str) -> None:
    desk.refused(uri, uri, target="", drop=())
