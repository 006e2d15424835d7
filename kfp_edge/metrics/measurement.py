"""What is known about a model from held-out rows: metrics, their intervals, events, and what a reviewer should know."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kfp_edge.metrics.events import EventCount
from kfp_edge.metrics.intervals import Interval
from kfp_edge.ml.arrays import ClassLabel


@dataclass(frozen=True)
class Measurement:
    """Metrics on held-out rows, by name; `intervals` has the 95 % intervals of some of them.

    `positive` is the class that the metrics of two classes describe; None for more classes and for detectors. `events`
    has the events of each group, of a detector with labels.
    """

    metrics: dict[str, float]
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    events: tuple[EventCount, ...] = ()
    positive: ClassLabel | None = None
    #: What lowers the trust in these numbers, each in one sentence.
    warnings: tuple[str, ...] = ()
    #: How they were measured, each in one sentence.
    notes: tuple[str, ...] = ()


def round_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics with six digits after the point; more would be noise."""
    return {name: round(float(value), 6) for name, value in metrics.items()}
