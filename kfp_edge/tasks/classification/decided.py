"""What was asked of the threshold of a classifier, and what held-out rows show: in words, and as a check."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from kfp_edge.metrics.catalog import format_metric
from kfp_edge.metrics.certainty import find_many_false_alarms
from kfp_edge.metrics.costs import read_costs
from kfp_edge.metrics.measurement import Measurement
from kfp_edge.metrics.threshold_reason import describe_reason
from kfp_edge.ml.decision import Decision
from kfp_edge.reports.check import Check
from kfp_edge.reports.numbers import format_number
from kfp_edge.tasks.task import MeasuredModel

#: Machines that differ or drift a little reach this multiple of a rate asked for, as for detectors.
_MAX_RATE_RATIO = 2.0
#: What to ask of a threshold with many false alarms in place of what was asked.
_REMEDIES = {
    "recall": "ask threshold for a lower recall, for a false_alarm_rate or for costs",
    "missed_cost": "check the costs in threshold, which make a missed positive so expensive",
    "probability": "give threshold a higher probability",
}


def describe_decision(decision: Decision, measurement: Measurement) -> Iterable[tuple[str, str]]:
    """Yield the threshold with its reason, and what was expected and measured at it, as rows of a table."""
    choice = decision.choice
    origin = f", on {choice.origin}" if choice is not None and choice.origin else ""
    threshold = f"{decision.threshold:.6g} for class {decision.positive}: {describe_reason(choice)}{origin}"
    yield "decision threshold", threshold
    for metric, expected in ({} if choice is None else choice.expected).items():
        yield (
            f"{metric} at the threshold",
            f"{format_metric(metric, expected)} expected, {_describe(metric, measurement, ' measured')}",
        )


def warn_of_false_alarms(measurement: Measurement) -> Measurement:
    """Return a measurement with a warning if a threshold that was chosen here raises an alarm in many rows."""
    decision = measurement.decision
    if decision is None or decision.choice is None or decision.positive != measurement.positive:
        return measurement
    remedy = next((remedy for name, remedy in _REMEDIES.items() if name in decision.choice.asked), "")
    rate = measurement.metrics.get("false_alarm_rate")
    warnings = find_many_false_alarms(rate, describe_reason(decision.choice), remedy) if remedy else []
    return dataclasses.replace(measurement, warnings=(*measurement.warnings, *warnings))


def check_decision(model: MeasuredModel) -> list[Check]:
    """Require of a threshold that held-out rows do not contradict what it was chosen for, unless a gate is named.

    The 95 % interval of the recall has to reach the one asked for, and that of the false-alarm rate has to begin at no
    more than twice the one asked for; a cost has to begin below that of raising alarms always or never.
    """
    gates, measurement = model.gates, model.measurement
    decision = measurement.decision
    if decision is None or decision.choice is None or decision.positive != measurement.positive:
        return []
    asked = decision.choice.asked
    costs = read_costs(asked)
    if costs is not None:
        limit = costs.find_cost_without_model(np.asarray(model.test_data.y() == decision.positive))
        return _check(gates, measurement, "cost_per_row", limit, "the cost of raising alarms always, or never")
    if "false_alarm_rate" in asked:
        limit = _MAX_RATE_RATIO * asked["false_alarm_rate"]
        return _check(gates, measurement, "false_alarm_rate", limit, "twice the rate asked for with threshold")
    if "recall" in asked and "recall" in measurement.intervals and not _is_named("recall", gates):
        reached = measurement.intervals["recall"].high >= asked["recall"]
        required = f"a 95 % interval that reaches {asked['recall']:g}, as asked for with threshold"
        return [Check("gate recall at the threshold", reached, _describe("recall", measurement), required)]
    return []


def _check(
    gates: Mapping[str, object], measurement: Measurement, metric: str, limit: float, reason: str
) -> list[Check]:
    if metric not in measurement.intervals or _is_named(metric, gates):
        return []
    required = f"a 95 % interval that begins at or below {format_number(limit)}, {reason}"
    is_met = measurement.intervals[metric].low <= limit
    return [Check(f"gate {metric} at the threshold", is_met, _describe(metric, measurement), required)]


def _is_named(metric: str, gates: Mapping[str, object]) -> bool:
    return any(name == metric or name.startswith(f"{metric}(") for name in gates)


def _describe(metric: str, measurement: Measurement, verb: str = "") -> str:
    if metric not in measurement.metrics:
        return "not measured"
    interval = measurement.intervals.get(metric)
    certainty = f" (95 % interval {interval})" if interval else ""
    return f"{format_metric(metric, measurement.metrics[metric])}{verb}{certainty}"
