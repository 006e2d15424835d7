"""The metrics that gates, reports and comparisons use: name, direction, range and meaning of each.

A new metric is one more entry of `METRICS`, and its value one more entry in the module `evaluation` of its task.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from kfp_edge.ml.bundle import TaskName
from kfp_edge.reports.numbers import format_number

_OVER_FOLDS = re.compile(r"cv_(mean|low|high)\(.+\)")
_PER_CLASS = re.compile(r"(?P<name>\w+)\((?P<label>.+)\)")

#: What a metric is measured of.
MetricSubject = Literal["two classes", "many classes", "anomalies", "numbers"]


class Direction(StrEnum):
    """Which values of a metric are better."""

    HIGHER = "higher is better"
    LOWER = "lower is better"
    #: A count that says nothing about the model.
    NONE = ""


@dataclass(frozen=True)
class Metric:
    """A number that is measured on held-out rows; it lies between `low` and `high`, both included."""

    name: str
    direction: Direction
    description: str
    low: float = 0.0
    high: float = 1.0
    #: The tasks for which it is measured.
    tasks: tuple[TaskName, ...] = field(kw_only=True)
    #: The tasks for which it is measured for each class too, as `recall(Fail)`.
    class_tasks: tuple[TaskName, ...] = ()
    #: Whether it depends on which of two classes is the positive one.
    is_of_positive: bool = False
    #: What it means for one kind of model where that is more exact than the description of all of them.
    meanings: Mapping[MetricSubject, str] = field(default_factory=dict)
    #: Whether its gate may be a limit in either direction.
    has_gates_both_ways: bool = False
    #: Whether it is in the units of the target.
    is_in_units: bool = False
    #: Whether it is in another unit, such as that of costs or of time.
    has_other_unit: bool = False
    #: Metrics whose default gates a gate of this one replaces.
    replaces: tuple[str, ...] = ()
    #: Whether it is measured of labels, and so depends on a decision threshold.
    is_of_label: bool = False
    #: Whether it is measured of predicted quantiles.
    is_of_quantiles: bool = False
    #: Whether it is measured with the costs of mistakes.
    is_of_costs: bool = False
    #: What it is not measured without, with an example; "" where there is no such thing.
    needs: str = ""

    def describe(self, subject: MetricSubject) -> str:
        """Return what it means for one kind of model."""
        return self.meanings.get(subject, self.description)

    @property
    def has_classes(self) -> bool:
        """Whether it is measured for each class too."""
        return bool(self.class_tasks)

    @property
    def has_unit(self) -> bool:
        """Whether it changes with the unit of something: then only ratios of its values say how far they are apart."""
        return self.is_in_units or self.has_other_unit

    @property
    def has_mean(self) -> bool:
        """Whether its mean over several tests of a model says something; that of counts and of p-values does not."""
        return self.direction is not Direction.NONE and not self.name.endswith("_p_value")

    @property
    def range(self) -> str:
        """The range in words, such as `0 to 1` or `at least 0`."""
        if math.isinf(self.low):
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"


_HIGHER, _LOWER = Direction.HIGHER, Direction.LOWER
_CLASSIFICATION: tuple[TaskName, ...] = ("classification",)
_ANOMALY: tuple[TaskName, ...] = ("anomaly",)
_LABELS = _CLASSIFICATION + _ANOMALY
#: What makes labels of failures that lie ahead.
_HORIZON = "labels that are made with a horizon, such as failures=log.csv horizon=24h, and rows of which it is measured"
_REGRESSION: tuple[TaskName, ...] = ("regression",)
_QUANTILES = "a model that was trained with quantiles=[0.1, 0.9], or other such levels"

#: Every metric by its name; those of one class have its label in brackets, such as `recall(Fail)`.
METRICS = {
    metric.name: metric
    for metric in (
        Metric(
            "accuracy",
            _HIGHER,
            "share of the rows whose class is predicted right",
            is_of_label=True,
            tasks=_CLASSIFICATION,
        ),
        Metric(
            "alarm_rate",
            _LOWER,
            "share of the rows that raise an alarm",
            is_of_label=True,
            tasks=_ANOMALY,
            has_gates_both_ways=True,
        ),
        Metric(
            "average_precision",
            _HIGHER,
            "area under the precision-recall curve of the positive class",
            is_of_positive=True,
            meanings={"anomalies": "area under the precision-recall curve of the anomalous rows"},
            tasks=_LABELS,
        ),
        Metric(
            "balanced_accuracy",
            _HIGHER,
            "mean of the recall of every class; chance is 1 / number of classes",
            is_of_label=True,
            tasks=_CLASSIFICATION,
        ),
        Metric(
            "baseline_p_value",
            _LOWER,
            "probability that a model no better than the median of the training rows has such errors by chance: "
            "one-sided paired t-tests of absolute and squared errors, rows independent",
            tasks=_REGRESSION,
        ),
        Metric(
            "brier_score",
            _LOWER,
            "mean squared error of the probability of the positive class",
            tasks=_CLASSIFICATION,
        ),
        Metric(
            "calibration_error",
            _LOWER,
            "expected calibration error: distance of the mean probability of the positive class from its observed "
            "share, averaged over the rows by tenths of the probability",
            tasks=_CLASSIFICATION,
        ),
        Metric(
            "cost_per_row",
            _LOWER,
            "mean cost of a row, in the unit of missed_cost and false_alarm_cost of the parameter threshold",
            high=math.inf,
            is_of_positive=True,
            has_other_unit=True,
            is_of_label=True,
            tasks=_CLASSIFICATION,
            is_of_costs=True,
            needs="threshold={missed_cost: 2000, false_alarm_cost: 200}",
        ),
        Metric(
            "coverage",
            _HIGHER,
            "share of the rows whose true value lies between the lowest and the highest predicted quantile",
            is_of_quantiles=True,
            tasks=_REGRESSION,
            needs=_QUANTILES,
            has_gates_both_ways=True,
        ),
        Metric(
            "event_recall",
            _HIGHER,
            "share of the events in which at least one alarm was raised; of labels made with a horizon, share of the "
            "failures that were announced within it",
            meanings={"two classes": "share of the failures before which there was an alarm within the horizon"},
            is_of_label=True,
            tasks=_LABELS,
        ),
        Metric(
            "events",
            Direction.NONE,
            "number of unbroken runs of anomalous rows of one group; of labels made with a horizon, number of failures",
            high=math.inf,
            meanings={"two classes": "number of failures of a machine, of which held-out rows are within the horizon"},
            tasks=_LABELS,
            has_gates_both_ways=True,
        ),
        Metric(
            "f1",
            _HIGHER,
            "harmonic mean of precision and recall of the positive class; with more classes, its mean over them",
            class_tasks=_CLASSIFICATION,
            is_of_positive=True,
            meanings={
                "two classes": "harmonic mean of precision and recall of the positive class",
                "many classes": "harmonic mean of precision and recall of each class, averaged over the classes",
            },
            is_of_label=True,
            tasks=_CLASSIFICATION,
        ),
        Metric(
            "false_alarm_rate",
            _LOWER,
            "share of the normal rows that raise an alarm, or of the other class's that are predicted positive",
            is_of_positive=True,
            meanings={
                "two classes": "share of the rows of the other class that are predicted as the positive one",
                "anomalies": "share of the normal rows that raise an alarm",
            },
            is_of_label=True,
            tasks=(*_CLASSIFICATION, *_ANOMALY),
        ),
        Metric(
            "false_alarms_per_week",
            _LOWER,
            "alarms of one machine in a week of which no failure follows within the horizon; alarms within one horizon "
            "count once",
            high=math.inf,
            is_of_label=True,
            tasks=_LABELS,
            has_other_unit=True,
            needs=_HORIZON,
        ),
        Metric(
            "interval_width",
            _LOWER,
            "mean distance of the lowest and the highest predicted quantile, in the units of the target",
            high=math.inf,
            is_of_quantiles=True,
            tasks=_REGRESSION,
            is_in_units=True,
            needs=_QUANTILES,
        ),
        Metric(
            "log_loss",
            _LOWER,
            "mean negative logarithm of the probability of the true class",
            high=math.inf,
            tasks=_CLASSIFICATION,
        ),
        Metric(
            "mae",
            _LOWER,
            "mean absolute error, in the units of the target",
            high=math.inf,
            tasks=_REGRESSION,
            is_in_units=True,
            replaces=("baseline_p_value",),
        ),
        Metric(
            "mae_skill",
            _HIGHER,
            "1 - MAE / MAE of predicting the median of the training rows; 0 is no better than that",
            low=-math.inf,
            tasks=_REGRESSION,
            replaces=("baseline_p_value",),
        ),
        Metric(
            "median_absolute_error",
            _LOWER,
            "median of the absolute errors, in the units of the target",
            high=math.inf,
            tasks=_REGRESSION,
            is_in_units=True,
        ),
        Metric(
            "median_lead_time",
            _HIGHER,
            "median time from the first alarm within the horizon to the failure, of the failures with one: in hours, "
            "or in units of a time column of numbers",
            high=math.inf,
            is_of_label=True,
            tasks=_LABELS,
            has_other_unit=True,
            needs=_HORIZON,
        ),
        Metric(
            "pinball_loss",
            _LOWER,
            "pinball loss, averaged over the predicted quantiles, in the units of the target: lowest where each is the "
            "true quantile of its row, neither too near nor too far",
            high=math.inf,
            is_of_quantiles=True,
            tasks=_REGRESSION,
            is_in_units=True,
            needs=_QUANTILES,
        ),
        Metric(
            "precision",
            _HIGHER,
            "share of the rows predicted as the positive class, or as anomalous, that are",
            class_tasks=_CLASSIFICATION,
            is_of_positive=True,
            meanings={
                "two classes": "share of the rows predicted as the positive class that are of it",
                "anomalies": "share of the rows with an alarm that are anomalous",
            },
            is_of_label=True,
            tasks=_LABELS,
        ),
        Metric(
            "r2",
            _HIGHER,
            "coefficient of determination: share of the variance of the target that is predicted; 0 is no better than "
            "the mean of the held-out rows",
            low=-math.inf,
            tasks=_REGRESSION,
            replaces=("baseline_p_value",),
        ),
        Metric(
            "recall",
            _HIGHER,
            "share of the rows of the positive class, or of the anomalous rows, that are predicted so",
            class_tasks=_CLASSIFICATION,
            is_of_positive=True,
            meanings={
                "two classes": "share of the rows of the positive class that are predicted so",
                "anomalies": "share of the anomalous rows that raise an alarm",
            },
            is_of_label=True,
            tasks=_LABELS,
        ),
        Metric(
            "rmse",
            _LOWER,
            "root of the mean squared error, in the units of the target",
            high=math.inf,
            tasks=_REGRESSION,
            is_in_units=True,
            replaces=("baseline_p_value",),
        ),
        Metric(
            "roc_auc",
            _HIGHER,
            "area under the ROC curve of the positive class; with more classes, its mean one against the rest",
            meanings={
                "two classes": "area under the ROC curve of the positive class",
                "many classes": "area under the ROC curve of each class against the rest, averaged over the classes",
                "anomalies": "area under the ROC curve of the anomalous rows",
            },
            tasks=_LABELS,
            replaces=("roc_auc_p_value",),
        ),
        Metric(
            "roc_auc_p_value",
            _LOWER,
            "probability that a ranking by chance has such a ROC AUC: one-sided Mann-Whitney U test, rows independent",
            tasks=_LABELS,
        ),
        Metric(
            "specificity", _HIGHER, "share of the normal rows that raise no alarm", is_of_label=True, tasks=_ANOMALY
        ),
    )
}


def find_metric(name: str) -> Metric | None:
    """Return the metric of a name such as `recall` or `recall(Fail)`, or None where there is none."""
    of_class = _PER_CLASS.fullmatch(name)
    if of_class is None:
        return METRICS.get(name)
    metric = METRICS.get(of_class["name"])
    return metric if metric is not None and metric.has_classes else None


def format_metric(name: str, value: float) -> str:
    """Return the value of a metric as reports show it; a p-value of 0 is one that has only zeros after the point."""
    return "below 1e-06" if name.endswith("_p_value") and value == 0 else format_number(value)


def name_of_class(metric: str, label: object) -> str:
    """Return the name of a metric of one class, such as `recall(Fail)`."""
    return f"{metric}({label})"


def name_over_folds(statistic: str, metric: str) -> str:
    """Return the name of a metric's mean, lowest or highest value over folds, such as `cv_mean(roc_auc)`."""
    return f"cv_{statistic}({metric})"


def is_over_folds(name: str) -> bool:
    """Return whether a name is that of a metric over folds."""
    return _OVER_FOLDS.fullmatch(name) is not None
