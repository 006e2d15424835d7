"""Samples: held-out rows that the server takes, recorded with the answers of the verified model."""

import numpy as np
import pytest

from kfp_edge.components.verify.samples import record_samples
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.onnx_model import OnnxModel
from support.models import verify_model, write_model
from support.tables import failures


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("trained"), failures())


@pytest.fixture
def model(folder):
    return OnnxModel.load(folder / "model.onnx")


def test_rows_with_missing_numbers_are_recorded_as_named_columns(model):
    rows = failures(seed=1).x()
    rows.loc[::2, "heat [K]"] = np.nan
    samples = record_samples(model, rows)
    named = [sample.request["rows"][0] for sample in samples if "rows" in sample.request]
    assert len(samples) == 20
    assert "inputs" in samples[0].request
    assert [row["heat [K]"] for row in named] == [None] * 5
    assert all(set(row) == set(rows.columns) for row in named)


def test_where_every_row_lacks_a_number_all_samples_do(model):
    rows = failures(seed=1).x()
    rows["heat [K]"] = np.nan
    samples = record_samples(model, rows)
    assert samples
    assert all(sample.request["rows"][0]["heat [K]"] is None for sample in samples)


def test_a_bundle_of_rows_that_all_lack_a_number_is_served(folder, tmp_path):
    for name in ("model.skops", "model.onnx"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    test_data = failures(seed=1)
    test_data.frame["heat [K]"] = np.nan
    gates = {"balanced_accuracy": 0, "recall": 0, "roc_auc": 0}
    assert verify_model(tmp_path, failures(), test_data, gates=gates).samples.samples


def test_a_row_with_a_category_that_training_never_had_is_not_recorded(folder, tmp_path):
    for name in ("model.skops", "model.onnx"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    test_data = failures(seed=1)
    test_data.frame.loc[::2, "type"] = "C"
    bundle = verify_model(tmp_path, failures(), test_data)
    kinds = {sample.request["inputs"][2]["data"][0] for sample in bundle.samples.samples}
    assert kinds == {"A", "B"}
    assert "1,000 held-out rows were not compared" in (tmp_path / "report.html").read_text()


def test_a_missing_category_that_training_never_had_is_not_recorded(model):
    rows = failures(seed=1).x()
    rows.loc[::2, "type"] = ""
    assert all(sample.request["inputs"][2]["data"][0] != "" for sample in record_samples(model, rows))


def test_only_rows_that_the_server_refuses_are_one_sentence(folder, tmp_path):
    for name in ("model.skops", "model.onnx"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    test_data = failures(seed=1)
    test_data.frame["type"] = "C"
    with pytest.raises(KfpEdgeError, match="the server would refuse every held-out row, so none can be recorded"):
        verify_model(tmp_path, failures(), test_data)
    assert not (tmp_path / "bundle").exists()
