"""Fit a scikit-learn Pipeline, preprocessing included, for the task of the data, and measure it on held-out rows."""

from sklearn.pipeline import Pipeline

from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.threads import limit_threads
from kfp_edge.tasks.registry import task_of
from kfp_edge.tasks.task import Evaluation, TrainingOptions


def fit(data: Dataset, options: TrainingOptions) -> Pipeline:
    """Fit the Pipeline for the data's task.

    Args:
        data: The training rows.
        options: The same data and options give the same Pipeline.

    Raises:
        DataError: there are too few rows to set a threshold.
        ParameterError: an option is out of range.
    """
    task = task_of(data)
    task.check_options(options)
    with limit_threads(data):
        rows = [data]
        del data  # a task frees the rows before it needs memory, where the caller does not hold them either
        return task.fit(rows.pop(), options)


def measure(estimator: Pipeline, data: Dataset) -> Evaluation:
    """Measure a fitted Pipeline on held-out rows."""
    task = task_of(data)
    predictions = task.predict(estimator, data)
    return Evaluation(estimator, predictions, task.measure(predictions, data), task.compute_curves(predictions, data))
