"""Search the hyperparameters of an estimator with Optuna, measured on folds of the training rows.

Optuna's tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) draws the next hyperparameters near those that
were good. One trial follows another, so that the same data, seed and number of trials give the same choice.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from kfp_edge.errors import DataError
from kfp_edge.estimators.estimator import Estimator
from kfp_edge.estimators.hyperparameters import Dimension
from kfp_edge.metrics.catalog import find_metric, format_metric
from kfp_edge.ml.dataset import Dataset
from kfp_edge.model_selection.cross_validation import FoldResult, measure_all_folds, measure_folds, summarize
from kfp_edge.model_selection.folds import Folds, make_folds
from kfp_edge.model_selection.record import CrossValidation, TrialRecord, Tuning
from kfp_edge.model_selection.search_space import to_distributions, to_hyperparameters
from kfp_edge.model_selection.searched_hyperparameters import select_space
from kfp_edge.model_selection.tuning_metric import can_be_optimized, is_lower_better
from kfp_edge.tasks.registry import task_of
from kfp_edge.tasks.task import TrainingOptions

#: Folds by which trials are measured where no number is given.
DEFAULT_FOLDS = 5
#: Trials that are drawn at random before the search learns from them, and their share of few trials.
_RANDOM_TRIALS, _RANDOM_SHARE = 10, 0.5


@dataclass(frozen=True)
class SearchOptions:
    """How long hyperparameters are searched, and by what they are compared."""

    #: The number of trials, of which the first one has the default hyperparameters.
    trials: int
    #: The metric; "" for the one by which models of the task are compared.
    metric: str = ""
    #: The number of folds.
    folds: int = DEFAULT_FOLDS
    #: The minutes after which no fold is fitted any more, the first trial excepted; 0 for no limit.
    minutes: float = 0.0


@dataclass(frozen=True)
class Search:
    """The outcome of a search."""

    #: The options with the hyperparameters of the best trial, those that the user gave included.
    options: TrainingOptions
    #: What was measured of the best trial.
    cross_validation: CrossValidation
    record: Tuning


@dataclass(frozen=True)
class _Trial:
    hyperparameters: Mapping[str, object]
    results: Sequence[FoldResult]
    #: The mean of the metric over the folds; None where it was not measured on every fold of the first trial.
    score: float | None
    problem: str = ""


class _TimeLimitError(Exception):
    """The time limit was reached before a trial ended."""


def tune(
    data: Dataset,
    estimator: Estimator,
    training: TrainingOptions,
    options: SearchOptions,
    report: Callable[[str], None] = print,
) -> Search:
    """Try hyperparameters, the default ones first, and return the best.

    Args:
        data: The training rows.
        estimator: The estimator that is trained.
        training: How it is trained; the hyperparameters in it are kept.
        options: How long is searched, and by what trials are compared.
        report: Takes a line for each step.

    Raises:
        ParameterError: every hyperparameter that could be searched is given, or the estimator has none.
        DataError: there are no labels, the metric is not defined on the folds, or nothing could be measured on them.
    """
    space = select_space(estimator, training.hyperparameters, options.trials)
    if not data.roles.target:
        raise DataError("trials cannot be compared without labels; name their column in target, or write tune=0.")
    task = task_of(data)
    metric = options.metric or task.ranking_metrics[0]
    folds = make_folds(data, options.folds, training.seed)
    aim = "lowest" if is_lower_better(metric) else "highest"
    report(f"tuning {estimator.name} for the {aim} {metric} over {folds.description}")
    known = find_metric(metric)
    assert known is not None
    simplified = task.simplify_options(training, known)
    trials: list[_Trial] = []
    is_cut_short = False
    try:
        for trial in _run_trials(data, training, simplified, folds, metric, space, options):
            trials.append(trial)
            report(_describe_progress(trials, metric, options.trials))
    except _TimeLimitError:
        is_cut_short = True
    best = _find_best(trials, metric)
    record = Tuning(
        estimator=estimator.name,
        metric=metric,
        asked=options.trials,
        trials=tuple(_to_record(trial, estimator, training, space) for trial in trials),
        best=best,
        is_cut_short=is_cut_short,
    )
    report(f"tuning: {record.outcome}; the best one is trial {best + 1}")
    drawn = trials[best].hyperparameters
    chosen = task.take_hyperparameters(training, {**training.hyperparameters, **drawn}, known) if drawn else training
    if best and simplified != training:
        report(f"measuring trial {best + 1} as it will be trained")
        return Search(chosen, measure_all_folds(data, folds, chosen, report), record)
    return Search(chosen, summarize(folds, trials[best].results), record)


def _run_trials(
    data: Dataset,
    training: TrainingOptions,
    simplified: TrainingOptions,
    folds: Folds,
    metric: str,
    space: Sequence[Dimension],
    options: SearchOptions,
) -> Iterator[_Trial]:
    """Yield one trial after another.

    The first one is fitted as the model will be, so that what cannot be done is found before all others; those are
    fitted with less, as far as their metric has the same value.

    Raises:
        _TimeLimitError: the time limit was reached.
        DataError: nothing could be measured with the default hyperparameters.
    """
    deadline = time.monotonic() + 60 * options.minutes if options.minutes else math.inf
    task, known = task_of(data), find_metric(metric)
    assert known is not None
    defaults = list(measure_folds(data, folds, training))
    first = _Trial({}, defaults, _score_first(defaults, folds, metric))
    yield first
    study = _create_study(metric, training.seed, options.trials)
    distributions = to_distributions(space)
    for _ in range(options.trials - 1):
        asked = study.ask(distributions)
        hyperparameters = to_hyperparameters(space, asked.params)
        drawn = task.take_hyperparameters(simplified, {**training.hyperparameters, **hyperparameters}, known)
        results = _measure_until(deadline, data, folds, drawn)
        score, problem = _score(results, first.results, metric)
        study.tell(asked, score, TrialState.FAIL if score is None else None)
        yield _Trial(hyperparameters, results, score, problem)


def _create_study(metric: str, seed: int, trials: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the progress is printed here
    startup = min(_RANDOM_TRIALS, math.ceil(_RANDOM_SHARE * trials))
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
    return optuna.create_study(sampler=sampler, direction="minimize" if is_lower_better(metric) else "maximize")


def _measure_until(deadline: float, data: Dataset, folds: Folds, training: TrainingOptions) -> list[FoldResult]:
    """Measure the folds.

    Raises:
        _TimeLimitError: the deadline passed before all of them were measured.
    """
    results: list[FoldResult] = []
    measured = measure_folds(data, folds, training)
    while len(results) < len(folds.folds):
        if time.monotonic() >= deadline:
            raise _TimeLimitError
        results.append(next(measured))
    return results


def _score_first(results: Sequence[FoldResult], folds: Folds, metric: str) -> float:
    """Return the mean of the metric over the folds for the default hyperparameters.

    Raises:
        DataError: it is not defined on any fold, or nothing could be measured.
    """
    values = [result.metrics[metric] for result in results if metric in result.metrics]
    if values:
        return statistics.fmean(values)
    measured = summarize(folds, results).metrics
    needs = known.needs if (known := find_metric(metric)) is not None else ""
    if needs:
        raise DataError(f"trials cannot be compared by {metric}, which is measured with {needs}.")
    others = [name for name in measured if (known := find_metric(name)) is not None and can_be_optimized(known)]
    remedy = f"give another one in tune_metric ({', '.join(others)}), or write tune=0" if others else "write tune=0"
    raise DataError(
        f"trials cannot be compared by {metric}, which the labels of the training rows define on no fold; {remedy}."
    )


def _score(results: Sequence[FoldResult], first: Sequence[FoldResult], metric: str) -> tuple[float | None, str]:
    """Return the mean of the metric over the folds, and why there is none: trials are compared on the same folds."""
    for result, reference in zip(results, first, strict=True):
        if metric in reference.metrics and metric not in result.metrics:
            return None, result.problem or f"{metric} is not defined"
    return statistics.fmean(result.metrics[metric] for result in results if metric in result.metrics), ""


def _find_best(trials: Sequence[_Trial], metric: str) -> int:
    """Return the position of the best trial, the first one of equals."""
    sign = -1 if is_lower_better(metric) else 1
    return max(range(len(trials)), key=lambda number: _rank(trials[number], sign))


def _rank(trial: _Trial, sign: int) -> float:
    return -math.inf if trial.score is None else sign * trial.score


def _describe_progress(trials: Sequence[_Trial], metric: str, count: int) -> str:
    trial, best = trials[-1], _find_best(trials, metric)
    score = f"failed: {trial.problem}" if trial.score is None else f"{metric} {format_metric(metric, trial.score)}"
    best_score = trials[best].score
    assert best_score is not None
    return f"trial {len(trials)} of {count}: {score}, best {format_metric(metric, best_score)} (trial {best + 1})"


def _to_record(
    trial: _Trial, estimator: Estimator, training: TrainingOptions, space: Sequence[Dimension]
) -> TrialRecord:
    model = estimator.build_model(training.seed, {**training.hyperparameters, **trial.hyperparameters})
    values = model.get_params()
    return TrialRecord(
        score=None if trial.score is None else round(trial.score, 6),
        problem=trial.problem,
        hyperparameters={dimension.name: str(values[dimension.name]) for dimension in space},
    )
