"""The tasks by name, and what every task does, without asking which it is."""

import pandas as pd
from sklearn.base import BaseEstimator

from kfp_edge.errors import ParameterError
from kfp_edge.metrics.catalog import find_metric
from kfp_edge.metrics.measurement import Measurement
from kfp_edge.ml.arrays import ClassLabel
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.tasks.anomaly.task import AnomalyDetection
from kfp_edge.tasks.classification.task import Classification
from kfp_edge.tasks.predictions import Predictions
from kfp_edge.tasks.regression.task import Regression
from kfp_edge.tasks.task import Task, TrainingOptions

#: Every task by its name.
TASKS: dict[str, Task] = {task.name: task for task in (Classification(), AnomalyDetection(), Regression())}


def task_of(data: Dataset) -> Task:
    """Return the task that the data was read for."""
    return TASKS[data.roles.task]


def check_options(options: TrainingOptions, task: str) -> None:
    """Refuse options of the training that no data could be used with.

    Args:
        options: The options.
        task: The task; "" where it is not known: then those that no task could be trained with are refused.

    Raises:
        ParameterError: with the first one.
    """
    possible = [TASKS[task]] if task else [each for each in TASKS.values() if not each.list_unused(options)]
    refusals = []
    for each in possible or TASKS.values():
        try:
            each.check_options(options)
        except ParameterError as error:
            refusals.append(error)
        else:
            return
    raise refusals[0]


def check_measured(name: str, options: TrainingOptions, task: str) -> None:
    """Refuse a metric that no model has which is trained with these options.

    Args:
        name: The metric, such as `coverage`, as its parameter gives it.
        options: How the model is trained.
        task: The task; "" where it is not known, then nothing is refused.

    Raises:
        ParameterError: with what the metric needs.
    """
    metric = find_metric(name)
    if task and metric is not None and task in metric.tasks and not TASKS[task].is_measured(metric, options):
        raise ParameterError(f"{name} is not measured with these parameters: it needs {metric.needs}.")


def predict(estimator: BaseEstimator, data: Dataset) -> Predictions:
    """Run a fitted estimator, alone or at the end of a Pipeline, on the rows of `data`.

    A missing text is what it was where the estimator was trained.
    """
    return task_of(data).predict(estimator, data)


def predict_onnx(model: OnnxModel, frame: pd.DataFrame, positive: ClassLabel | None = None) -> Predictions:
    """Run an ONNX model on rows that have the signature's columns; `Task.predict_onnx` says more."""
    return TASKS[model.signature.task].predict_onnx(model, frame, positive)


def measure(predictions: Predictions, data: Dataset) -> Measurement:
    """Measure what a model predicts for the rows of `data`; `Task.measure` says more."""
    return task_of(data).measure(predictions, data)
