import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.dataset import Dataset, Preparation, Roles, load, save

ROLES = Roles(
    "classification",
    "failed",
    numeric=("speed", "load"),
    categorical=("type",),
    time="at",
    group="site",
    features=("speed", "type", "load"),
)

numbers = st.floats(allow_infinity=False, width=64)
words = st.none() | st.text(st.characters(exclude_categories=["Cs"]))
rows = st.lists(st.tuples(numbers, words, numbers, st.datetimes(), words, st.integers(0, 1)), min_size=1)


def dataset(values: list[tuple[object, ...]]) -> Dataset:
    columns = list(zip(*values, strict=True))
    frame = pd.DataFrame(
        {
            "speed": np.array(columns[0], dtype=float),
            "type": pd.Series(columns[1], dtype=object),
            "load": np.array(columns[2], dtype=float),
            "at": np.array(columns[3], dtype="datetime64[us]"),
            "site": pd.Series(columns[4], dtype=object),
            "failed": np.array(columns[5], dtype=np.int64),
        }
    )
    return Dataset(frame, ROLES, "ab" * 32)


@pytest.fixture
def one() -> Dataset:
    return dataset([(1.0, "M", float("nan"), np.datetime64("2024-01-01"), "hall 1", 1)])


@given(values=rows)
def test_a_loaded_dataset_equals_the_saved_one(
    values: list[tuple[object, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("dataset") / "data"
    expected = dataset(values)
    save(expected, path)
    loaded = load(path)
    pd.testing.assert_frame_equal(loaded.frame, expected.frame)
    assert (loaded.roles, loaded.sha256) == (expected.roles, expected.sha256)


def test_the_same_dataset_gives_the_same_bytes(one: Dataset, tmp_path: Path) -> None:
    save(one, tmp_path / "a")
    save(load(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_path_that_looks_like_a_partition_adds_no_column(one: Dataset, tmp_path: Path) -> None:
    save(one, tmp_path / "speed=3" / "data")
    assert load(tmp_path / "speed=3" / "data").frame["speed"].tolist() == [1.0]


def test_features_keep_the_order_of_the_data(one: Dataset) -> None:
    assert list(one.x()) == ["speed", "type", "load"]


def test_features_are_numeric_then_categorical_when_no_order_is_given() -> None:
    assert Roles("anomaly", "", ("a", "b"), ("c",)).features == ("a", "b", "c")


def test_a_feature_must_be_numeric_or_categorical() -> None:
    with pytest.raises(ValueError, match="each once"):
        Roles("anomaly", "", ("a",), (), features=("a", "b"))


def test_missing_text_is_none_after_loading(tmp_path: Path) -> None:
    save(dataset([(1.0, None, 1.0, np.datetime64("2024-01-01"), "x", 0)]), tmp_path / "data")
    assert load(tmp_path / "data").frame["type"].tolist() == [None]


def test_labels_are_integers_as_in_the_data(one: Dataset) -> None:
    assert (one.y().tolist(), one.y().dtype) == ([1], np.int64)


def test_data_without_labels_is_refused_where_labels_are_needed() -> None:
    with pytest.raises(KfpEdgeError, match="no labels"):
        Dataset(pd.DataFrame({"a": [1.0]}), Roles("anomaly", "", ("a",), ()), "ab").y()


def test_a_column_without_a_role_is_not_saved(one: Dataset, tmp_path: Path) -> None:
    save(Dataset(one.frame.assign(leak=1), one.roles, one.sha256), tmp_path / "data")
    assert "leak" not in load(tmp_path / "data").frame


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match=r"no dataset at .*nowhere"):
        load(tmp_path / "nowhere")


def test_a_truncated_file_is_refused(one: Dataset, tmp_path: Path) -> None:
    save(one, tmp_path / "data")
    (tmp_path / "data").write_bytes((tmp_path / "data").read_bytes()[:-20])
    with pytest.raises(KfpEdgeError, match="damaged"):
        load(tmp_path / "data")


def test_an_ordinary_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "data")
    with pytest.raises(KfpEdgeError, match="not written by kfp-edge's ingest"):
        load(tmp_path / "data")


def test_a_folder_that_cannot_be_written_is_reported(one: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KfpEdgeError, match="cannot write"):
        save(one, tmp_path / "file" / "data")


def test_features_are_numbers_in_single_precision_as_at_the_edge() -> None:
    frame = pd.DataFrame({"hours": [250_000.01, np.nan], "mode": ["a", None]})
    x = Dataset(frame, Roles("anomaly", "", ("hours",), ("mode",)), "ab" * 32).x()
    assert x["hours"].dtype == np.float32
    assert x["mode"].tolist() == ["a", ""]


def test_how_the_rows_were_prepared_is_kept(one: Dataset, tmp_path: Path) -> None:
    preparation = Preparation("time", "there is a time column", {"warm-up": 5}, ("few positives",))
    data = dataclasses.replace(one, preparation=preparation)
    save(data, tmp_path / "data")
    assert load(tmp_path / "data").preparation == preparation
