"""Quality gates: the limits that metrics on held-out rows must reach.

A gate names any metric of `kfp_edge.ml.metrics`; a new gate metric is a new metric there.
"""

import difflib
import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kfp_edge.errors import ParameterError
from kfp_edge.ml.measurement import Measurement
from kfp_edge.ml.metrics import METRICS, Direction, Metric, find_metric
from kfp_edge.reports.check import Check
from kfp_edge.reports.html import format_number

_OPERATORS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
_WORDS = {">=": "at least", ">": "above", "<=": "at most", "<": "below"}
_LIMIT = re.compile(r"(?P<operator>>=|<=|>|<)?\s*(?P<number>[^\s%<>=]+)\s*(?P<percent>%)?")
_EXAMPLES = 'write a number, or a string such as ">=0.95" or "<=0.001"'


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


def parse_gates(gates: Mapping[str, object]) -> tuple[Gate, ...]:
    """Parse `{metric: limit}`, sorted by metric; a limit of None switches a default gate off and gives no gate.

    A limit is a number, which is the lowest value of a metric of which higher values are better and else the highest
    one, or a string: a number, a percentage, or either of them after `>=`, `>`, `<=` or `<`.

    Raises:
        ParameterError: there is no such metric, or the limit is no number or outside the metric's range.
    """
    parsed = [_parse_gate(name, limit) for name, limit in gates.items()]
    return tuple(sorted((gate for gate in parsed if gate is not None), key=lambda gate: gate.metric))


def _parse_gate(name: object, limit: object) -> Gate | None:
    metric = find_metric(name) if isinstance(name, str) else None
    if metric is None:
        raise ParameterError(f"the gate {name!r} names no metric; {_suggest_metric(str(name))}")
    if limit is None:
        return None
    sign, number = _parse_limit(str(name), limit)
    if not metric.low <= number <= metric.high:
        raise ParameterError(f"the gate {name} is {limit!r}, but {metric.name} is {_describe_range(metric, number)}")
    if not sign:
        sign = "<=" if metric.direction is Direction.LOWER else ">="
    return Gate(str(name), sign, number)


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
    if math.isinf(metric.high):
        return f"never below {metric.low:g}."
    hint = f"; did you mean {limit:g}%?" if metric.high < limit <= 100 * metric.high else "."
    return f"between {metric.low:g} and {metric.high:g}{hint}"


def _suggest_metric(name: str) -> str:
    base, bracket, label = name.partition("(")
    similar = difflib.get_close_matches(base.strip().lower(), METRICS, 1)
    if similar and (not bracket or METRICS[similar[0]].has_classes):
        return f"did you mean {similar[0]}{bracket}{label}?"
    if bracket:
        per_class = ", ".join(f"{metric.name}(CLASS)" for metric in METRICS.values() if metric.has_classes)
        return f"of one class there are {per_class}."
    return f"name one of {', '.join(METRICS)}."


def check_gates(measurement: Measurement, gates: Iterable[Gate]) -> list[Check]:
    """Require every metric with a gate to be within its limit.

    Raises:
        ParameterError: a gate names a metric that was not measured.
    """
    return [_check_gate(measurement, gate) for gate in gates]


def _check_gate(measurement: Measurement, gate: Gate) -> Check:
    metrics = measurement.metrics
    if gate.metric not in metrics:
        raise ParameterError(
            f"the gate {gate.metric!r} names a metric that was not measured; {_suggest_measured(gate.metric, metrics)}"
        )
    interval = measurement.intervals.get(gate.metric)
    measured = format_number(metrics[gate.metric]) + (f" (95 % interval {interval})" if interval else "")
    name = f"gate {gate.metric}"
    if measurement.positive is not None and METRICS.get(gate.metric, METRICS["accuracy"]).is_of_positive:
        name += f" of {measurement.positive}"
    return Check(name, gate.is_met(metrics[gate.metric]), measured, gate.requirement)


def _suggest_measured(name: str, metrics: Mapping[str, float]) -> str:
    similar = difflib.get_close_matches(name, metrics, 1, cutoff=0.75)
    if similar:
        return f"did you mean {similar[0]}?"
    return f"name one of {', '.join(sorted(metrics))}, or give ingest the labels it needs."
