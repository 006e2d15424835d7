"""Bundles of models with rolling windows: what the server computes and requires, and a recorded request of rows."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.export.export import export_model
from kfp_edge.components.ingest.ingest import TrainTestSplit, ingest
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.bundle import Bundle
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.skops_model import save_model
from kfp_edge_serving.errors import RequestError
from support.bundles import tiny_bundle
from support.models import verify_model
from support.raw_rows import ask, load_model
from support.tables import train_model

NO_GATES = dict.fromkeys(("roc_auc", "recall", "balanced_accuracy"), "off")
SENSORS = ("pressure", "load")


def make_table(rows: int = 240, missing: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    pressure = rng.normal(50, 2, rows)
    load = np.where(rng.random(rows) < missing, np.nan, rng.normal(5, 1, rows))
    return pd.DataFrame(
        {
            "at": pd.date_range("2024-01-01", periods=rows, freq="min"),
            "machine": np.where(np.arange(rows) % 2, "A", "B"),
            "pressure": pressure,
            "load": load,
            "failed": (pressure + rng.normal(0, 1, rows) > 51).astype(int),
        }
    )


Deliver = Callable[..., Bundle]


@pytest.fixture
def deliver(tmp_path: Path) -> Deliver:
    """Return a function that makes the bundle of a classifier with windows of 4 rows."""

    def make_bundle(
        table: pd.DataFrame, change: Callable[[Dataset], Dataset] = lambda part: part, **more: Any
    ) -> Bundle:
        table.to_csv(tmp_path / "data.csv", index=False)
        columns = {"target": "failed", "time_column": "at", "group_column": "machine", "rolling_windows": (4,)}
        options = IngestOptions(str(tmp_path / "data.csv"), split="time", **columns)
        parts: TrainTestSplit = ingest(options, tmp_path / "train", tmp_path / "test", tmp_path / "report.md")
        save_model(train_model(parts.train), tmp_path / "model.skops")
        export_model(tmp_path / "model.skops", parts.train, tmp_path / "model.onnx")
        return verify_model(tmp_path, parts.train, change(parts.test), gates=NO_GATES, **more)

    return make_bundle


def raw_rows(bundle: Bundle, **values: Any) -> list[dict[str, Any]]:
    """Return the recorded rows, the last one with other values."""
    rows: list[dict[str, Any]] = bundle.samples.samples[-1].request["rows"]
    return [*rows[:-1], rows[-1] | values]


def test_the_bundle_says_what_the_server_computes(deliver: Deliver) -> None:
    features = deliver(make_table()).features
    assert features is not None
    assert (features.time_column, features.time_kind, features.group_column) == ("at", "timestamp", "machine")
    assert features.has_unique_times
    assert {window.source for window in features.windows} == set(SENSORS)
    assert [window.name for window in features.windows][:5] == [
        "pressure mean 4",
        "pressure std 4",
        "pressure min 4",
        "pressure max 4",
        "pressure diff 4",
    ]


def test_times_that_machines_share_are_stated(deliver: Deliver) -> None:
    table = make_table()
    table.loc[7, "at"] = table.loc[5, "at"]
    features = deliver(table).features
    assert features is not None
    assert not features.has_unique_times


def test_one_sample_is_as_many_raw_rows_as_a_window_needs(deliver: Deliver) -> None:
    bundle = deliver(make_table())
    *others, last = bundle.samples.samples
    assert len(others) == 20
    assert all("inputs" in sample.request for sample in others)
    assert len(last.request["rows"]) == 4
    assert set(last.request["rows"][0]) == {"at", "machine", *SENSORS}
    assert len({row["machine"] for row in last.request["rows"]}) == 1
    status, answer = ask(load_model(bundle), *last.request["rows"])
    assert (status, answer["answered"]) == (202, [3])


def test_where_every_held_out_row_lacks_a_number_the_raw_rows_are_the_only_sample(deliver: Deliver) -> None:
    def remove_loads(part: Dataset) -> Dataset:
        missing = [name for name in part.roles.numeric if "load" in name]
        return dataclasses.replace(part, frame=part.frame.assign(**dict.fromkeys(missing, np.float32(np.nan))))

    bundle = deliver(make_table(missing=0.2), remove_loads, may_be_missing=["load"])
    (sample,) = bundle.samples.samples
    assert len(sample.request["rows"]) == 4


def test_a_raw_row_without_a_sensor_that_training_never_missed_is_refused(deliver: Deliver) -> None:
    model = load_model(bundle := deliver(make_table()))
    with pytest.raises(RequestError, match=r"^row 3 lacks the column 'pressure', which cannot be missing\.$"):
        ask(model, *raw_rows(bundle, pressure=None))


def test_a_sensor_that_may_be_missing_may_be_missing_in_its_windows_too(deliver: Deliver) -> None:
    bundle = deliver(make_table(), may_be_missing=["load"])
    rows = [row | {"load": None} for row in raw_rows(bundle)]
    status, answer = ask(load_model(bundle), *rows)
    assert (status, answer["answered"]) == (202, [3])


def test_a_sensor_that_training_missed_now_and_then_is_not_answered_where_it_is_missing_for_long(
    deliver: Deliver,
) -> None:
    bundle = deliver(make_table(missing=0.1))
    rows = raw_rows(bundle, load=None)
    assert ask(load_model(bundle), *rows)[1]["answered"] == [3]
    status, answer = ask(load_model(bundle), *(row | {"load": None} for row in rows))
    assert status == 202
    assert answer["not_answered"][-1]["column"] == "load mean 4"


def test_a_misspelt_sensor_in_may_be_missing_is_named(deliver: Deliver) -> None:
    with pytest.raises(KfpEdgeError, match=r"'pressuree', which the model does not have; did you mean pressure\?"):
        deliver(make_table(), may_be_missing=["pressuree"])


def test_a_bundle_without_rolling_windows_has_no_definition(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    assert bundle.features is None
    assert not (bundle.folder / "features.json").exists()


def test_a_definition_that_was_altered_is_detected(deliver: Deliver) -> None:
    bundle = deliver(make_table())
    path = bundle.folder / "features.json"
    path.write_bytes(path.read_bytes().replace(b"mean 4", b"mean 5"))
    with pytest.raises(KfpEdgeError, match=r"features\.json was altered after it was verified"):
        Bundle.load(bundle.folder)
    path.unlink()
    with pytest.raises(KfpEdgeError, match=r"lacks features\.json"):
        Bundle.load(bundle.folder)
