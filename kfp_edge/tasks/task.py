"""What a task is: everything in which classification and anomaly detection differ, in one object for each.

A new task is one more package beside `classification`, and one more entry in `registry.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, ClassVar

import onnx
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from kfp_edge.errors import ParameterError
from kfp_edge.estimators.estimator import Hyperparameters
from kfp_edge.estimators.registry import AUTO, choose_estimator
from kfp_edge.estimators.trial_fit import check_combination
from kfp_edge.metrics.catalog import Metric, MetricSubject
from kfp_edge.metrics.gates import Gate
from kfp_edge.metrics.measurement import Measurement
from kfp_edge.ml.arrays import ClassLabel, Labels
from kfp_edge.ml.bundle import OutputTensor, TaskName
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.reports.check import Check
from kfp_edge.tasks.brought import BroughtModel, StandardOutputs
from kfp_edge.tasks.predictions import Predictions

if TYPE_CHECKING:
    import pandas as pd
    from kfp.dsl import ClassificationMetrics

    from kfp_edge.model_report.facts import ModelFacts
    from kfp_edge.reports.html import Page
    from kfp_edge.reports.section import Section


@dataclass(frozen=True)
class TrainingOptions:
    """The parameters of `train`."""

    #: The same data and seed give the same model.
    seed: int = 0
    #: The share of normal rows that may raise an alarm; for detectors only.
    false_alarm_rate: float = 0.001
    #: Whether the threshold of a detector is set; its scores are the same without.
    sets_threshold: bool = True
    #: The levels of the quantiles that are predicted too; for regression only.
    quantiles: tuple[float, ...] = ()
    #: What the decision threshold of two classes is chosen for, such as `{"recall": 0.9}`; empty for none.
    threshold: Mapping[str, object] = field(default_factory=dict)
    #: `sigmoid`, or "" for probabilities as the estimator gives them; for classifiers only.
    calibration: str = ""
    #: What is fitted: the name of an estimator of `kfp_edge.estimators`, `auto`, or one of scikit-learn, unfitted.
    estimator: str | BaseEstimator = AUTO
    #: Its hyperparameters where they are not the default ones, by name.
    hyperparameters: Hyperparameters = field(default_factory=dict)
    #: Those of the models of `quantiles`; None where they are the same.
    quantile_hyperparameters: Hyperparameters | None = None


_DEFAULTS = TrainingOptions()
#: The options that every task has.
_COMMON_OPTIONS = frozenset({"seed", "estimator", "hyperparameters", "sets_threshold"})


@dataclass(frozen=True)
class Curves:
    """The curves that Kubeflow Pipelines draws.

    `roc` is (false positive rate, true positive rate, thresholds), each of at most 200 points, or None; `confusion` is
    (class names, matrix[true][predicted]), of two classes the positive one last.
    """

    roc: tuple[list[float], list[float], list[float]] | None
    confusion: tuple[list[str], list[list[int]]]

    def log_to(self, artifact: "ClassificationMetrics") -> None:
        """Log the curves to an artifact of Kubeflow Pipelines."""
        if self.roc is not None:
            artifact.log_roc_curve(*self.roc)
        artifact.log_confusion_matrix(*self.confusion)


@dataclass(frozen=True)
class Evaluation:
    """A fitted model, its predictions on held-out rows, and what was measured on them; `curves` as far as there are."""

    estimator: Pipeline
    predictions: Predictions
    measurement: Measurement
    curves: Curves | None

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by name."""
        return self.measurement.metrics


@dataclass(frozen=True)
class MeasuredModel:
    """A model's answers for the held-out rows, what was measured of them, and what was asked of the model."""

    predictions: Predictions
    measurement: Measurement
    train_data: Dataset
    test_data: Dataset
    #: The gates that the user names, by metric.
    gates: Mapping[str, object] = field(default_factory=dict)
    #: The share of normal rows that a detector was asked to raise an alarm in at most.
    false_alarm_rate: float = TrainingOptions.false_alarm_rate
    #: Whether it was trained elsewhere.
    is_brought: bool = False


class Task(ABC):
    """A kind of model, from its target to its plots. A task has no state; `registry.py` has the only object of each."""

    name: ClassVar[TaskName]
    #: What the model is for, in words.
    title: ClassVar[str]
    #: Names of the output tensors of a model, in their order.
    outputs: ClassVar[tuple[str, ...]]
    #: Metrics by which tuning compares trials where nobody names any: the first one that was measured.
    ranking_metrics: ClassVar[tuple[str, ...]]
    #: Metrics by which a model is compared with the champion where nobody names any: the first one that was measured.
    compared_metrics: ClassVar[tuple[str, ...]]
    #: The metric that says most about a model to a person; a fleet is sorted by it.
    headline_metric: ClassVar[str]

    #: The options that this task has and not every other one, each by its name in `TrainingOptions`.
    options: ClassVar[frozenset[str]] = frozenset()
    #: What to write in place of an option that this task does not have, by its name.
    remedies: ClassVar[Mapping[str, str]] = {}

    def check_options(self, options: TrainingOptions) -> None:
        """Refuse options that no data could be used with: out of range, of another task, or not working together.

        Raises:
            ParameterError: with the first one.
        """
        for name in self.list_unused(options):
            remedy = self.remedies.get(name, "leave it empty")
            raise ParameterError(f"{name} is given, which task={self.name} does not use; {remedy}.")
        estimator = choose_estimator(options.estimator, self.name)
        hyperparameters = estimator.check(options.hyperparameters)
        if isinstance(options.estimator, str):
            check_combination(estimator, hyperparameters)

    def list_unused(self, options: TrainingOptions) -> list[str]:
        """Return the names of options that are given although this task does not have them."""
        names = {each.name for each in fields(options)} - _COMMON_OPTIONS - self.options
        return sorted(name for name in names if getattr(options, name) != getattr(_DEFAULTS, name))

    def check_rate(self, false_alarm_rate: float) -> None:
        """Refuse the false-alarm rate of a model that was trained elsewhere where this task has none.

        Raises:
            ParameterError: a rate is given.
        """
        if "false_alarm_rate" not in self.options and false_alarm_rate != _DEFAULTS.false_alarm_rate:
            raise ParameterError(
                f"false_alarm_rate is given, which is that of a detector, and the task is {self.name}; leave it out."
            )

    def is_measured(self, metric: Metric, options: TrainingOptions) -> bool:
        """Return whether a model that is trained with these options has that which a metric of this task is about."""
        return True

    def simplify_options(self, options: TrainingOptions, metric: Metric) -> TrainingOptions:
        """Return options with which less is fitted, and a metric has the same value; tuning fits its trials with them.

        Args:
            options: How the model is trained.
            metric: The metric that trials are compared by.
        """
        return options

    @abstractmethod
    def fit(self, data: Dataset, options: TrainingOptions) -> Pipeline:
        """Fit a Pipeline, preprocessing included; where the caller does not hold `data`, its rows are freed early.

        Raises:
            DataError: there are too few rows, or the estimator cannot learn from them.
            ParameterError: an option is out of range, or the task has no such estimator.
        """

    def take_hyperparameters(
        self, options: TrainingOptions, chosen: Hyperparameters, metric: Metric
    ) -> TrainingOptions:
        """Return the options of a model with hyperparameters that a search chose.

        Args:
            options: The options without them.
            chosen: All that differ from the default ones, those that the user gave included.
            metric: The metric that they were chosen for.
        """
        return replace(options, hyperparameters=chosen)

    def select_fitted_rows(self, data: Dataset) -> Dataset:
        """Return the training rows that a model learns from."""
        return data

    def find_strata(self, data: Dataset) -> Labels | None:
        """Return the labels, shape [rows], of which every part of a random split has the same shares; None if none."""
        return data.y() if data.roles.target else None

    @abstractmethod
    def predict(self, estimator: BaseEstimator, data: Dataset) -> Predictions:
        """Run a fitted scikit-learn estimator on the rows of `data`."""

    @abstractmethod
    def predict_onnx(self, model: OnnxModel, frame: "pd.DataFrame", positive: ClassLabel | None = None) -> Predictions:
        """Run an ONNX model on rows that have the signature's columns.

        Args:
            model: The model.
            frame: The rows.
            positive: The class that metrics of two classes describe; None stands for the last one.

        Raises:
            DataError: a column of the signature is missing.
            ModelError: the model cannot compute with these rows.
        """

    @abstractmethod
    def measure(self, predictions: Predictions, data: Dataset) -> Measurement:
        """Measure what a model predicts for the rows of `data`.

        Raises:
            DataError: the labels are missing or do not fit the model.
            ModelError: the model's numbers are not valid.
        """

    def compute_curves(self, predictions: Predictions, data: Dataset) -> Curves | None:
        """Return the curves of held-out rows; None where the task or the labels define none."""
        return None

    @abstractmethod
    def find_default_gates(self, predictions: Predictions) -> list[Gate]:
        """Return the gates of the metrics that nobody names: a model that finds nothing is refused."""

    def check_rates(self, model: MeasuredModel) -> list[Check]:
        """Return the checks that compare what was measured with what was asked for."""
        return []

    def has_outputs(self, names: Collection[str]) -> bool:
        """Return whether output tensors of these names are those of a model for this task."""
        return set(names) == set(self.outputs)

    @abstractmethod
    def standardize_outputs(self, model: BroughtModel) -> StandardOutputs:
        """Give a model that was trained elsewhere the outputs of this task.

        Args:
            model: The model, its answers for training rows, and what the user states about it.

        Raises:
            ModelError: it cannot have these outputs; the message says what to change.
            ParameterError: what the user states does not fit the model or the data.
        """

    @abstractmethod
    def describe_outputs(
        self, proto: onnx.ModelProto, data: Dataset, classes: Sequence[ClassLabel], threshold: float | None
    ) -> tuple[OutputTensor, ...]:
        """Return the outputs of a model for its signature.

        Args:
            proto: The model; its outputs have names of which `has_outputs` is true.
            data: The training rows.
            classes: The labels of a classifier in the order of its probabilities.
            threshold: The score above which a detector raises an alarm.
        """

    def find_sample_tolerance(self, predictions: Predictions, tolerance: float) -> float:
        """Return how far the numbers of recorded samples may differ where the same model runs on another machine.

        Args:
            predictions: What the model predicts for rows such as the recorded ones.
            tolerance: How far the export's numbers may be from those of its original.
        """
        return tolerance

    def find_threshold(self, predictions: Predictions) -> float | None:
        """Return the score above which a detector raises an alarm; None for other tasks."""
        return None

    def describe_threshold_rows(self, data: Dataset, options: TrainingOptions) -> str:
        """Return which training rows set the threshold; "" where there is none."""
        return ""

    @abstractmethod
    def add_figures(self, page: "Page", data: Dataset, evaluation: Evaluation, options: TrainingOptions) -> None:
        """Add the plots of a fitted model on held-out rows to the training report."""

    def find_positive_class(self, data: Dataset, measurement: Measurement) -> ClassLabel | None:
        """Return the class whose rows are counted in reports, or None."""
        return None

    def name_rows(self, label: ClassLabel) -> str:
        """Return what rows of a label are called in a table."""
        return f"rows of class {label!r}"

    def list_counted_classes(self, train: Dataset, test: Dataset) -> list[ClassLabel]:
        """Return the classes whose rows the report of `ingest` counts."""
        return []

    @abstractmethod
    def find_subject(self, measurement: Measurement) -> MetricSubject:
        """Return what the metrics are measured of."""

    def describe_fitted_rows(self, data: Dataset) -> str:
        """Return how many training rows the model was fitted on, and what became of the others."""
        return f"fitted on {len(data.frame):,} rows"

    def name_fitted_rows(self, data: Dataset) -> str:
        """Return what the rows that the model learns from are called."""
        return "training rows"

    def describe_settings(self, facts: "ModelFacts") -> Iterable[tuple[str, str]]:
        """Yield what was asked of the model beside what was measured, as rows of a table."""
        return ()

    def describe_details(self, facts: "ModelFacts") -> "list[Section]":
        """Return the tables that only this task has."""
        return []
