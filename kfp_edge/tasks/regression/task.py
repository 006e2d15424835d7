"""The task of predicting a number."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from kfp_edge.estimators.estimator import Hyperparameters
from kfp_edge.estimators.registry import choose_estimator
from kfp_edge.metrics.catalog import Metric, MetricSubject
from kfp_edge.metrics.certainty import find_few_groups
from kfp_edge.metrics.gates import Gate, make_default_gates
from kfp_edge.metrics.intervals import find_clusters
from kfp_edge.metrics.measurement import Measurement, round_metrics
from kfp_edge.metrics.ranking import HIGHEST_P_VALUE
from kfp_edge.ml.arrays import ClassLabel, Labels
from kfp_edge.ml.bounds import Bounds, set_bounds
from kfp_edge.ml.bundle import OutputTensor
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.estimators import final_estimator
from kfp_edge.ml.model_rows import to_model_rows
from kfp_edge.ml.onnx_model import OnnxModel, find_datatype
from kfp_edge.ml.units import parse_units
from kfp_edge.reports.check import Check
from kfp_edge.reports.numbers import format_number
from kfp_edge.tasks.brought import BroughtModel, StandardOutputs
from kfp_edge.tasks.predictions import Predictions
from kfp_edge.tasks.regression.brought_outputs import standardize_outputs
from kfp_edge.tasks.regression.coverage import check_coverage
from kfp_edge.tasks.regression.evaluation import evaluate, measure_intervals
from kfp_edge.tasks.regression.gradient_boosting import check_options, check_rows, fit_with_quantiles
from kfp_edge.tasks.regression.predictions import NumberPredictions
from kfp_edge.tasks.regression.tenths import measure_tenths, warn_of_tenths
from kfp_edge.tasks.task import Evaluation, MeasuredModel, Task, TrainingOptions

if TYPE_CHECKING:
    from kfp_edge.model_report.facts import ModelFacts
    from kfp_edge.reports.html import Page

_QUANTILE = re.compile(r"quantile_(0\.\d+)")


def name_quantile(level: float) -> str:
    """Return the name of the output tensor with the quantile of a level, such as `quantile_0.1`."""
    return f"quantile_{np.format_float_positional(level)}"


class Regression(Task):
    """A number, and on request quantiles of it."""

    name = "regression"
    title = "regression"
    outputs = ("prediction",)
    ranking_metrics = ("r2", "mae")
    compared_metrics = ("rmse",)
    headline_metric = "r2"
    options = frozenset({"quantiles", "quantile_hyperparameters"})
    remedies: ClassVar[Mapping[str, str]] = {
        "threshold": "leave it empty: a number is no alarm",
        "false_alarm_rate": "leave it out: a number is no alarm",
        "calibration": "leave it empty: a number is no probability, and quantiles are calibrated in any case",
    }

    def check_options(self, options: TrainingOptions) -> None:
        """Refuse options that no data could be used with, and an estimator that predicts no quantiles."""
        super().check_options(options)
        check_options(choose_estimator(options.estimator, self.name), options.quantiles)

    def is_measured(self, metric: Metric, options: TrainingOptions) -> bool:
        """Return whether there are the quantiles that some metrics are about."""
        return bool(options.quantiles) or not metric.is_of_quantiles

    def simplify_options(self, options: TrainingOptions, metric: Metric) -> TrainingOptions:
        """Leave the quantiles out where a metric depends on the number alone."""
        if metric.is_of_quantiles:
            return options
        return dataclasses.replace(options, quantiles=(), quantile_hyperparameters=None)

    def take_hyperparameters(
        self, options: TrainingOptions, chosen: Hyperparameters, metric: Metric
    ) -> TrainingOptions:
        """Return the options with the hyperparameters for the number or, by a metric of quantiles, for these.

        What is best for the mean is not for a quantile near the end of the values: its trees move by a small part of
        their error in each round, and few large leaves never reach it.
        """
        if not options.quantiles:
            return dataclasses.replace(options, hyperparameters=chosen)
        if metric.is_of_quantiles:
            return dataclasses.replace(options, quantile_hyperparameters=chosen)
        return dataclasses.replace(options, hyperparameters=chosen, quantile_hyperparameters=options.hyperparameters)

    def fit(self, data: Dataset, options: TrainingOptions) -> Pipeline:
        """Fit a regressor for the number, and with quantiles one for each of them."""
        estimator = choose_estimator(options.estimator, self.name)
        check_rows(data)
        rows, bounds = [data], Bounds(data.preparation.target_low, data.preparation.target_high)
        del data  # an estimator frees the rows before it needs memory, where the caller does not hold them either
        if options.quantiles:
            return set_bounds(fit_with_quantiles(rows.pop(), estimator, options), bounds)
        return set_bounds(estimator.fit(rows.pop(), options.seed, options.hyperparameters), bounds)

    def find_strata(self, data: Dataset) -> Labels | None:
        """Return None: numbers are no classes."""
        return None

    def predict(self, estimator: BaseEstimator, data: Dataset) -> NumberPredictions:
        """Run a fitted regressor, alone or at the end of a Pipeline, on the rows of `data`."""
        rows, final = to_model_rows(estimator, data), final_estimator(estimator)
        value = np.asarray(estimator.predict(rows), dtype=np.float64).reshape(len(rows))
        if not hasattr(final, "predict_quantiles"):
            return NumberPredictions(value, np.empty((len(rows), 0)))
        prepared = estimator[:-1].transform(rows) if isinstance(estimator, Pipeline) and len(estimator) > 1 else rows
        return NumberPredictions(value, final.predict_quantiles(prepared), tuple(final.levels))

    def predict_onnx(
        self, model: OnnxModel, frame: pd.DataFrame, positive: ClassLabel | None = None
    ) -> NumberPredictions:
        """Run an ONNX regressor on rows that have the signature's columns."""
        values = model.run(model.to_input_feed(frame))
        prediction, *quantiles = model.signature.outputs
        columns = [values[tensor.name].reshape(len(frame), 1) for tensor in quantiles]
        return NumberPredictions(
            values[prediction.name].reshape(len(frame)),
            np.hstack([np.empty((len(frame), 0), np.float32), *columns]),
            tuple(tensor.quantile or 0.0 for tensor in quantiles),
            prediction.deviation,
        )

    def measure(self, predictions: Predictions, data: Dataset) -> Measurement:
        """Measure what a regressor predicts for the rows of `data`."""
        assert isinstance(predictions, NumberPredictions)
        truth, baseline = data.target_values(), data.preparation.target_median
        metrics = round_metrics(evaluate(predictions, truth, baseline))
        clusters = find_clusters(data)
        intervals = measure_intervals(predictions, truth, baseline, clusters)
        warnings = list(find_few_groups(intervals, data))
        if predictions.levels:
            warnings += warn_of_tenths(measure_tenths(predictions, truth, clusters), predictions.levels)
        return Measurement(metrics, intervals, warnings=tuple(warnings))

    def find_default_gates(self, predictions: Predictions) -> list[Gate]:
        """Require that the model predicts better than one number for all rows."""
        return make_default_gates(("r2", ">", 0.0), ("baseline_p_value", "<=", HIGHEST_P_VALUE))

    def check_rates(self, model: MeasuredModel) -> list[Check]:
        """Compare how many true values lie between the quantiles with how many should."""
        assert isinstance(model.predictions, NumberPredictions)
        return check_coverage(model.gates, model.measurement, model.predictions.levels)

    def has_outputs(self, names: Collection[str]) -> bool:
        """Return whether there is a `prediction`, and beside it nothing but quantiles such as `quantile_0.1`."""
        return "prediction" in names and all(_QUANTILE.fullmatch(name) for name in set(names) - {"prediction"})

    def standardize_outputs(self, model: BroughtModel) -> StandardOutputs:
        """Give a model that was trained elsewhere the outputs of this task, with quantiles if it has any."""
        quantiles = sorted(name for name in model.answers if _QUANTILE.fullmatch(name))
        return standardize_outputs(model, [*self.outputs, *quantiles])

    def describe_outputs(
        self, proto: onnx.ModelProto, data: Dataset, classes: Sequence[ClassLabel], threshold: float | None
    ) -> tuple[OutputTensor, ...]:
        """Return the prediction and the quantiles, ascending, all of shape [-1]."""
        target, units = data.target_values(), parse_units(data.roles.target)
        levels = {
            tensor.name: float(match[1]) for tensor in proto.graph.output if (match := _QUANTILE.fullmatch(tensor.name))
        }
        prediction = OutputTensor(
            name="prediction",
            datatype=find_datatype(proto, "prediction"),
            shape=(-1,),
            units=units,
            range=(float(target.min()), float(target.max())),
            deviation=float(target.std()),
        )
        quantiles = [
            OutputTensor(name=name, datatype=find_datatype(proto, name), shape=(-1,), quantile=level, units=units)
            for name, level in sorted(levels.items(), key=lambda item: item[1])
        ]
        return (prediction, *quantiles)

    def find_sample_tolerance(self, predictions: Predictions, tolerance: float) -> float:
        """Return the tolerance in the units of the target, and not below what float32 can hold."""
        assert isinstance(predictions, NumberPredictions)
        largest = np.float32(np.nanmax(np.abs(predictions.numbers), initial=0.0))
        return float(tolerance * (predictions.deviation or 1.0) + 2 * np.spacing(largest))

    def add_figures(self, page: "Page", data: Dataset, evaluation: Evaluation, options: TrainingOptions) -> None:
        """Add predicted against true numbers, residuals, the worst rows and permutation importance."""
        from kfp_edge.tasks.regression.figures import add_figures

        add_figures(page, data, evaluation, options.seed)

    def find_subject(self, measurement: Measurement) -> MetricSubject:
        """Return that the metrics are of numbers."""
        return "numbers"

    def describe_settings(self, facts: "ModelFacts") -> Iterable[tuple[str, str]]:
        """Yield the target of both parts, and what is predicted without a model."""
        for part, data in (("training", facts.train), ("held out", facts.test)):
            values = data.target_values()
            low, middle, high = (format_number(value) for value in (values.min(), np.median(values), values.max()))
            yield (
                f"target, {part}",
                f"{low} to {high}, median {middle}, standard deviation {format_number(values.std())}",
            )
        median = facts.test.preparation.target_median
        if median is not None:
            mae = np.abs(facts.test.target_values() - median).mean()
            yield (
                "baseline",
                f"predicting {format_number(median)}, the median of the training rows: MAE {format_number(mae)}",
            )
