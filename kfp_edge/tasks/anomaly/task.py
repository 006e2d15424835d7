"""The task of an anomaly detector."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from kfp_edge.metrics.catalog import Metric, MetricSubject
from kfp_edge.metrics.certainty import find_few_groups, find_missing_alarms
from kfp_edge.metrics.events import EventCount, count_events, find_rows_after_events
from kfp_edge.metrics.failure_alarms import add_alarm_metrics
from kfp_edge.metrics.gates import Gate, make_default_gates
from kfp_edge.metrics.intervals import find_clusters
from kfp_edge.metrics.measurement import Measurement, round_metrics
from kfp_edge.metrics.ranking import HIGHEST_P_VALUE, compute_roc
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.bundle import OutputTensor
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.estimators import final_estimator
from kfp_edge.ml.model_rows import to_model_rows
from kfp_edge.ml.onnx_model import OnnxModel, find_datatype
from kfp_edge.reports.check import Check
from kfp_edge.reports.numbers import format_number
from kfp_edge.reports.section import Section
from kfp_edge.tasks.anomaly.brought_outputs import standardize_outputs
from kfp_edge.tasks.anomaly.detector import fit_detector
from kfp_edge.tasks.anomaly.evaluation import count_confusion, evaluate, measure_intervals
from kfp_edge.tasks.anomaly.false_alarms import check_measured_rate
from kfp_edge.tasks.anomaly.predictions import AnomalyPredictions
from kfp_edge.tasks.anomaly.threshold_rows import (
    check_false_alarm_rate,
    choose_threshold_method,
    count_threshold_rows,
    describe_threshold_rows,
    select_normal_rows,
)
from kfp_edge.tasks.brought import BroughtModel, StandardOutputs
from kfp_edge.tasks.machine_alarms import describe_machines
from kfp_edge.tasks.predictions import Predictions
from kfp_edge.tasks.task import Curves, Evaluation, MeasuredModel, Task, TrainingOptions
from kfp_edge.wording import count_of

if TYPE_CHECKING:
    from kfp_edge.model_report.facts import ModelFacts
    from kfp_edge.reports.html import Page

#: Groups beyond these are counted together.
_MAX_GROUPS = 30
_CLEANER_ROWS = (
    "rows that set its threshold are probably anomalous, too: label them with windows or in the target, so that they "
    "are left out, or give a higher false_alarm_rate"
)


class AnomalyDetection(Task):
    """A score of each row, and a threshold above which it raises an alarm; labels are not needed."""

    name = "anomaly"
    title = "anomaly detection"
    outputs = ("label", "score")
    ranking_metrics = ("roc_auc", "false_alarm_rate")
    compared_metrics = ranking_metrics
    headline_metric = "event_recall"
    options = frozenset({"false_alarm_rate"})
    remedies: ClassVar[Mapping[str, str]] = {
        "threshold": "set that of a detector with false_alarm_rate",
        "calibration": "leave it empty: the scores of a detector are no probabilities",
        "quantiles": "leave it empty, or predict a number with task=regression",
    }

    def check_options(self, options: TrainingOptions) -> None:
        """Refuse options that no data could be used with, and a false-alarm rate that is no share."""
        super().check_options(options)
        check_false_alarm_rate(options.false_alarm_rate)

    def simplify_options(self, options: TrainingOptions, metric: Metric) -> TrainingOptions:
        """Leave the threshold unset where a metric depends on scores alone."""
        return options if metric.is_of_label else dataclasses.replace(options, sets_threshold=False)

    def fit(self, data: Dataset, options: TrainingOptions) -> Pipeline:
        """Fit a detector on normal rows, and set its threshold."""
        return fit_detector(data, options)

    def select_fitted_rows(self, data: Dataset) -> Dataset:
        """Return the normal rows."""
        return select_normal_rows(data)

    def predict(self, estimator: BaseEstimator, data: Dataset) -> AnomalyPredictions:
        """Run a fitted detector, alone or at the end of a Pipeline, on the rows of `data`."""
        score = -estimator.score_samples(to_model_rows(estimator, data))
        threshold = -float(np.ravel(final_estimator(estimator).offset_)[0])
        return AnomalyPredictions((score > threshold).astype(np.int64), score, threshold)

    def predict_onnx(
        self, model: OnnxModel, frame: pd.DataFrame, positive: ClassLabel | None = None
    ) -> AnomalyPredictions:
        """Run an ONNX detector on rows that have the signature's columns."""
        values = model.run(model.to_input_feed(frame))
        _, score = model.signature.outputs
        return AnomalyPredictions(values["label"], values["score"], score.threshold or 0.0)

    def measure(self, predictions: Predictions, data: Dataset) -> Measurement:
        """Measure what a detector predicts for the rows of `data`, with or without labels."""
        assert isinstance(predictions, AnomalyPredictions)
        labels = data.y() if data.roles.target else None
        groups, clusters = data.groups(), find_clusters(data)
        is_left_out = None
        if labels is not None:
            is_left_out = find_rows_after_events(labels, groups, data.preparation.window_rows)
        metrics = round_metrics(evaluate(predictions, labels, groups, is_left_out))
        intervals = measure_intervals(predictions, labels, groups, clusters, is_left_out)
        warnings = find_few_groups(intervals, data)
        if labels is None or is_left_out is None:
            return Measurement(metrics, intervals, warnings=tuple(warnings))
        alarms = np.asarray(predictions.label == 1)
        warnings += find_missing_alarms(np.asarray(labels == 1), alarms, remedy=_CLEANER_ROWS)
        events = tuple(count_events(labels, alarms, groups))
        notes = _describe_left_out(int(is_left_out.sum()))
        measurement = Measurement(metrics, intervals, events, warnings=tuple(warnings), notes=notes)
        return add_alarm_metrics(measurement, data, alarms)

    def compute_curves(self, predictions: Predictions, data: Dataset) -> Curves | None:
        """Return the ROC curve and the confusion matrix; None without labels, or where all of them are equal."""
        assert isinstance(predictions, AnomalyPredictions)
        if not data.roles.target or len(np.unique(data.y())) < 2:
            return None
        labels = data.y()
        return Curves(compute_roc(labels == 1, predictions.ranking_score), count_confusion(predictions, labels))

    def find_default_gates(self, predictions: Predictions) -> list[Gate]:
        """Require that the detector finds something where there are labels, and ranks better than chance."""
        return make_default_gates(
            ("event_recall", ">", 0.0),
            ("recall", ">", 0.0),
            ("roc_auc", ">=", 0.5),
            ("roc_auc_p_value", "<=", HIGHEST_P_VALUE),
        )

    def check_rates(self, model: MeasuredModel) -> list[Check]:
        """Compare the measured false-alarm rate with the one asked for."""
        return check_measured_rate(model)

    def standardize_outputs(self, model: BroughtModel) -> StandardOutputs:
        """Give a model that was trained elsewhere the outputs of this task."""
        return standardize_outputs(model, self.outputs)

    def describe_outputs(
        self, proto: onnx.ModelProto, data: Dataset, classes: Sequence[ClassLabel], threshold: float | None
    ) -> tuple[OutputTensor, ...]:
        """Return the label and the score, both of shape [-1]."""
        return (
            OutputTensor(name="label", datatype=find_datatype(proto, "label"), shape=(-1,)),
            OutputTensor(name="score", datatype=find_datatype(proto, "score"), shape=(-1,), threshold=threshold),
        )

    def find_sample_tolerance(self, predictions: Predictions, tolerance: float) -> float:
        """Return the tolerance, in the units of the largest score where that is above 1."""
        return float(tolerance * np.nanmax(np.abs(predictions.numbers), initial=1.0))

    def find_threshold(self, predictions: Predictions) -> float | None:
        """Return the score above which the detector raises an alarm."""
        assert isinstance(predictions, AnomalyPredictions)
        return predictions.threshold

    def describe_threshold_rows(self, data: Dataset, options: TrainingOptions) -> str:
        """Return which training rows set the threshold, and by which method."""
        return describe_threshold_rows(data, options.false_alarm_rate)

    def add_figures(self, page: "Page", data: Dataset, evaluation: Evaluation, options: TrainingOptions) -> None:
        """Add the score over time and its distribution."""
        from kfp_edge.tasks.anomaly.figures import add_figures

        add_figures(page, data, evaluation)

    def find_positive_class(self, data: Dataset, measurement: Measurement) -> ClassLabel | None:
        """Return 1, an anomaly, where there are labels."""
        return 1 if data.roles.target else None

    def name_rows(self, label: ClassLabel) -> str:
        """Return what rows of the label 1 are called in a table."""
        return "anomalous rows"

    def list_counted_classes(self, train: Dataset, test: Dataset) -> list[ClassLabel]:
        """Return 1, an anomaly, where there are labels."""
        return [1] if train.roles.target else []

    def find_subject(self, measurement: Measurement) -> MetricSubject:
        """Return that the metrics are of anomalies."""
        return "anomalies"

    def describe_fitted_rows(self, data: Dataset) -> str:
        """Return how many normal rows the detector was fitted on, and what became of the others."""
        used = len(self.select_fitted_rows(data).frame)
        latest = count_threshold_rows(data) if choose_threshold_method(data) == "latest" else 0
        anomalous = int((data.y() == 1).sum()) if data.roles.target else 0
        after_events = len(data.frame) - used - anomalous
        unused = [f"{anomalous:,} labelled anomalous"] if anomalous else []
        unused += [f"{after_events:,} after an event"] if after_events else []
        verb = "was" if anomalous + after_events == 1 else "were"
        remarks = [f"{' and '.join(unused)} {verb} not used"] if unused else []
        remarks += [f"the latest {latest:,} set the threshold"] if latest else []
        fitted = count_of(used - latest, "normal row" if data.roles.target else "row")
        return f"fitted on {fitted}" + (f" ({'; '.join(remarks)})" if remarks else "")

    def name_fitted_rows(self, data: Dataset) -> str:
        """Return what the rows that the detector learns from are called."""
        return "normal training rows" if data.roles.target else "training rows"

    def describe_settings(self, facts: "ModelFacts") -> Iterable[tuple[str, str]]:
        """Yield the positive class, the false-alarm rate, asked for and measured, and the threshold."""
        if facts.train.roles.target:
            reason = facts.train.preparation.positive_reason
            yield "positive class", ": ".join(filter(None, ("1 (anomalous)", reason)))
        yield "false-alarm rate", _compare_false_alarm_rates(facts)
        if facts.threshold is not None:
            origin = f", set by {facts.threshold_rows}" if facts.threshold_rows else ""
            yield "threshold of the score", f"{format_number(facts.threshold)}{origin}"

    def describe_details(self, facts: "ModelFacts") -> list[Section]:
        """Return the events of each group, if there are any."""
        events = facts.measurement.events
        if not events:
            return describe_machines(facts.measurement, facts.test.roles)
        header = (facts.test.roles.group or "rows", "events", "events with an alarm")
        note = "An event is an unbroken run of anomalous rows, of one group where there are groups."
        return [Section("Events", header, list(_describe_events(events)), note)]


def _describe_left_out(rows: int) -> tuple[str, ...]:
    if not rows:
        return ()
    return (
        f"{count_of(rows, 'row')} after an event, whose rolling windows reach into it, count neither as normal nor as "
        "anomalous: only alarm_rate counts them.",
    )


def _compare_false_alarm_rates(facts: "ModelFacts") -> str:
    metrics = facts.measurement.metrics
    has_labels = "false_alarm_rate" in metrics
    metric, rows = ("false_alarm_rate", "") if has_labels else ("alarm_rate", " in all rows, as none is labelled")
    interval = facts.measurement.intervals.get(metric)
    certainty = f" (95 % interval {interval})" if interval else ""
    return f"{facts.false_alarm_rate:g} asked for, {format_number(metrics[metric])} measured{certainty}{rows}"


def _describe_events(events: Sequence[EventCount]) -> Iterable[tuple[str, ...]]:
    """Yield a row for each group, those with the most missed events first, and one for the groups beyond."""
    counts = sorted(events, key=lambda count: (count.detected - count.events, str(count.group)))
    listed, rest = counts[:_MAX_GROUPS], counts[_MAX_GROUPS:]
    for count in listed:
        yield str(count.group) or "all", *_sum_events([count])
    if rest:
        yield f"{len(rest):,} more", *_sum_events(rest)
    if len(counts) > 1:
        yield "all", *_sum_events(counts)


def _sum_events(counts: Sequence[EventCount]) -> tuple[str, str]:
    return f"{sum(count.events for count in counts):,}", f"{sum(count.detected for count in counts):,}"
