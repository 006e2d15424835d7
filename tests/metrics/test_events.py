"""Events are unbroken runs of anomalous rows of one group; rows that rolling windows join to one are not normal."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kfp_edge.metrics.events import EventCount, count_events, find_events, find_rows_after_events
from kfp_edge.ml.dataset import Dataset, Preparation
from kfp_edge.tasks.anomaly.predictions import AnomalyPredictions
from kfp_edge.tasks.anomaly.threshold_rows import find_normal_rows
from kfp_edge.tasks.registry import measure
from support.tables import anomalies

MACHINES = np.array(["a", "b", "c"] * 100, dtype=object)
#: One failure of machine b, 60 rows long, among those of the two others.
FAILURE = ((np.arange(300) >= 90) & (np.arange(300) < 270) & (MACHINES == "b")).astype(np.int64)


def _with_windows(rows: int) -> Dataset:
    data = anomalies(400)
    return replace(data, preparation=Preparation(window_rows=rows))


def test_one_failure_of_one_machine_among_three_is_one_event():
    (event,) = find_events(FAILURE, MACHINES)
    assert (event.group, len(event.rows)) == ("b", 60)
    assert count_events(FAILURE, FAILURE == 1, MACHINES) == [EventCount("b", 1, 1)]


def test_events_of_two_groups_that_follow_each_other_are_two():
    events = find_events(np.array([0, 1, 1, 1]), np.array([7, 7, 8, 8]))
    assert [(event.group, event.rows.tolist()) for event in events] == [(7, [1]), (8, [2, 3])]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=40))
def test_events_cover_exactly_the_anomalous_rows(rows):
    labels, groups = np.array(rows).T
    covered = np.zeros_like(labels)
    for event in find_events(labels, groups):
        covered[event.rows] += 1
    assert np.array_equal(covered, labels)


def test_rows_whose_window_reaches_into_an_event_of_their_group_are_found():
    labels = np.array([0, 0, 1, 0, 0, 0, 0, 0])
    groups = np.array([1, 2, 1, 2, 1, 1, 1, 2])
    assert np.flatnonzero(find_rows_after_events(labels, groups, 3)).tolist() == [4, 5]
    assert np.flatnonzero(find_rows_after_events(labels, None, 3)).tolist() == [3, 4]
    assert not find_rows_after_events(labels, groups, 1).any()


def test_rows_after_an_event_are_neither_fitted_nor_counted_as_false_alarms():
    data = _with_windows(10)
    after = np.flatnonzero(data.y())[-1] + 1 + np.arange(9)
    alarm = data.y().copy()
    alarm[after] = 1
    assert not find_normal_rows(data)[after].any()
    measured = measure(AnomalyPredictions(alarm, alarm * 1.0), data)
    assert (measured.metrics["false_alarm_rate"], measured.metrics["precision"]) == (0, 1)
    assert measured.metrics["roc_auc"] == 1
    assert measured.notes[0].startswith("9 rows after an event")
