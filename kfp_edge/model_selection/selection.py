"""Choose the hyperparameters and measure how sure the metrics are, both from training rows only."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kfp_edge.errors import ParameterError
from kfp_edge.estimators.registry import choose_estimator
from kfp_edge.ml import dataset
from kfp_edge.model_selection.cross_validation import cross_validate
from kfp_edge.model_selection.folds import check_folds
from kfp_edge.model_selection.record import TrainingRecord
from kfp_edge.model_selection.searched_hyperparameters import select_space
from kfp_edge.model_selection.tuning_metric import check_tuning_metric
from kfp_edge.tasks.registry import TASKS, check_measured, task_of
from kfp_edge.tasks.task import TrainingOptions

#: Trials of one search at most.
MAX_TRIALS = 1000


@dataclass(frozen=True)
class SelectionOptions:
    """The parameters of `train` that say what is done with the training rows beside fitting one model."""

    #: The number of folds; 0 for no cross-validation, and for that of tuning.
    folds: int = 0
    #: The number of trials; 0 for no tuning.
    tune: int = 0
    #: The metric that tuning optimizes; "" for the one by which models of the task are compared.
    tune_metric: str = ""
    #: The minutes after which no trial begins; 0 for no limit.
    tune_minutes: float = 0.0


@dataclass(frozen=True)
class Selection:
    """How the model is trained, and what was found out on the way."""

    options: TrainingOptions
    record: TrainingRecord = field(default_factory=TrainingRecord)


def check_selection(options: SelectionOptions, training: TrainingOptions, task: str) -> None:
    """Refuse parameters that no data could be used with.

    Args:
        options: The parameters.
        training: How a model is trained.
        task: The task; "" where it is not known.

    Raises:
        ParameterError: a parameter is out of range, has no effect without another one, or needs one.
    """
    check_folds(options.folds)
    if not 0 <= options.tune <= MAX_TRIALS:
        raise ParameterError(
            f"tune is {options.tune}; give a number of trials from 1 to {MAX_TRIALS:,}, or 0 for none."
        )
    if not 0 <= options.tune_minutes < float("inf"):
        raise ParameterError(f"tune_minutes is {options.tune_minutes:g}; give a number above 0, or 0 for no limit.")
    dependent = {
        "tune_metric": options.tune_metric,
        "tune_minutes": f"{options.tune_minutes:g}" if options.tune_minutes else "",
    }
    for name, value in dependent.items():
        if value and not options.tune:
            raise ParameterError(f"{name} is {value}, but nothing is tuned; give a number of trials, such as tune=20.")
    if options.tune_metric:
        check_tuning_metric(options.tune_metric, task)
        check_measured(options.tune_metric, training, task)
    if options.tune and task:
        estimator = choose_estimator(training.estimator, TASKS[task].name)
        select_space(estimator, training.hyperparameters, options.tune)


def select_model(
    train_data: Path,
    training: TrainingOptions,
    options: SelectionOptions,
    report: Callable[[str], None] = print,
) -> Selection:
    """Tune and cross-validate, as far as it was asked for.

    The result is the same on any number of processors, except that of a search which the time limit ended.

    Args:
        train_data: The training rows, a file of `ingest`; it is read where they are needed.
        training: How a model is trained; its hyperparameters are kept by the search.
        options: What is asked for.
        report: Takes a line for each trial and fold.

    Raises:
        ParameterError: a parameter is out of range, or does not fit the data or the estimator.
        DataError: the rows cannot be divided into so many folds, or nothing could be measured on them.
    """
    check_selection(options, training, "")
    if not (options.folds or options.tune):
        return Selection(training)
    data = dataset.load(train_data)
    check_selection(options, training, data.roles.task)
    if not options.tune:
        measured = cross_validate(data, training, options.folds, report)
        return Selection(training, TrainingRecord(cross_validation=measured))
    with warnings.catch_warnings():
        # in a notebook without ipywidgets; Optuna's progress bar is not used
        warnings.filterwarnings("ignore", "IProgress not found")
        from kfp_edge.model_selection.tuning import DEFAULT_FOLDS, SearchOptions, tune  # imports Optuna: a second

    asked = SearchOptions(options.tune, options.tune_metric, options.folds or DEFAULT_FOLDS, options.tune_minutes)
    search = tune(data, choose_estimator(training.estimator, task_of(data).name), training, asked, report)
    return Selection(search.options, TrainingRecord(cross_validation=search.cross_validation, tuning=search.record))
