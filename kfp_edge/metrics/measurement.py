"""What is known about a model from held-out rows: metrics, their intervals, events, and what a reviewer should know."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kfp_edge.metrics.catalog import find_metric
from kfp_edge.metrics.events import EventCount
from kfp_edge.metrics.intervals import Interval
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.decision import Decision


@dataclass(frozen=True)
class MachineAlarms:
    """What the alarms of one machine are worth where labels say what fails within a horizon; "" stands for all rows."""

    group: ClassLabel
    failures: int
    #: How long before a failure its first alarm was, of each failure with one, in hours or units of the time column.
    lead_times: tuple[float, ...]
    false_alarms: int
    #: How long the machine was observed without a failure within the horizon; 0 where times are no timestamps.
    weeks: float

    @property
    def detected(self) -> int:
        """The failures before which there was an alarm."""
        return len(self.lead_times)


@dataclass(frozen=True)
class Measurement:
    """Metrics on held-out rows, by name; `intervals` has the 95 % intervals of some of them.

    `positive` is the class that the metrics of two classes describe; None for more classes and for detectors. `events`
    has the events of each group, of a detector with labels; `machines` what the alarms of each machine are worth.
    """

    metrics: dict[str, float]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    events: tuple[EventCount, ...] = ()
    machines: tuple[MachineAlarms, ...] = ()
    positive: ClassLabel | None = None
    #: Above which probability of which class the label of two classes is that class; None where the likelier one is.
    decision: Decision | None = None
    #: What lowers the trust in these numbers, each in one sentence.
    warnings: tuple[str, ...] = ()
    #: How they were measured, each in one sentence.
    notes: tuple[str, ...] = ()


def round_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics with six digits after the point, or six in all where they are in the units of the target."""
    return {name: _round(name, float(value)) for name, value in metrics.items()}


def _round(name: str, value: float) -> float:
    metric = find_metric(name)
    rounded = float(f"{value:.6g}") if metric is not None and metric.is_in_units else round(value, 6)
    return rounded + 0.0  # without the sign of a negative zero
