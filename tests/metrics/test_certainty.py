"""A reader learns why an interval is wide, and that alarms are of no use, with what to do about it."""

import numpy as np
import pandas as pd
import pytest

from kfp_edge.metrics.certainty import (
    find_few_clusters,
    find_few_failures,
    find_few_groups,
    find_many_false_alarms,
    find_missing_alarms,
)
from kfp_edge.metrics.intervals import Interval
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from support.tables import SHA

WIDE, NARROW = Interval(0.1932, 0.9981), Interval(0.93, 0.97)
ROWS = 120


def held_out(groups: int, split: str = "group") -> Dataset:
    """Return rows of some machines."""
    frame = pd.DataFrame({"load": np.zeros(ROWS, np.float32), "machine": np.arange(ROWS) % groups})
    roles = Roles("anomaly", "", ("load",), (), group="machine")
    return Dataset(frame, roles, SHA, Preparation(split))


def test_few_groups_are_why_an_interval_is_wide() -> None:
    (warning,) = find_few_groups({"coverage": WIDE, "mae": Interval(1.0, 1.1)}, held_out(2))
    assert warning == (
        "the held-out rows are of only 2 groups of 'machine', so that intervals are wide, as that of coverage 0.1932 "
        "to 0.9981: groups differ; hold out more of them with a larger test_fraction, give data of more groups, or, "
        "where the model is trained here, measure it over folds=5, too"
    )


def test_of_several_wide_intervals_the_widest_is_named() -> None:
    (warning,) = find_few_groups({"coverage": WIDE, "r2": Interval(-40.0, 0.99), "rmse": Interval(1, 9)}, held_out(3))
    assert "as that of r2 -40 to 0.99" in warning


def test_a_single_group_says_nothing_about_others_however_narrow_its_intervals() -> None:
    (warning,) = find_few_groups({"recall": NARROW}, held_out(1))
    assert warning.startswith("all held-out rows are of one group of 'machine': the intervals do not say how")


@pytest.mark.parametrize(
    ("interval", "data"),
    [(NARROW, held_out(2)), (WIDE, held_out(8)), (WIDE, held_out(2, "time"))],
    ids=["narrow", "many groups", "groups in both parts"],
)
def test_where_groups_are_not_the_reason_nothing_is_said(interval: Interval, data: Dataset) -> None:
    assert find_few_groups({"recall": interval}, data) == []


def test_failures_of_one_machine_only_are_said_to_be_so() -> None:
    data = held_out(10)
    (warning,) = find_few_clusters(np.asarray(data.frame["machine"] == 3), "Fail", data)
    assert warning.startswith("all held-out rows of the class 'Fail' are of 1 group of 'machine', of 10: its metrics")
    assert find_few_clusters(np.ones(ROWS, bool), "Fail", data) == []


def test_failures_of_one_stretch_of_time_only_are_said_to_be_so() -> None:
    frame = pd.DataFrame({"load": np.zeros(ROWS, np.float32), "at": np.arange(ROWS)})
    data = Dataset(frame, Roles("anomaly", "", ("load",), (), time="at"), SHA, Preparation("time"))
    (warning,) = find_few_clusters(np.arange(ROWS) >= 114, 1, data)
    assert "are of 1 stretch of time, of 20" in warning


def test_few_failures_are_why_the_interval_of_event_recall_is_wide() -> None:
    (warning,) = find_few_failures(2, Interval(0.0126, 0.9874))
    assert "have only 2 failures, so that the interval of event_recall is wide, 0.0126 to 0.9874; give data" in warning
    assert find_few_failures(5, Interval(0.3, 0.9)) == []


def test_a_model_without_any_alarm_is_not_silent_about_it() -> None:
    truth = np.arange(100) < 10
    (warning,) = find_missing_alarms(truth, np.zeros(100, bool), remedy="lower the threshold")
    assert warning == (
        "the model raises no alarm in any held-out row, although 10 (10.00 %) of them should have one; "
        "lower the threshold"
    )
    assert find_missing_alarms(truth, truth, remedy="") == []
    assert find_missing_alarms(np.zeros(100, bool), np.zeros(100, bool), remedy="") == []


def test_a_threshold_with_many_false_alarms_is_reported_though_its_target_was_met() -> None:
    (warning,) = find_many_false_alarms(0.745, "the highest with a recall of 0.9", "ask for a lower recall")
    assert warning == (
        "the decision threshold, the highest with a recall of 0.9, raises an alarm in 74.5 % of the held-out rows of "
        "the other class (false_alarm_rate 0.745); ask for a lower recall, or give features that tell the classes apart"
    )
    assert find_many_false_alarms(0.05, "", "") == find_many_false_alarms(None, "", "") == []
