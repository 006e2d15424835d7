"""What a measurement warns of, whatever the task is: few machines, alarms that are missing, alarms in most rows."""

import dataclasses

import numpy as np
import pandas as pd

from kfp_edge.components.train.train import fit, measure
from kfp_edge.ml.bundle import ThresholdChoice
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from kfp_edge.ml.decision import Decision
from kfp_edge.tasks.anomaly.predictions import AnomalyPredictions
from kfp_edge.tasks.classification.predictions import ClassPredictions
from kfp_edge.tasks.registry import measure as measure_predictions
from kfp_edge.tasks.regression.predictions import NumberPredictions
from kfp_edge.tasks.task import TrainingOptions
from support.tables import SHA, anomalies, failures


def by_machine(data: Dataset, machines: int) -> Dataset:
    """Return the rows as those of so many machines, of which other ones were trained on."""
    frame = data.frame.assign(machine=np.arange(len(data.frame)) % machines)
    roles = dataclasses.replace(data.roles, group="machine")
    return dataclasses.replace(data, frame=frame, roles=roles, preparation=Preparation("group"))


def decide(data: Dataset, probability: np.ndarray, asked: dict[str, float] | None = None) -> ClassPredictions:
    """Return predictions of which a threshold of 0.5 decides, chosen for what is asked."""
    decision = Decision(0.5, 1, ThresholdChoice(asked=asked)) if asked else None
    probabilities = np.stack([1 - probability, probability], axis=1).astype(np.float32)
    label = (probability > 0.5).astype(np.int64)
    return ClassPredictions(label, probabilities, (0, 1), positive=1, decision=decision)


def numbers(machines: int) -> Dataset:
    rows = np.arange(60 * machines)
    frame = pd.DataFrame({"load": rows.astype(np.float32), "wear": rows.astype(float), "machine": rows % machines})
    roles = Roles("regression", "wear", ("load",), (), group="machine")
    return Dataset(frame, roles, SHA, Preparation("group", target_median=60.0))


def test_a_regression_on_two_machines_states_why_its_intervals_are_wide() -> None:
    data = numbers(2)
    errors = np.random.default_rng(0).normal(0, 1 + 20 * data.frame["machine"].to_numpy())
    predictions = NumberPredictions(data.target_values() + errors, np.empty((len(data.frame), 0)))
    (warning,) = measure_predictions(predictions, data).warnings
    assert warning.startswith(
        "the held-out rows are of only 2 groups of 'machine', so that intervals are wide, as that"
    )


def test_a_regression_on_many_machines_states_nothing() -> None:
    data = numbers(10)
    predictions = NumberPredictions(data.target_values() + 1.0, np.empty((len(data.frame), 0)))
    assert measure_predictions(predictions, data).warnings == ()


def test_a_classifier_and_a_detector_on_two_machines_state_it_too() -> None:
    classified, watched = by_machine(failures(1000), 2), by_machine(anomalies(1000), 2)
    probability = np.random.default_rng(0).random(1000)
    scores = AnomalyPredictions((probability > 0.5).astype(np.int64), probability, 0.5)
    for measurement in (
        measure_predictions(decide(classified, probability), classified),
        measure_predictions(scores, watched),
    ):
        assert any("only 2 groups of 'machine'" in warning for warning in measurement.warnings)


def test_a_detector_without_an_alarm_where_there_are_failures_states_it() -> None:
    data = anomalies()
    silent = AnomalyPredictions(np.zeros(2000, np.int64), data.frame["vibration"].to_numpy(), 99.0)
    (warning,) = measure_predictions(silent, data).warnings
    assert warning.startswith("the model raises no alarm in any held-out row, although 100 (5.00 %) of them should")
    assert "label them with windows or in the target" in warning
    normal = dataclasses.replace(data, frame=data.frame.assign(odd=0))
    assert measure_predictions(silent, normal).warnings == ()


def test_a_classifier_that_never_predicts_the_failure_states_it() -> None:
    data = failures()
    (warning,) = measure_predictions(decide(data, np.full(2000, 0.1)), data).warnings
    assert "raises no alarm in any held-out row" in warning
    assert "threshold={recall: 0.9}" in warning


def test_a_threshold_that_meets_its_recall_by_alarms_in_most_rows_states_it() -> None:
    data = failures()
    guess = np.random.default_rng(0).random(2000) * 0.5 + 0.35
    for asked, remedy in (
        ({"recall": 0.7}, "ask threshold for a lower recall"),
        ({"missed_cost": 9.0, "false_alarm_cost": 1.0}, "check the costs"),
        ({"probability": 0.5}, "a higher probability"),
    ):
        (warning,) = measure_predictions(decide(data, guess, asked), data).warnings
        assert "false_alarm_rate 0.69" in warning
        assert remedy in warning
    assert measure_predictions(decide(data, guess), data).warnings == ()


def test_a_good_threshold_states_nothing() -> None:
    data = failures(4000)
    options = TrainingOptions(threshold={"recall": 0.9})
    assert measure(fit(data, options), failures(4000, seed=1)).measurement.warnings == ()
