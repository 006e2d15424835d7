"""Parity: a model that differs from its original is refused with the row, the column, both answers and the way out."""

import dataclasses
import re

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from kfp_edge.components.export.export import export_model
from kfp_edge.components.verify.parity import Parity, measure_parity
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.skops_model import save_model
from kfp_edge.tasks.classification.predictions import ClassPredictions
from support.models import verify_model
from support.tables import failures


def test_the_worst_rows_have_other_labels_then_the_largest_differences() -> None:
    parity = Parity(np.array([False, True, False]), np.array([0.5, 0.0, 0.9]))
    assert parity.worst(3) == [1, 2, 0]
    assert parity.is_within(0.6).tolist() == [True, False, False]


def test_a_label_differs_only_where_the_original_prefers_one() -> None:
    original = ClassPredictions(np.array([0, 0]), np.array([[0.5, 0.5], [0.6, 0.4]]), classes=(0, 1))
    exported = ClassPredictions(np.array([1, 1]), np.array([[0.4999999, 0.5000001], [0.4, 0.6]]), classes=(0, 1))
    assert measure_parity(original, exported, 1e-5).labels_differ.tolist() == [False, True]


def _refusal(tmp_path, estimator, train, test) -> str:
    """Return the error for a model whose export differs."""
    save_model(estimator.fit(train.x(), train.y()), tmp_path / "model.skops")
    export_model(tmp_path / "model.skops", train, tmp_path / "model.onnx")
    with pytest.raises(KfpEdgeError) as error:
        verify_model(tmp_path, train, test)
    assert not (tmp_path / "bundle").exists()
    return str(error.value)


def test_a_refusal_names_row_column_value_both_answers_and_the_way_out(tmp_path, monkeypatch):

    def lower_the_thresholds_of_heat(estimator: HistGradientBoostingClassifier) -> None:
        for (predictor,) in estimator._predictors:
            predictor.nodes["num_threshold"][predictor.nodes["feature_idx"] == 0] -= 0.2

    monkeypatch.setattr("kfp_edge.components.export.preparation.round_thresholds", lower_the_thresholds_of_heat)
    train, test = failures(categorical=False), failures(seed=1, categorical=False)
    message = _refusal(tmp_path, HistGradientBoostingClassifier(random_state=0), train, test)
    assert "\n" not in message
    assert re.search(
        r"on held-out row \d+, where 'heat \[K\]' is [\d.]+, scikit-learn gives [01] \([\d.]+\), ONNX [01] \([\d.]+\); "
        r"ONNX computes with about seven digits, scikit-learn with sixteen: scale 'heat \[K\]' in the Pipeline, "
        r"such as with a StandardScaler, or give it fewer digits",
        message,
    ), message


def test_a_refusal_of_a_missing_value_advises_to_fill_it(tmp_path, monkeypatch):
    train, test = failures(categorical=False), failures(seed=1, categorical=False)
    parts = []
    for part in (train, test):
        frame = part.frame.copy()
        frame.loc[::3, "torque [Nm]"] = np.nan
        parts.append(dataclasses.replace(part, frame=frame))
    model = RandomForestClassifier(21, random_state=0)
    # as skl2onnx does it: every missing value goes to the right
    monkeypatch.setattr("kfp_edge.components.export.export.copy_missing_sides", lambda *_: None)
    message = _refusal(tmp_path, model, *parts)
    assert "where 'torque [Nm]' is missing, scikit-learn gives " in message
    assert "fill the missing values of 'torque [Nm]' in the Pipeline, such as with a SimpleImputer" in message
