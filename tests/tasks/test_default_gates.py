"""Default gates: without any gate a useful model passes, and one that finds nothing or guesses is refused."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.metrics.gates import check_gates, select_gates
from kfp_edge.ml.dataset import Dataset
from kfp_edge.tasks.anomaly.false_alarms import check_measured_rate
from kfp_edge.tasks.anomaly.predictions import AnomalyPredictions
from kfp_edge.tasks.classification.predictions import ClassPredictions
from kfp_edge.tasks.predictions import Predictions
from kfp_edge.tasks.registry import measure, task_of
from kfp_edge.tasks.task import MeasuredModel
from support.tables import anomalies, failures


def _failed(predictions: Predictions, data: Dataset, gates: Mapping[str, object] | None = None) -> list[str]:
    measurement = measure(predictions, data)
    checks = check_gates(
        measurement, select_gates(gates or {}, task_of(data).find_default_gates(predictions), measurement)
    )
    return [f"{check.name}: {check.required}" for check in checks if not check.passed]


def _classify(data: Dataset, probability: np.ndarray) -> ClassPredictions:
    label = (probability > 0.5).astype(np.int64)
    return ClassPredictions(label, np.stack([1 - probability, probability], axis=1), classes=(0, 1))


def _detect(data: Dataset, alarms: np.ndarray) -> AnomalyPredictions:
    return AnomalyPredictions(alarms.astype(np.int64), alarms.astype(float) + data.frame["vibration"].to_numpy())


def _check_rate(data: Dataset, alarms: np.ndarray, asked: float, gates: Mapping[str, object] | None = None):
    predictions = _detect(data, alarms)
    model = MeasuredModel(predictions, measure(predictions, data), anomalies(rows=20_000), data, gates or {}, asked)
    return check_measured_rate(model)


def test_a_classifier_that_ranks_and_finds_some_failures_passes():
    data = failures()
    assert _failed(_classify(data, data.y() * 0.6 + 0.1), data) == []


def test_a_classifier_that_predicts_no_failure_is_refused_however_well_it_ranks():
    data = failures()
    assert _failed(_classify(data, data.y() * 0.3), data) == [
        "gate balanced_accuracy: above 0.5 by default",
        "gate recall(1): above 0 by default",
    ]


def test_a_classifier_that_guesses_is_refused():
    data = failures()
    guess = np.random.default_rng(0).random(len(data.frame))
    assert "gate roc_auc: at least 0.7 by default" in _failed(_classify(data, guess), data)


@pytest.mark.parametrize(
    ("gates", "failed"),
    [({}, ["gate roc_auc_p_value: at most 0.05 by default"]), ({"roc_auc": 0.7}, []), ({"roc_auc_p_value": "off"}, [])],
)
def test_a_ranking_that_few_rows_cannot_tell_from_chance_is_refused_unless_a_limit_is_named(gates, failed):
    data = failures(rows=10)
    data.frame["failed"] = [0] * 7 + [1] * 3
    # of 21 pairs of a failure and another row, 16 are in the right order
    ranking = _classify(data, np.array([0.1, 0.2, 0.3, 0.4, 0.55, 0.7, 0.8, 0.5, 0.6, 0.9]))
    assert _failed(ranking, data, gates) == failed


@pytest.mark.parametrize(("alarmed", "has_advice"), [(0, True), (5, False)])
def test_a_detector_whose_threshold_alone_is_too_high_is_refused_with_the_parameter_that_lowers_it(alarmed, has_advice):
    data = anomalies()
    alarms = np.flatnonzero(data.y())[:alarmed]
    predictions = replace(
        _detect(data, np.zeros(len(data.frame))), label=np.isin(np.arange(len(data.frame)), alarms) * 1
    )
    measurement = measure(predictions, data)
    gates = select_gates({}, task_of(data).find_default_gates(predictions), measurement)
    checks = {check.name: check for check in check_gates(measurement, gates)}
    assert ("train with a higher false_alarm_rate" in checks["gate event_recall"].failure_message) is has_advice


def test_a_classifier_of_several_classes_that_always_predicts_one_is_refused():
    data = failures(labels=("b", "c"))
    data.frame.loc[::3, "failed"] = "a"
    share = np.tile([0.6, 0.3, 0.1], (len(data.frame), 1))
    predictions = ClassPredictions(np.full(len(share), "a", dtype=object), share, classes=("a", "b", "c"))
    assert "gate balanced_accuracy: above 0.333333 by default" in _failed(predictions, data)


def test_a_named_gate_replaces_the_default_of_its_metric_and_off_switches_it_off():
    data = failures()
    predictions = _classify(data, data.y() * 0.3)
    gates = {"balanced_accuracy": "off", "recall": ">=0", "accuracy": ">0.99999"}
    assert _failed(predictions, data, gates) == ["gate accuracy: above 0.99999"]


@pytest.mark.parametrize("name", ["recall", "recall(1)"])
def test_a_gate_on_the_positive_class_replaces_the_default_of_the_metric(name):
    data = failures()
    predictions = _classify(data, data.y() * 0.3)
    measurement = measure(predictions, data)
    checks = check_gates(
        measurement, select_gates({name: 0.5}, task_of(data).find_default_gates(predictions), measurement)
    )
    assert [(check.name, check.required) for check in checks if "recall" in check.name] == [
        ("gate recall(1)", "at least 0.5")
    ]


def test_a_detector_that_finds_nothing_is_refused():
    data = anomalies()
    assert _failed(_detect(data, np.zeros(2000)), data) == [
        "gate event_recall: above 0 by default",
        "gate recall: above 0 by default",
    ]


def test_a_detector_that_finds_an_event_passes():
    data = anomalies()
    assert _failed(_detect(data, data.y()), data) == []


def test_a_detector_without_labels_needs_no_gate_of_a_metric_that_it_lacks():
    data = anomalies(labelled=False)
    assert _failed(_detect(data, np.zeros(2000)), data) == []


@pytest.mark.parametrize(("alarms", "passed"), [(0, True), (20, True), (35, True), (100, False)])
def test_a_detector_is_held_to_about_the_false_alarm_rate_that_was_asked_for(alarms, passed):
    data = anomalies()
    (check,) = _check_rate(data, np.arange(2000) < alarms, asked=0.01)
    assert (check.name, check.passed) == ("gate false_alarm_rate", passed)
    assert "95 % interval" in check.measured
    assert check.required == (
        "0.01, as asked for with false_alarm_rate: the 95 % interval must begin at or below 0.02, twice that rate"
    )


def test_without_labels_the_alarm_rate_is_held_to_it():
    (check,) = _check_rate(anomalies(labelled=False), np.arange(2000) < 500, asked=0.01)
    assert (check.name, check.passed) == ("gate alarm_rate", False)


def test_too_few_rows_to_measure_the_rate_are_reported_and_pass():
    (check,) = _check_rate(anomalies(rows=400), np.arange(400) < 1, asked=0.001)
    assert check.passed
    assert "of 380 rows, too few to measure 0.001" in check.measured


def test_a_brought_detector_of_another_rate_is_refused_with_what_states_it():
    data = anomalies(rows=20_000)
    alarms = (np.arange(20_000) % 23 == 0) | (data.y() == 1)
    predictions = _detect(data, alarms)
    model = MeasuredModel(predictions, measure(predictions, data), data, data, is_brought=True)
    (check,) = check_measured_rate(model)
    assert not check.passed
    assert "state its rate, such as false_alarm_rate=0.05; if not, train it for a lower one" in check.failure_message
    (check,) = check_measured_rate(replace(model, false_alarm_rate=0.05))
    assert check.passed


def test_the_limit_of_a_threshold_set_on_few_rows_states_its_reason():
    data = anomalies(rows=400)
    predictions = _detect(data, np.zeros(400))
    (check,) = check_measured_rate(MeasuredModel(predictions, measure(predictions, data), data, data))
    assert re.search(
        r"begin at or below 0\.0\d+, which a threshold set on \d+ rows can reach by chance$", check.required
    )


@pytest.mark.parametrize(("machines", "is_reported"), [(2, True), (3, False)])
def test_too_few_groups_to_measure_the_rate_are_reported(machines, is_reported):
    data = anomalies()
    machine = np.arange(2000) % machines
    grouped = replace(data, roles=replace(data.roles, group="machine"), frame=data.frame.assign(machine=machine))
    (check,) = _check_rate(grouped, np.arange(2000) < 20, asked=0.01)
    assert ("of 2 groups, too few groups to measure it" in check.measured) is is_reported


@pytest.mark.parametrize("limit", ["off", 0.5])
def test_a_named_gate_on_the_rate_replaces_this_check(limit):
    assert _check_rate(anomalies(), np.ones(2000), asked=0.01, gates={"false_alarm_rate": limit}) == []


def test_alarms_of_one_machine_among_many_leave_the_rate_uncertain():
    data = anomalies()
    machines = np.arange(2000) // 100
    grouped = replace(data, roles=replace(data.roles, group="machine"), frame=data.frame.assign(machine=machines))
    alarms = machines == 3
    assert _check_rate(grouped, alarms, asked=0.01)[0].passed
    assert not _check_rate(data, alarms, asked=0.01)[0].passed


@pytest.mark.parametrize("asked", [0, 0.7, 5])
def test_a_rate_that_no_detector_can_have_is_refused(asked):
    with pytest.raises(KfpEdgeError, match="false_alarm_rate is .*; give a share above 0 and at most 0.5"):
        _check_rate(anomalies(), np.zeros(2000), asked=asked)
