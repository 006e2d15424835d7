"""What is known about a model from held-out rows: metrics, their intervals, events, and what a reviewer should know."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.evaluation import evaluate
from kfp_edge.ml.events import EventCount, count_events, find_rows_after_events
from kfp_edge.ml.intervals import Interval, find_clusters, measure_intervals
from kfp_edge.ml.predictions import Predictions
from kfp_edge.ml.rare_labels import find_few_positives
from kfp_edge.wording import count_of


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


def measure_predictions(predictions: Predictions, data: Dataset) -> Measurement:
    """Measure what a model predicts for the rows of `data`.

    Raises:
        DataError: a classifier has no labels to compare with, a label is none of its classes, or all labels are
            anomalous.
        ModelError: the model gives no valid probabilities, or its scores are missing.
    """
    labels = data.y() if data.roles.target else None
    groups, clusters = data.groups(), find_clusters(data)
    is_detector = predictions.score is not None
    is_left_out = None
    if is_detector and labels is not None:
        is_left_out = find_rows_after_events(labels, groups, data.preparation.window_rows)
    metrics = evaluate(predictions, labels, groups, is_left_out)
    intervals = measure_intervals(predictions, labels, groups, clusters, is_left_out)
    if labels is None:
        return Measurement(metrics, intervals)
    if is_left_out is not None:
        events = tuple(count_events(labels, predictions.label == 1, groups))
        return Measurement(metrics, intervals, events, notes=_describe_left_out(int(is_left_out.sum())))
    positive = predictions.positive_class if len(predictions.classes) == 2 else None
    warnings = () if positive is None else tuple(find_few_positives(labels, positive))
    return Measurement(metrics, intervals, positive=positive, warnings=warnings)


def _describe_left_out(rows: int) -> tuple[str, ...]:
    if not rows:
        return ()
    return (
        f"{count_of(rows, 'row')} after an event, whose rolling windows reach into it, count neither as normal nor as "
        "anomalous: only alarm_rate counts them.",
    )
