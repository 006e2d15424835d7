"""Training: the same data and seed give the same model, rare classes count, and false alarms stay rare."""

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.train.train import measure
from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.skops_model import load_model, save_model
from kfp_edge.tasks.registry import predict
from support.tables import anomalies, failures, train_model


@pytest.mark.parametrize("make", [failures, anomalies])
def test_same_data_and_seed_give_the_same_model_bytes(tmp_path, make):
    for name in ("first", "second"):
        save_model(train_model(make()), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_another_seed_gives_another_detector(tmp_path):
    for seed in (0, 1):
        save_model(train_model(anomalies(), seed=seed), tmp_path / str(seed))
    assert (tmp_path / "0").read_bytes() != (tmp_path / "1").read_bytes()


@pytest.mark.parametrize("make", [failures, anomalies])
def test_a_saved_model_predicts_as_the_fitted_one_did(tmp_path, make):
    data = make()
    fitted = train_model(data)
    save_model(fitted, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert np.array_equal(predict(fitted, data).ranking_score, predict(loaded, data).ranking_score)


def test_the_most_frequent_values_of_a_text_column_are_encoded():
    data = failures(4000)
    parts = [f"P{row % 150 if row < 3000 else row % 100:03d}" for row in range(4000)]
    data.frame["type"] = pd.Series(parts, dtype=object)
    (categories,) = train_model(data).named_steps["prepare"].named_transformers_["categorical"].categories_
    assert categories.tolist() == [f"P{part:03d}" for part in range(100)]


def test_all_values_are_encoded_where_there_are_few():
    (categories,) = train_model(failures()).named_steps["prepare"].named_transformers_["categorical"].categories_
    assert categories.tolist() == ["A", "B"]


def test_rare_failures_are_detected():
    evaluation = measure(train_model(failures(seed=1)), failures(seed=2))
    assert evaluation.metrics["roc_auc"] > 0.9
    assert evaluation.metrics["recall"] > 0.5


def test_text_labels_are_kept():
    evaluation = measure(train_model(failures(labels=("fine", "broken"))), failures(labels=("fine", "broken"), seed=3))
    assert evaluation.curves is not None
    assert evaluation.curves.confusion[0] == ["broken", "fine"]


def test_the_detector_raises_few_alarms_on_normal_rows():
    evaluation = measure(train_model(anomalies(rows=4000), false_alarm_rate=0.01), anomalies(rows=4000, seed=5))
    assert evaluation.metrics["false_alarm_rate"] < 0.03
    assert evaluation.metrics["event_recall"] > 0.9


def test_the_detector_works_without_labels():
    evaluation = measure(train_model(anomalies(labelled=False)), anomalies(labelled=False, seed=5))
    assert set(evaluation.metrics) == {"alarm_rate"}
    assert evaluation.curves is None


@pytest.mark.parametrize("rate", [0.0, -1.0, 0.7])
def test_an_impossible_false_alarm_rate_is_refused(rate):
    with pytest.raises(KfpEdgeError, match="false_alarm_rate is .* above 0 and at most 0.5"):
        train_model(anomalies(), false_alarm_rate=rate)


def test_too_few_normal_rows_for_the_rate_are_refused_with_the_number_that_is_needed():
    with pytest.raises(KfpEdgeError, match="too few to set a threshold .* at least 1,001 rows"):
        train_model(anomalies(rows=300), false_alarm_rate=0.0001)
