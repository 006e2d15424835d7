"""Measure what a task's models are worth on each fold of the training rows, each by a model that has not seen it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kfp_edge.errors import DataError
from kfp_edge.metrics.catalog import find_metric, format_metric
from kfp_edge.ml.arrays import Int64s
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.threads import limit_threads
from kfp_edge.model_selection.folds import Fold, Folds, make_folds
from kfp_edge.model_selection.record import CrossValidation, summarize_folds
from kfp_edge.tasks.registry import task_of
from kfp_edge.tasks.task import TrainingOptions

#: Folds that have to be measured at least: one is no better than the held-out rows.
_MIN_MEASURED = 2


@dataclass(frozen=True)
class FoldResult:
    """What was measured on one fold, or why nothing could be."""

    metrics: dict[str, float]
    #: How many rows it was measured on for each that the model was fitted on.
    test_ratio: float
    problem: str = ""


def cross_validate(
    data: Dataset, options: TrainingOptions, count: int, report: Callable[[str], None] = print
) -> CrossValidation:
    """Fit and measure a model for each fold of the training rows, with the same result on any number of processors.

    Args:
        data: The training rows.
        options: How the models are fitted.
        count: The number of folds.
        report: Takes a line for each fold.

    Raises:
        DataError: the rows cannot be divided into so many folds, or fewer than two of them could be measured.
        ParameterError: an option is out of range.
    """
    return measure_all_folds(data, make_folds(data, count, options.seed), options, report)


def measure_all_folds(
    data: Dataset, folds: Folds, options: TrainingOptions, report: Callable[[str], None]
) -> CrossValidation:
    """Fit and measure a model for each fold, report each with a line, and sum them up.

    Raises:
        DataError: fewer than two folds could be measured.
    """
    results = []
    for number, result in enumerate(measure_folds(data, folds, options), start=1):
        report(f"fold {number} of {len(folds.folds)}: {result.problem or _describe(result, data)}")
        results.append(result)
    return summarize(folds, results)


def measure_folds(data: Dataset, folds: Folds, options: TrainingOptions) -> Iterator[FoldResult]:
    """Fit and measure a model for each fold, one after another, when the next one is asked for."""
    for fold in folds.folds:
        with limit_threads(data):
            result = _measure_fold(data, fold, options)
        yield result


def summarize(folds: Folds, results: Sequence[FoldResult]) -> CrossValidation:
    """Return what was measured over the folds.

    Raises:
        DataError: fewer than two folds could be measured.
    """
    measured = [result for result in results if not result.problem]
    count = len(folds.folds)
    if len(measured) < _MIN_MEASURED:
        number, problem = next((n, result.problem) for n, result in enumerate(results, start=1) if result.problem)
        raise DataError(
            f"fewer than {_MIN_MEASURED} of {count} folds could be measured; of fold {number}: "
            f"{problem.rstrip('.')}; write folds=0, or another split."
        )
    left_out = tuple(
        f"fold {number} of {count} was left out: {result.problem}"
        for number, result in enumerate(results, start=1)
        if result.problem
    )
    ratio = sum(result.test_ratio for result in measured) / len(measured)
    metrics = summarize_folds([result.metrics for result in measured], ratio)
    return CrossValidation(folds=len(measured), description=folds.description, left_out=left_out, metrics=metrics)


def _measure_fold(data: Dataset, fold: Fold, options: TrainingOptions) -> FoldResult:
    task, ratio = task_of(data), len(fold.test) / max(len(fold.train), 1)
    if not (len(fold.train) and len(fold.test)):
        return FoldResult({}, ratio, "no row is left to train or to measure on.")
    try:
        estimator = task.fit(_select(data, fold.train), options)
        rows = _select(data, fold.test)
        metrics = task.measure(task.predict(estimator, rows), rows).metrics
    except DataError as error:
        return FoldResult({}, ratio, str(error))
    return FoldResult({name: value for name, value in metrics.items() if _is_summarized(name)}, ratio)


def _describe(result: FoldResult, data: Dataset) -> str:
    """Return the metric that models are compared by, as far as it was measured."""
    names = [name for name in task_of(data).ranking_metrics if name in result.metrics] or sorted(result.metrics)
    return f"{names[0]} {format_metric(names[0], result.metrics[names[0]])}"


def _is_summarized(name: str) -> bool:
    metric = find_metric(name)
    return metric is not None and metric.has_mean


def _select(data: Dataset, rows: Int64s) -> Dataset:
    return dataclasses.replace(data, frame=data.frame.iloc[rows].reset_index(drop=True))
