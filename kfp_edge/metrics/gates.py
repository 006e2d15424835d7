"""Quality gates: the limits that metrics on held-out rows must reach.

A gate names any metric of `kfp_edge.metrics.catalog`; a new gate metric is a new metric there.
"""

import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kfp_edge.errors import ParameterError
from kfp_edge.metrics.catalog import METRICS, Direction, Metric, find_metric, format_metric, name_of_class
from kfp_edge.metrics.measurement import Measurement
from kfp_edge.ml.class_names import is_name_of
from kfp_edge.reports.check import Check
from kfp_edge.reports.numbers import format_number
from kfp_edge.suggestions import suggest

_OPERATORS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
_WORDS = {">=": "at least", ">": "above", "<=": "at most", "<": "below"}
_LIMIT = re.compile(r"(?P<operator>>=|<=|>|<)?\s*(?P<number>[^\s%<>=]+)\s*(?P<percent>%)?")
_EXAMPLES = 'write a number, or a string such as ">=0.95" or "<=0.001", or "off"'
#: A detector that ranks rows so well has scores that tell anomalous rows from normal ones.
_GOOD_ROC_AUC = 0.7
#: The limit that switches a default gate off; KFP passes no null.
_OFF = "off"


@dataclass(frozen=True)
class Gate:
    """The limit of one metric on held-out rows; `operator` is one of >=, >, <= and <."""

    metric: str
    operator: str
    limit: float
    #: Whether nobody named it.
    is_default: bool = False

    @property
    def requirement(self) -> str:
        """What is required, in words."""
        return f"{_WORDS[self.operator]} {self.limit:g}{' by default' if self.is_default else ''}"

    def is_met(self, value: float) -> bool:
        """Return whether a measured value is within the limit."""
        return bool(_OPERATORS[self.operator](value, self.limit))


def parse_gates(gates: Mapping[str, object], task: str = "") -> tuple[Gate, ...]:
    """Parse `{metric: limit}`, sorted by metric; a limit of "off" switches a default gate off, without a gate.

    A limit is a number, which is the lowest value of a metric of which higher values are better and else the highest
    one, or a string: a number, a percentage, or either of them after `>=`, `>`, `<=` or `<`.

    Args:
        gates: The limits by metric.
        task: The task of the model; "" if it is not known.

    Raises:
        ParameterError: there is no such metric or another task has it, or the limit is no number, outside the metric's
            range, or in the direction that is worse.
    """
    parsed = [_parse_gate(name, limit, task) for name, limit in gates.items()]
    return tuple(sorted((gate for gate in parsed if gate is not None), key=lambda gate: gate.metric))


def _parse_gate(name: object, limit: object, task: str) -> Gate | None:
    metric = find_metric(name) if isinstance(name, str) else None
    if metric is None:
        raise ParameterError(f"the gate {name!r} names no metric; {_suggest_metric(str(name), task)}")
    if isinstance(limit, str) and limit.strip().lower() == _OFF:
        return None
    _check_task(str(name), metric, task)
    sign, number = _parse_limit(str(name), limit)
    if not metric.low <= number <= metric.high:
        raise ParameterError(f"the gate {name} is {limit!r}, but {metric.name} is {_describe_range(metric, number)}")
    if (sign, number) in ((">", metric.high), ("<", metric.low)):
        raise ParameterError(f"the gate {name} is {limit!r}, which no model reaches; {_describe_reach(metric, sign)}")
    best = "<=" if metric.direction is Direction.LOWER else ">="
    if sign and sign[0] != best[0] and not metric.has_gates_both_ways:
        remedy = best + str(limit).strip().removeprefix(sign).strip()
        raise ParameterError(f"the gate {name} is {limit!r}, but {metric.direction}; write {remedy!r}.")
    return Gate(str(name), sign or best, number)


def _check_task(name: str, metric: Metric, task: str) -> None:
    if not task:
        return
    if task not in metric.tasks:
        raise ParameterError(f"the gate {name} is measured for {list_tasks(metric.tasks)} only.")
    if name != metric.name and task not in metric.class_tasks:
        raise ParameterError(
            f"the gate {name} is measured for {list_tasks(metric.class_tasks)} only; name {metric.name}."
        )


def list_tasks(tasks: Iterable[str]) -> str:
    """Return tasks as the parameter `task` gives them, such as `task=classification and task=anomaly`."""
    return " and ".join(f"task={task}" for task in tasks)


def _parse_limit(name: str, limit: object) -> tuple[str, float]:
    """Return the operator, "" where there is none, and the number."""
    if isinstance(limit, int | float) and not isinstance(limit, bool):
        sign, number = "", float(limit)
    elif isinstance(limit, str) and (match := _LIMIT.fullmatch(limit.strip())):
        sign, number = match["operator"] or "", _to_float(match["number"]) / (100 if match["percent"] else 1)
    else:
        sign, number = "", math.nan
    if math.isnan(number):
        raise ParameterError(f"the gate {name} is {limit!r}, which is no limit; {_EXAMPLES}.")
    return sign, number


def _to_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _describe_range(metric: Metric, limit: float) -> str:
    if math.isinf(metric.low):
        return f"never above {metric.high:g}."
    if math.isinf(metric.high):
        return f"never below {metric.low:g}."
    hint = f"; did you mean {limit:g}%?" if metric.high < limit <= 100 * metric.high else "."
    return f"between {metric.low:g} and {metric.high:g}{hint}"


def _describe_reach(metric: Metric, sign: str) -> str:
    best = f"{metric.high:g}" if sign == ">" else f"{metric.low:g}"
    return f"write '{sign}={best}' for the {'highest' if sign == '>' else 'lowest'} value there is."


def _suggest_metric(name: str, task: str) -> str:
    known = [metric.name for metric in METRICS.values() if not task or task in metric.tasks]
    base, bracket, label = name.partition("(")
    similar = suggest(base.strip().lower(), known)
    names_no_class = bool(bracket) and not label.strip(") ")
    if similar and not names_no_class and (not bracket or METRICS[similar].has_classes):
        return f"did you mean {similar}{bracket}{label}?"
    if bracket:
        per_class = ", ".join(f"{metric.name}(CLASS)" for metric in METRICS.values() if metric.has_classes)
        return f"of one class there are {per_class}."
    return f"name one of {', '.join(known)}."


def select_gates(gates: Mapping[str, object], defaults: Iterable[Gate], measurement: Measurement) -> tuple[Gate, ...]:
    """Return the named gates and, for all other metrics that were measured, the default gates of the task.

    Raises:
        ParameterError: a gate is not valid.
    """
    named = {name_with_class(name, measurement) for name in gates}
    for name in gates:
        named |= set(METRICS[name].replaces) if name in METRICS else set()
    unnamed = [
        gate
        for gate in defaults
        if gate.metric in measurement.metrics and name_with_class(gate.metric, measurement) not in named
    ]
    return tuple(sorted((*parse_gates(gates), *unnamed), key=lambda gate: gate.metric))


def check_limits(champion_margin: float, max_latency_ms: float) -> None:
    """Check the limits of `verify` that are not gates.

    Raises:
        ParameterError: the margin is negative, or no latency is that low.
    """
    if not champion_margin >= 0:
        raise ParameterError(f"champion_margin is {champion_margin:g}; give 0, or how much worse a metric may be.")
    if not max_latency_ms > 0:
        raise ParameterError(f"max_latency_ms is {max_latency_ms:g}; give milliseconds above 0.")


def check_gates(measurement: Measurement, gates: Iterable[Gate]) -> list[Check]:
    """Require every metric with a gate to be within its limit.

    Raises:
        ParameterError: a gate names a metric that was not measured.
    """
    return [_check_gate(measurement, gate) for gate in gates]


def _check_gate(measurement: Measurement, gate: Gate) -> Check:
    metrics = measurement.metrics
    if gate.metric not in metrics:
        raise _not_measured(gate.metric, metrics)
    interval = measurement.intervals.get(gate.metric)
    measured = format_metric(gate.metric, metrics[gate.metric]) + (f" (95 % interval {interval})" if interval else "")
    name = f"gate {name_with_class(gate.metric, measurement)}"
    remedy = _find_remedy(gate.metric, metrics)
    return Check(name, gate.is_met(metrics[gate.metric]), measured, gate.requirement, remedy)


def _find_remedy(metric: str, metrics: Mapping[str, float]) -> str:
    """Return what to do about a detector without an alarm in any event, where only its threshold is too high."""
    if metric != "event_recall" or metrics[metric] > 0 or metrics.get("roc_auc", 0.0) < _GOOD_ROC_AUC:
        return ""
    return (
        f"the scores rank anomalous rows above normal ones, roc_auc {format_number(metrics['roc_auc'])}, but none of "
        "them is above the threshold: train with a higher false_alarm_rate"
    )


def name_as_measured(gates: Mapping[str, object], metrics: Mapping[str, float]) -> dict[str, object]:
    """Return the gates by the names of metrics as measured: `recall(true)` is `recall(1)` where classes are 0 and 1."""
    return {_name_as_measured(name, metrics): limit for name, limit in gates.items()}


def _name_as_measured(name: str, metrics: Mapping[str, float]) -> str:
    metric, bracket, asked = name.removesuffix(")").partition("(")
    if not bracket or name in metrics:
        return name
    for measured in metrics:
        label = measured.removeprefix(f"{metric}(").removesuffix(")")
        if label != measured and label.removeprefix("-").isdecimal() and is_name_of(asked, int(label)):
            return measured
    return name


def _not_measured(name: str, metrics: Mapping[str, float]) -> ParameterError:
    return ParameterError(f"the gate {name!r} names a metric that was not measured; {_suggest_measured(name, metrics)}")


def name_with_class(metric: str, measurement: Measurement) -> str:
    """Return the name of a metric as a gate names it for the positive class, such as `recall(Fail)` for `recall`.

    Metrics that have no such name are returned as they are.
    """
    if measurement.positive is None or metric not in METRICS or not METRICS[metric].has_classes:
        return metric
    return name_of_class(metric, measurement.positive)


def _suggest_measured(name: str, metrics: Mapping[str, float]) -> str:
    base, _, label = name.removesuffix(")").partition("(")
    of_labels = {key[len(base) + 1 : -1]: key for key in sorted(metrics) if key.startswith(f"{base}(")}
    if of_labels:
        similar = suggest(label, of_labels)
        return f"did you mean {of_labels[similar]}?" if similar else f"measured are {', '.join(of_labels.values())}."
    if base in METRICS and METRICS[base].needs:
        return f"it needs {METRICS[base].needs}."
    if metrics.keys() == {"alarm_rate"}:
        return "without labels there is alarm_rate only; name the label column in target."
    return f"the held-out rows do not define it, only {', '.join(sorted(metrics))}."


def make_default_gates(*limits: tuple[str, str, float]) -> list[Gate]:
    """Return gates that nobody named: metric, operator and limit of each."""
    return [Gate(metric, operator, round(limit, 6), is_default=True) for metric, operator, limit in limits]
