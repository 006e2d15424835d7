"""Every detector gets the threshold for the false-alarm rate that is asked for, whatever its scores are."""

import dataclasses

import numpy as np
import pytest

from kfp_edge.components.train.train import fit, measure
from kfp_edge.estimators.detectors import DETECTORS
from kfp_edge.tasks.registry import predict
from kfp_edge.tasks.task import TrainingOptions
from support.tables import anomalies

_EACH = pytest.mark.parametrize("name", [estimator.name for estimator in DETECTORS])


@_EACH
def test_new_rows_raise_alarms_at_the_rate_asked_for(name):
    options = TrainingOptions(estimator=name, false_alarm_rate=0.02)
    metrics = measure(fit(anomalies(2000), options), anomalies(2000, seed=5)).metrics
    assert 0.005 < metrics["false_alarm_rate"] < 0.05
    assert metrics["event_recall"] == 1


@_EACH
def test_repeated_rows_are_on_one_side_of_the_threshold_with_a_margin(name):
    data = anomalies(900, labelled=False)
    coarse = data.frame.round(0).astype(np.float32)
    data = dataclasses.replace(data, frame=coarse)
    predictions = predict(fit(data, TrainingOptions(estimator=name, false_alarm_rate=0.05)), data)
    assert predictions.margin.min() > 1e-6


def test_scores_of_a_one_class_svm_do_not_grow_with_the_number_of_rows():
    scores = []
    for rows in (400, 1600):
        model = fit(anomalies(rows), TrainingOptions(estimator="one_class_svm", false_alarm_rate=0.05))
        scores.append(np.median(model.score_samples(anomalies(400, seed=9).x())))
    assert scores[0] == pytest.approx(scores[1], rel=0.2)


def test_principal_components_that_explain_everything_leave_one_direction_out():
    options = TrainingOptions(estimator="pca", false_alarm_rate=0.05, hyperparameters={"n_components": 5})
    model = fit(anomalies(400), options)
    assert len(model[-1].components_) == 1
