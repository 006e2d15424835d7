"""Why intervals are wide, and alarms of no use: warnings for those who read the metrics, each in one sentence."""

from collections.abc import Mapping

import numpy as np

from kfp_edge.metrics.catalog import find_metric
from kfp_edge.metrics.intervals import Interval, find_clusters, has_unseen_groups
from kfp_edge.ml.arrays import ClassLabel, Mask
from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.numbers import format_number, format_share
from kfp_edge.wording import count_of

#: Of fewer groups the quantile of Student's distribution makes an interval wider by 40 % and more.
_FEW_GROUPS = 5
#: Of fewer groups or stretches of time, rows of a class say little about those of others.
_FEW_CLUSTERS_OF_CLASS = 3
#: With fewer failures, one more or less changes the share that is announced by 20 % and more.
_FEW_FAILURES = 5
#: An interval of a share is wide from this width on; one of an error, from this ratio of its ends on.
_WIDE, _WIDE_RATIO = 0.3, 2.0
#: More alarms in normal rows than in every fifth one are of no use to most people.
_MANY_FALSE_ALARMS = 0.2
_MORE_GROUPS = (
    "hold out more of them with a larger test_fraction, give data of more groups, or, where the model is trained here, "
    "measure it over folds=5, too"
)


def find_few_groups(intervals: Mapping[str, Interval], data: Dataset) -> list[str]:
    """Return a warning if intervals are wide, or say nothing about other groups, as held-out rows are of few groups."""
    if not data.roles.group or data.preparation.split == "time":
        return []
    groups = data.frame[data.roles.group].nunique()
    if groups == 1:
        only = f"all held-out rows are of one group of {data.roles.group!r}"
        return [f"{only}: the intervals do not say how the model does for others; {_MORE_GROUPS}"]
    widest = _find_widest(intervals)
    if groups >= _FEW_GROUPS or widest is None:
        return []
    of_groups = f"the held-out rows are of only {groups} groups of {data.roles.group!r}"
    example = f"{widest} {intervals[widest]}"
    return [f"{of_groups}, so that intervals are wide, as that of {example}: groups differ; {_MORE_GROUPS}"]


def find_few_clusters(is_of_class: Mask, label: ClassLabel, data: Dataset) -> list[str]:
    """Return a warning if rows of a class, shape [rows], are of few groups or stretches of time of many."""
    clusters = find_clusters(data)
    if clusters is None or not is_of_class.any():
        return []
    of_class, of_all = (len(np.unique(part)) for part in (clusters[is_of_class], clusters))
    if of_class >= _FEW_CLUSTERS_OF_CLASS or of_all < _FEW_GROUPS:
        return []
    units = count_of(of_class, "stretch", "stretches") + " of time"
    if has_unseen_groups(data):
        units = f"{count_of(of_class, 'group')} of {data.roles.group!r}"
    return [
        f"all held-out rows of the class {label!r} are of {units}, of {of_all}: its metrics may differ elsewhere by "
        "more than their intervals show; hold out such rows of more machines or times with a larger test_fraction"
    ]


def find_few_failures(failures: int, interval: Interval | None) -> list[str]:
    """Return a warning if the held-out rows precede few failures; the interval is that of event_recall."""
    if failures >= _FEW_FAILURES or interval is None:
        return []
    return [
        f"the held-out rows have only {count_of(failures, 'failure')}, so that the interval of event_recall is wide, "
        f"{interval}; give data with more of them, or hold out more with a larger test_fraction"
    ]


def find_missing_alarms(truth: Mask, alarms: Mask, *, remedy: str) -> list[str]:
    """Return a warning if no alarm is raised in any row, shape [rows], although some of them are failures."""
    if alarms.any() or not truth.any():
        return []
    rows = format_share(int(truth.sum()), len(truth))
    return [f"the model raises no alarm in any held-out row, although {rows} of them should have one; {remedy}"]


def find_many_false_alarms(rate: float | None, reason: str, remedy: str) -> list[str]:
    """Return a warning if a threshold raises an alarm in many rows without a failure.

    Args:
        rate: The share of those rows with an alarm; None where there are none.
        reason: What the threshold was chosen for, in words.
        remedy: What to ask of the threshold instead.
    """
    if rate is None or rate < _MANY_FALSE_ALARMS:
        return []
    return [
        f"the decision threshold, {reason}, raises an alarm in {100 * rate:.1f} % of the held-out rows of the other "
        f"class (false_alarm_rate {format_number(rate)}); {remedy}, or give features that tell the classes apart"
    ]


def _find_widest(intervals: Mapping[str, Interval]) -> str | None:
    """Return the metric with the widest of the wide intervals, relative to what is wide; None where none is."""
    widths = {name: _measure_width(name, interval) for name, interval in intervals.items()}
    wide = {name: width for name, width in widths.items() if width >= 1}
    return max(sorted(wide), key=lambda name: wide[name], default=None)


def _measure_width(name: str, interval: Interval) -> float:
    """Return the width of an interval, 1 for one that begins to be wide."""
    metric = find_metric(name)
    if metric is None or not np.isinf(metric.high):
        return (interval.high - interval.low) / _WIDE
    return interval.high / max(interval.low, interval.high * 1e-9) / _WIDE_RATIO if interval.high else 0.0
