"""Detectors, calibrated trees and scalers in ONNX: what skl2onnx gets wrong is exported exactly."""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import OneClassSVM

from kfp_edge.components.export.export import convert
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel, read_signature
from kfp_edge.tasks.registry import predict, predict_onnx
from support.estimators import make_table
from support.tables import anomalies


def _export(estimator, data) -> OnnxModel:
    proto = convert(estimator, data)
    return OnnxModel(proto, read_signature(proto))


@pytest.mark.parametrize("kernel", ["rbf", "linear", "poly", "sigmoid"])
def test_a_one_class_svm_of_a_notebook_keeps_its_labels_and_scores(kernel):
    data = anomalies(400)
    estimator = make_pipeline(StandardScaler(), OneClassSVM(kernel=kernel, nu=0.1)).fit(data.x())
    original, exported = predict(estimator, data), predict_onnx(_export(estimator, data), data.x())
    assert np.array_equal(original.label, exported.label)
    assert original.measure_difference(exported).max() < 1e-6
    is_outlier = estimator.predict(data.x().astype(np.float64)) == -1
    assert ((exported.label == 1) == is_outlier).mean() > 0.95


@pytest.mark.parametrize(
    "trees",
    [RandomForestClassifier(20, random_state=0), HistGradientBoostingClassifier(max_iter=20, random_state=0)],
    ids=["forest", "boosting"],
)
def test_trees_within_a_calibrated_classifier_keep_thresholds_and_sides_of_missing_values(trees):
    data = make_table("classification", "missing numbers", 0)
    estimator = CalibratedClassifierCV(trees, method="sigmoid", cv=3).fit(data.x(), data.y())
    # a third of the rows lie exactly between two values of training, where a branch divides
    values = data.x().to_numpy(np.float64)
    between = (np.sort(values, axis=0)[:-1] + np.sort(values, axis=0)[1:]) / 2
    frame = pd.DataFrame(between, columns=list(data.roles.features)).astype(np.float32).assign(target=0)
    rows = Dataset(pd.concat([data.frame, frame], ignore_index=True), data.roles, data.sha256)
    original, exported = predict(estimator, rows), predict_onnx(_export(estimator, data), rows.x())
    assert original.measure_difference(exported).max() < 1e-6


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        RobustScaler(),
        MinMaxScaler(),
        MinMaxScaler(clip=True),
        MaxAbsScaler(),
        MaxAbsScaler(clip=True),
    ],
    ids=str,
)
def test_a_column_far_from_zero_is_scaled_as_in_a_notebook(scaler):
    data = make_table("classification", "missing numbers", 0)
    notebook = data.x().astype(np.float64)
    estimator = make_pipeline(SimpleImputer(), scaler, LogisticRegression(C=100)).fit(notebook, data.y())
    exported = predict_onnx(_export(estimator, data), data.x())
    is_complete = data.x().notna().all(axis=1).to_numpy()
    difference = np.abs(exported.probabilities - estimator.predict_proba(notebook)).max(axis=1)
    assert difference[is_complete].max() < 2e-6
