"""The threshold of an anomaly detector: the rate asked for, and the normal rows that set it, unseen when scored."""

import dataclasses
from typing import Literal

import numpy as np

from kfp_edge.errors import ParameterError
from kfp_edge.metrics.events import find_rows_after_events
from kfp_edge.ml.arrays import Mask
from kfp_edge.ml.dataset import Dataset
from kfp_edge.wording import count_of

#: `groups` and `blocks`: each row is scored by a model fitted on the other groups, or on other blocks of consecutive
#: rows; the detector itself is fitted on all rows. `latest`: the latest rows, which the detector is not fitted on.
ThresholdMethod = Literal["groups", "latest", "blocks"]

#: Share of the normal rows that sets the threshold, by method.
_SHARES: dict[ThresholdMethod, float] = {"groups": 1.0, "latest": 0.2, "blocks": 1.0}

#: More scores than these do not make the threshold better, unless the false-alarm rate is very small: then so many rows
#: for each that raises an alarm.
_MAX_ROWS, _ROWS_PER_ALARM = 100_000, 10


def check_false_alarm_rate(rate: float) -> None:
    """Refuse a rate that is no share.

    Raises:
        ParameterError: it is outside (0, 0.5].
    """
    if not 0 < rate <= 0.5:
        hint = f"; did you mean {rate:g}%?" if 0.5 < rate <= 50 else "."
        raise ParameterError(f"false_alarm_rate is {rate:g}; give a share above 0 and at most 0.5{hint}")


def find_normal_rows(data: Dataset) -> Mask:
    """Return the rows that are normal, shape [rows]: labelled so, with features from normal rows only.

    Without labels it is all of them.
    """
    if not data.roles.target:
        return np.ones(len(data.frame), dtype=bool)
    labels = data.y()
    after_events = find_rows_after_events(labels, data.groups(), data.preparation.window_rows)
    return np.asarray((labels == 0) & ~after_events)


def select_normal_rows(data: Dataset) -> Dataset:
    """Return the rows that are normal, which are all of them where there are no labels."""
    if not data.roles.target:
        return data
    return dataclasses.replace(data, frame=data.frame[find_normal_rows(data)].reset_index(drop=True))


def choose_threshold_method(data: Dataset) -> ThresholdMethod:
    """Choose the method that resembles use at the edge.

    By groups if the model will see others, unless the split by time says that the test rows are of the same groups; by
    time if there is a time column, since machines change; else all rows.
    """
    roles = data.roles
    has_unseen_groups = bool(roles.group) and data.preparation.split != "time"
    if has_unseen_groups and data.frame[roles.group][find_normal_rows(data)].nunique() > 1:
        return "groups"
    return "latest" if roles.time else "blocks"


def count_threshold_rows(data: Dataset) -> int:
    """Return the number of rows that set the threshold."""
    return round(int(find_normal_rows(data).sum()) * _SHARES[choose_threshold_method(data)])


def count_max_threshold_rows(false_alarm_rate: float) -> int:
    """Return the number of rows of which no more are scored; more do not make the threshold better."""
    return max(_MAX_ROWS, round(_ROWS_PER_ALARM / false_alarm_rate))


def describe_threshold_rows(data: Dataset, false_alarm_rate: float) -> str:
    """Return which training rows set the threshold, and by which method."""
    method, rows = choose_threshold_method(data), count_threshold_rows(data)
    most = count_max_threshold_rows(false_alarm_rate)
    of_normal = "normal row" if data.roles.target else "row"
    counted = count_of(rows, of_normal) if rows <= most else f"about {most:,} of {count_of(rows, of_normal)}"
    if method == "latest":
        return f"the latest {counted}, on which the detector was not fitted"
    if method == "groups":
        groups = data.frame[data.roles.group][find_normal_rows(data)].nunique()
        return f"{counted} of {count_of(groups, 'group')}, each scored by a model that was fitted on other groups"
    return f"{counted}, each scored by a model that was fitted on other blocks of consecutive rows"


def count_normal_rows_for(threshold_rows: float, method: ThresholdMethod) -> int:
    """Return the number of normal rows of which at least `threshold_rows` set the threshold."""
    return int(threshold_rows / _SHARES[method]) + 1
