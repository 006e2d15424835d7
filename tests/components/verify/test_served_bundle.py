"""The inference server on a bundle that `verify` wrote: it counts training data as the bundle's reference does."""

from typing import Any

import numpy as np
import onnx
import orjson
import pandas as pd
import pytest

from kfp_edge.ml.bundle import Bundle, ModelIdentity
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.tasks.registry import predict_onnx
from kfp_edge_serving.codecs import json_codec
from kfp_edge_serving.models import self_test
from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions
from support.models import verify_model, write_model
from support.tables import failures


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Return a table with numbers and categories, some of both missing."""
    data = failures()
    data.frame.loc[::50, "torque [Nm]"] = np.nan
    data.frame.loc[7::100, "type"] = None
    return data


@pytest.fixture(scope="module")
def bundle(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = write_model(tmp_path_factory.mktemp("trained"), data)
    return verify_model(folder, data, failures(seed=1), ModelIdentity("pump", "1", "abc"))


@pytest.fixture
def model(bundle: Bundle) -> Model:
    """Load the bundle in a server that refuses values outside the training data."""
    model = Model(load_bundle(bundle.folder, check_name=False), ModelOptions(out_of_range="reject"))
    self_test.replay(model)
    model.start_serving(is_slow=False)
    return model


def rows(data: Dataset) -> list[dict[str, Any]]:
    """Return the rows as a client sends them, with null for missing values."""
    frame = data.frame[list(data.roles.features)].astype(object)
    records: list[dict[str, Any]] = frame.where(frame.notna(), None).to_dict(orient="records")
    return records


def infer(model: Model, data: Dataset) -> Any:
    return orjson.loads(json_codec.infer(model, orjson.dumps({"rows": rows(data)})).body)


def features(model: Model) -> dict[str, Any]:
    return {feature.column.name: feature for feature in model.statistics.features()}


def test_rows_get_the_predictions_that_verification_measured(bundle: Bundle, model: Model, data: Dataset) -> None:
    response = infer(model, data)
    expected = predict_onnx(OnnxModel(onnx.load(bundle.model), bundle.signature), data.x())
    assert response["outputs"][0]["data"] == expected.label.tolist()


def test_missing_values_are_listed_for_each_row(model: Model, data: Dataset) -> None:
    missing = infer(model, data)["missing"]
    assert missing == [[name for name, value in row.items() if value is None] for row in rows(data)]


def test_training_rows_are_within_the_ranges_of_the_signature(model: Model, data: Dataset) -> None:
    infer(model, data)
    counted = features(model)
    assert [counted[name].out_of_range for name in ("heat [K]", "torque [Nm]")] == [0, 0]


def test_training_rows_are_counted_as_in_the_reference(bundle: Bundle, model: Model, data: Dataset) -> None:
    infer(model, data)
    counted = features(model)
    reference = bundle.reference.features
    for name in ("heat [K]", "torque [Nm]"):
        assert tuple(counted[name].bins.counts.tolist()) == (0, *reference[name].counts, 0)
        assert counted[name].missing == reference[name].missing
    assert dict(counted["type"].categories) == reference["type"].counts
    assert counted["type"].missing == reference["type"].missing
    assert pd.isna(data.frame["type"]).sum() == 20


def test_answers_for_held_out_rows_are_counted_as_in_the_reference(bundle: Bundle) -> None:
    model = Model(load_bundle(bundle.folder, check_name=False), ModelOptions())
    infer(model, failures(seed=1))
    reference = bundle.reference.outputs
    assert reference is not None
    [probability] = model.statistics.outputs()
    assert tuple(probability.bins.counts.tolist()) == (0, *reference.values["probability"].counts, 0)
    assert model.statistics.classes() == reference.classes
