"""The false-alarm rate asked for, and the one that held-out rows show."""

import math

import numpy as np

from kfp_edge.metrics.intervals import compute_exact_interval, find_clusters
from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.check import Check
from kfp_edge.reports.numbers import format_number
from kfp_edge.tasks.anomaly.threshold_rows import check_false_alarm_rate, count_threshold_rows, find_normal_rows
from kfp_edge.tasks.task import MeasuredModel

#: Machines that differ or drift a little reach this multiple of the rate asked for; a detector whose interval is
#: completely above it raises more false alarms than anyone planned for.
_MAX_RATE_RATIO = 2.0
#: Fewer groups than this say little about the rate in others.
_FEWEST_GROUPS = 3


def check_measured_rate(model: MeasuredModel) -> list[Check]:
    """Require a detector to raise alarms about as rarely as it was asked to, unless a gate on that rate is named.

    Without labels every row counts as normal. The lower end of the 95 % interval may be at most twice the rate asked
    for, or what a threshold reaches by chance that so many training rows set. Too few rows or groups to measure such a
    rate are reported.

    Raises:
        ParameterError: the rate asked for is no share.
    """
    test_data, measurement, asked = model.test_data, model.measurement, model.false_alarm_rate
    metric = "false_alarm_rate" if test_data.roles.target else "alarm_rate"
    if metric in model.gates:
        return []
    check_false_alarm_rate(asked)
    normal = int(find_normal_rows(test_data).sum())
    interval = measurement.intervals[metric]
    rate = measurement.metrics[metric]
    measured = f"{format_number(rate)} (95 % interval {interval}) of {normal:,} rows"
    if normal * asked < 1:
        measured += f", too few to measure {asked:g}"
    elif rate > _MAX_RATE_RATIO * asked:
        measured += f", {rate / asked:.1f} times the rate asked for"
    measured += _describe_few_clusters(test_data)
    limit, reason = _find_highest_rate(model.train_data, asked)
    required = f"{asked:g}, as asked for with false_alarm_rate: the 95 % interval must begin at or below {reason}"
    remedy = _advise_brought(rate) if model.is_brought else ""
    return [Check(f"gate {metric}", interval.low <= limit, measured, required, remedy)]


def _advise_brought(rate: float) -> str:
    """Return what to do about a detector whose threshold was set elsewhere, for a rate that only its maker knows."""
    unit = 10.0 ** math.floor(math.log10(rate)) if rate else 1.0
    stated = min(math.ceil(rate / unit) * unit, 0.5)
    return (
        "a model that was trained elsewhere may be made for more alarms: if it is, state its rate, such as "
        f"false_alarm_rate={stated:g}; if not, train it for a lower one, which contamination of "
        "IsolationForest and nu of OneClassSVM set"
    )


def _describe_few_clusters(data: Dataset) -> str:
    clusters = find_clusters(data)
    if clusters is None or (count := len(np.unique(clusters[find_normal_rows(data)]))) >= _FEWEST_GROUPS:
        return ""
    return f" of {count} {'group' if count == 1 else 'groups'}, too few groups to measure it"


def _find_highest_rate(train_data: Dataset, asked: float) -> tuple[float, str]:
    """Return where the interval of the rate may begin, and that with its reason."""
    rows = count_threshold_rows(train_data)
    planned, by_chance = _MAX_RATE_RATIO * asked, compute_exact_interval(asked * rows, rows).high
    if by_chance > planned:
        return by_chance, f"{by_chance:.4g}, which a threshold set on {rows:,} rows can reach by chance"
    return planned, f"{planned:.4g}, twice that rate"
