"""The task of a classifier."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from kfp_edge.errors import DataError
from kfp_edge.estimators.calibration import check_calibration, takes_class_weights, with_calibration
from kfp_edge.estimators.registry import choose_estimator
from kfp_edge.metrics.catalog import Metric, MetricSubject, name_of_class
from kfp_edge.metrics.certainty import find_few_clusters, find_few_groups, find_missing_alarms
from kfp_edge.metrics.costs import read_costs
from kfp_edge.metrics.failure_alarms import add_alarm_metrics
from kfp_edge.metrics.gates import Gate, make_default_gates
from kfp_edge.metrics.intervals import find_clusters
from kfp_edge.metrics.measurement import Measurement, round_metrics
from kfp_edge.metrics.ranking import HIGHEST_P_VALUE, compute_roc
from kfp_edge.metrics.rare_labels import find_few_positives
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.bundle import OutputTensor
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.decision import Decision, read_decision, set_decision
from kfp_edge.ml.model_rows import to_model_rows
from kfp_edge.ml.onnx_model import OnnxModel, find_datatype
from kfp_edge.reports.check import Check
from kfp_edge.reports.numbers import format_share
from kfp_edge.reports.section import Section
from kfp_edge.tasks.brought import BroughtModel, StandardOutputs
from kfp_edge.tasks.classification.brought_outputs import standardize_outputs
from kfp_edge.tasks.classification.decided import check_decision, describe_decision, warn_of_false_alarms
from kfp_edge.tasks.classification.decision import choose_decision
from kfp_edge.tasks.classification.evaluation import compute_confusion, evaluate, measure_intervals
from kfp_edge.tasks.classification.predictions import ClassPredictions, to_class_labels
from kfp_edge.tasks.classification.threshold import parse_threshold
from kfp_edge.tasks.classification.weights import compute_class_weights, compute_weights, name_classes
from kfp_edge.tasks.machine_alarms import describe_machines
from kfp_edge.tasks.predictions import Predictions
from kfp_edge.tasks.task import Curves, Evaluation, MeasuredModel, Task, TrainingOptions

if TYPE_CHECKING:
    from kfp_edge.model_report.facts import ModelFacts
    from kfp_edge.reports.html import Page

_LOWEST_ROC_AUC = 0.7
_LOWER_THRESHOLD = "lower its decision threshold, where it is trained here with threshold={recall: 0.9} or with costs"


class Classification(Task):
    """Two or more classes, with the probability of each."""

    name = "classification"
    title = "classification"
    outputs = ("label", "probabilities")
    ranking_metrics = ("roc_auc",)
    compared_metrics = ranking_metrics
    headline_metric = "roc_auc"
    options = frozenset({"threshold", "calibration"})
    remedies: ClassVar[Mapping[str, str]] = {
        "quantiles": "leave it empty, or predict a number with task=regression",
        "false_alarm_rate": "ask for that of a classifier with threshold={false_alarm_rate: 0.01}",
    }

    def check_options(self, options: TrainingOptions) -> None:
        """Refuse options that no data could be used with, and calibration of an estimator of the user's own."""
        super().check_options(options)
        parse_threshold(options.threshold)
        check_calibration(options.calibration, options.estimator)

    def is_measured(self, metric: Metric, options: TrainingOptions) -> bool:
        """Return whether there are the costs that some metrics are about."""
        return read_costs(parse_threshold(options.threshold)) is not None or not metric.is_of_costs

    def simplify_options(self, options: TrainingOptions, metric: Metric) -> TrainingOptions:
        """Leave the decision threshold out where a metric depends on probabilities alone."""
        return options if metric.is_of_label else dataclasses.replace(options, threshold={})

    def fit(self, data: Dataset, options: TrainingOptions) -> Pipeline:
        """Fit a classifier, rare classes given more weight, and choose its threshold where one is asked for."""
        classes = np.unique(data.y()).tolist()
        if len(classes) < 2:
            raise DataError(f"every training row is of the class {classes[0]!r}, so that there is nothing to learn.")
        decision = choose_decision(data, options.threshold, partial(_fit_classifier, options=options))
        rows = [data]
        del data  # an estimator frees the rows before it needs memory, where the caller does not hold them either
        pipeline = _fit_classifier(rows.pop(), options)
        return pipeline if decision is None else set_decision(pipeline, decision)

    def predict(self, estimator: BaseEstimator, data: Dataset) -> ClassPredictions:
        """Run a fitted classifier, alone or at the end of a Pipeline, on the rows of `data`."""
        rows = to_model_rows(estimator, data)
        return ClassPredictions(
            estimator.predict(rows),
            estimator.predict_proba(rows),
            to_class_labels(estimator.classes_),
            positive=data.roles.positive,
            decision=read_decision(estimator),
        )

    def predict_onnx(
        self, model: OnnxModel, frame: pd.DataFrame, positive: ClassLabel | None = None
    ) -> ClassPredictions:
        """Run an ONNX classifier on rows that have the signature's columns."""
        values = model.run(model.to_input_feed(frame))
        label, probabilities = model.signature.outputs
        names = probabilities.classes or ()
        classes = names if label.datatype == "BYTES" else tuple(int(name) for name in names)
        decision = None
        if probabilities.threshold is not None and probabilities.positive is not None:
            decision = Decision(
                probabilities.threshold, classes[names.index(probabilities.positive)], probabilities.choice
            )
        return ClassPredictions(values["label"], values["probabilities"], classes, positive=positive, decision=decision)

    def measure(self, predictions: Predictions, data: Dataset) -> Measurement:
        """Measure what a classifier predicts for the rows of `data`."""
        assert isinstance(predictions, ClassPredictions)
        labels = data.y()
        metrics = round_metrics(evaluate(predictions, labels))
        intervals = measure_intervals(predictions, labels, find_clusters(data))
        positive = predictions.positive_class if len(predictions.classes) == 2 else None
        warnings = find_few_groups(intervals, data)
        if positive is not None:
            is_positive = np.asarray(labels == positive)
            warnings += find_few_positives(labels, positive) or find_few_clusters(is_positive, positive, data)
            warnings += find_missing_alarms(is_positive, predictions.label == positive, remedy=_LOWER_THRESHOLD)
        measurement = Measurement(
            metrics, intervals, positive=positive, decision=predictions.decision, warnings=tuple(warnings)
        )
        measurement = warn_of_false_alarms(measurement)
        return add_alarm_metrics(measurement, data, np.asarray(predictions.label == positive))

    def compute_curves(self, predictions: Predictions, data: Dataset) -> Curves | None:
        """Return the ROC curve of two classes and the confusion matrix; None where all labels are equal."""
        assert isinstance(predictions, ClassPredictions)
        labels = data.y()
        if len(np.unique(labels)) < 2:
            return None
        roc = None
        if len(predictions.classes) == 2:
            roc = compute_roc(labels == predictions.positive_class, predictions.ranking_score)
        return Curves(roc, compute_confusion(predictions, labels))

    def find_default_gates(self, predictions: Predictions) -> list[Gate]:
        """Require that the model ranks and predicts the classes better than chance."""
        assert isinstance(predictions, ClassPredictions)
        classes = len(predictions.classes)
        recall = [("recall", ">", 0.0)] if classes == 2 else []
        return make_default_gates(
            ("roc_auc", ">=", _LOWEST_ROC_AUC),
            ("balanced_accuracy", ">", 1 / classes),
            *recall,
            ("roc_auc_p_value", "<=", HIGHEST_P_VALUE),
        )

    def standardize_outputs(self, model: BroughtModel) -> StandardOutputs:
        """Give a model that was trained elsewhere the outputs of this task."""
        return standardize_outputs(model, self.outputs)

    def check_rates(self, model: MeasuredModel) -> list[Check]:
        """Compare what was measured at the threshold with what it was chosen for."""
        return check_decision(model)

    def describe_outputs(
        self, proto: onnx.ModelProto, data: Dataset, classes: Sequence[ClassLabel], threshold: float | None
    ) -> tuple[OutputTensor, ...]:
        """Return the label, shape [-1], and the probabilities, shape [-1, classes]."""
        names = tuple(str(label) for label in classes)
        return (
            OutputTensor(name="label", datatype=find_datatype(proto, "label"), shape=(-1,), classes=names),
            OutputTensor(
                name="probabilities",
                datatype=find_datatype(proto, "probabilities"),
                shape=(-1, len(classes)),
                classes=names,
            ),
        )

    def add_figures(self, page: "Page", data: Dataset, evaluation: Evaluation, options: TrainingOptions) -> None:
        """Add curves, confusion matrix, permutation importance, probabilities and calibration."""
        from kfp_edge.tasks.classification.figures import add_figures

        add_figures(page, data, evaluation, options)

    def find_positive_class(self, data: Dataset, measurement: Measurement) -> ClassLabel | None:
        """Return the positive class of two."""
        return measurement.positive

    def list_counted_classes(self, train: Dataset, test: Dataset) -> list[ClassLabel]:
        """Return every class."""
        return sorted({*train.y().tolist(), *test.y().tolist()})

    def find_subject(self, measurement: Measurement) -> MetricSubject:
        """Return whether the metrics are of two classes or of many."""
        return "many classes" if measurement.positive is None else "two classes"

    def describe_settings(self, facts: "ModelFacts") -> Iterable[tuple[str, str]]:
        """Yield the class that the metrics describe, and the threshold of the label where there is one."""
        positive = facts.measurement.positive
        if positive is None:
            classes = facts.train.frame[facts.train.roles.target].nunique()
            yield "positive class", f"none: there are {classes:,} classes"
        else:
            yield "positive class", ": ".join(filter(None, (str(positive), facts.train.preparation.positive_reason)))
        if facts.measurement.decision is not None:
            yield from describe_decision(facts.measurement.decision, facts.measurement)

    def describe_details(self, facts: "ModelFacts") -> list[Section]:
        """Return the metrics of each class."""
        header = ("class", "recall", "precision", "F1", "rows in training", "rows held out")
        sections = [Section("Metrics of each class", header, list(_describe_classes(facts)))]
        return [*sections, *describe_machines(facts.measurement, facts.test.roles)]


def _fit_classifier(data: Dataset, options: TrainingOptions) -> Pipeline:
    estimator = choose_estimator(options.estimator, Classification.name)
    hyperparameters, weights = dict(options.hyperparameters), None
    if options.calibration:
        estimator = with_calibration(estimator)
    if "class_weight" in hyperparameters:
        hyperparameters["class_weight"] = name_classes(hyperparameters["class_weight"], data.y())
    elif options.calibration:
        # weights of rows would weight the calibration too, and probabilities would be those of balanced classes
        if takes_class_weights(estimator):
            hyperparameters["class_weight"] = compute_class_weights(data.y())
    else:
        weights = compute_weights(data.y())
    rows = [data]
    del data  # an estimator frees the rows before it needs memory, where the caller does not hold them either
    return estimator.fit(rows.pop(), options.seed, hyperparameters, weights)


def _describe_classes(facts: "ModelFacts") -> Iterable[tuple[str, ...]]:
    counts = [pd.Series(part.y()).value_counts() for part in (facts.train, facts.test)]
    for label in sorted(set(counts[0].index) | set(counts[1].index)):
        yield (
            str(label),
            *(facts.format_metric(name_of_class(metric, label)) for metric in ("recall", "precision", "f1")),
            *(format_share(int(count.get(label, 0)), int(count.sum())) for count in counts),
        )
