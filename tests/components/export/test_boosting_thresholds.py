"""Histogram boosting after scalers and imputers answers as in a notebook, also where a row is at a threshold."""

import dataclasses

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler

from kfp_edge.components.export.export import convert
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel, read_signature
from kfp_edge.tasks.registry import predict_onnx
from support.tables import failures

NUMBERS = ["heat [K]", "torque [Nm]"]


def _make_data(*, categorical: bool) -> Dataset:
    """Return rows of few different values, a tenth of them missing, so that thresholds are values of rows."""
    data = failures(1500, categorical=categorical)
    frame, generator = data.frame.copy(), np.random.default_rng(0)
    for name in NUMBERS:
        rounded = frame[name].round(1).astype(np.float32)
        frame[name] = rounded.mask(generator.random(len(frame)) < 0.1)
    return dataclasses.replace(data, frame=frame)


def _fit(prepare, data):
    return make_pipeline(prepare, HistGradientBoostingClassifier(max_iter=20, random_state=0)).fit(
        data.x().astype(dict.fromkeys(NUMBERS, float)), data.y()
    )


def _assert_equal(model, data) -> None:
    proto = convert(model, data)
    answers = predict_onnx(OnnxModel(proto, read_signature(proto)), data.x())
    expected = model.predict_proba(data.x().astype(dict.fromkeys(NUMBERS, float)))
    assert np.allclose(answers.probabilities, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "prepare",
    [
        make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
        make_pipeline(SimpleImputer(strategy="mean"), MinMaxScaler()),
        make_pipeline(RobustScaler(), SimpleImputer(strategy="constant", fill_value=0.25)),
        StandardScaler(),
    ],
    ids=["median, standard", "mean, range", "robust, constant", "missing values stay"],
)
def test_scaled_columns(prepare):
    data = _make_data(categorical=False)
    _assert_equal(_fit(prepare, data), data)


def test_scaled_columns_beside_encoded_ones():
    data = _make_data(categorical=True)
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    steps = [("c", OneHotEncoder(sparse_output=False), ["type"]), ("n", scaled, NUMBERS)]
    _assert_equal(_fit(ColumnTransformer(steps), data), data)
