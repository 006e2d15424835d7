"""The threshold of a detector: machines that training has not seen raise alarms at about the rate asked for."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kfp_edge.components.train.train import measure
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from kfp_edge.tasks.anomaly.threshold_rows import choose_threshold_method, count_threshold_rows, describe_threshold_rows
from support.tables import SHA, anomalies, train_model


def _machines(first: int, count: int, rows: int = 100) -> Dataset:
    """Return normal rows of machines with these numbers, each with an offset of its own, and one anomalous row each."""
    frames = []
    for number in range(first, first + count):
        rng = np.random.default_rng(number)
        values = rng.normal(0, 1, (rows, 3)) + rng.normal(0, 0.7, 3)
        odd = (np.arange(rows) == rows - 1).astype(np.int64)
        frames.append(pd.DataFrame(values + 9 * odd[:, None], columns=list("abc")).assign(machine=number, odd=odd))
    frame = pd.concat(frames, ignore_index=True)
    return Dataset(frame, Roles("anomaly", "odd", ("a", "b", "c"), (), group="machine", positive=1), SHA)


def test_machines_that_training_has_not_seen_raise_alarms_at_about_the_rate_asked_for():
    rates = []
    for first in (0, 300):
        model = train_model(_machines(first, 12), false_alarm_rate=0.02)
        metrics = measure(model, _machines(first + 50, 12)).metrics
        assert metrics["event_recall"] == 1
        rates.append(metrics["false_alarm_rate"])
    assert max(rates) < 0.035


def test_the_threshold_does_not_depend_on_the_order_of_the_machines():
    data = _machines(0, 6, rows=50)
    reordered = replace(data, frame=data.frame[::-1].reset_index(drop=True))
    thresholds = [
        measure(train_model(each, false_alarm_rate=0.05), data).predictions.threshold for each in (data, reordered)
    ]
    assert thresholds[0] == pytest.approx(thresholds[1], abs=0.03)


@pytest.mark.parametrize(
    ("columns", "split", "method", "rows"),
    [
        ({}, "random", "blocks", 1900),
        ({"time": "temperature"}, "time", "latest", 380),
        ({"group": "machine"}, "group", "groups", 1900),
        ({"group": "machine", "time": "temperature"}, "group-and-time", "groups", 1900),
        ({"group": "machine", "time": "temperature"}, "time", "latest", 380),
    ],
)
def test_the_rows_that_set_the_threshold_resemble_use_at_the_edge(columns, split, method, rows):
    data = anomalies()
    frame = data.frame.assign(machine=np.arange(2000) % 4)
    data = Dataset(frame, replace(data.roles, **columns), SHA, Preparation(split))
    assert (choose_threshold_method(data), count_threshold_rows(data)) == (method, rows)
    description = describe_threshold_rows(data, 0.001)
    assert f"{rows:,} normal rows" in description
    assert ("of 4 groups" in description) == (method == "groups")


def test_a_single_group_sets_the_threshold_as_if_there_were_none():
    data = replace(anomalies(), roles=replace(anomalies().roles, group="machine"))
    data = replace(data, frame=data.frame.assign(machine="a"))
    assert choose_threshold_method(data) == "blocks"


def test_a_few_thousand_rows_without_time_or_groups_give_about_the_rate_asked_for():
    rates = []
    for seed in (0, 1):
        model = train_model(anomalies(rows=3000, seed=seed), false_alarm_rate=0.02)
        rates.append(measure(model, anomalies(rows=10_000, seed=seed + 10)).metrics["false_alarm_rate"])
    assert rates == pytest.approx([0.02, 0.02], abs=0.01)
