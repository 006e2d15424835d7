"""The estimators by name, for each task."""

from sklearn.base import BaseEstimator

from kfp_edge.errors import ParameterError
from kfp_edge.estimators.classifiers import CLASSIFIERS
from kfp_edge.estimators.detectors import DETECTORS
from kfp_edge.estimators.estimator import Estimator
from kfp_edge.estimators.not_offered import explain_absence
from kfp_edge.estimators.own import make_own_estimator
from kfp_edge.estimators.regressors import REGRESSORS
from kfp_edge.ml.bundle import TaskName
from kfp_edge.suggestions import suggest

#: Stands for the first estimator of a task.
AUTO = "auto"

#: Every estimator; the first one of a task is what `auto` chooses.
ESTIMATORS: tuple[Estimator, ...] = (*CLASSIFIERS, *DETECTORS, *REGRESSORS)


def list_estimators(task: str) -> tuple[Estimator, ...]:
    """Return the estimators of a task, of all tasks for ""."""
    return tuple(estimator for estimator in ESTIMATORS if task in ("", estimator.task))


def find_estimator(name: str, task: str) -> Estimator:
    """Return the estimator of a task with that name.

    Args:
        name: Its name, or `auto`.
        task: The task; "" where it is not known: then the first estimator of that name.

    Raises:
        ParameterError: the task has no such estimator.
    """
    estimators = {estimator.name: estimator for estimator in reversed(list_estimators(task))}
    if name == AUTO:
        return list_estimators(task)[0]
    if name in estimators:
        return estimators[name]
    names = ", ".join([AUTO, *sorted(estimators)])
    raise ParameterError(f"estimator is {name!r}; {_explain(name, task)}choose one of {names}.")


def choose_estimator(estimator: str | BaseEstimator, task: TaskName) -> Estimator:
    """Return the estimator of a task that was named, or that was given as an object of scikit-learn.

    Raises:
        ParameterError: the task has no such estimator, or the object cannot be used.
    """
    return find_estimator(estimator, task) if isinstance(estimator, str) else make_own_estimator(estimator, task)


def _explain(name: str, task: str) -> str:
    """Return why there is no such estimator, or what was meant, to put before the list of names."""
    others = [estimator.task for estimator in ESTIMATORS if estimator.name == name]
    if others:
        return f"that is one of {' and '.join(others)}, and the task is {task}: "
    reason = explain_absence(name)
    if reason:
        return f"{reason}; "
    names = [estimator.name for estimator in list_estimators(task)]
    classes = {estimator.model.__name__.lower(): estimator.name for estimator in reversed(list_estimators(task))}
    written = str(name).lower().replace("-", "_").replace(" ", "_")
    similar = classes.get(written.replace("_", "")) or suggest(written, [*names, AUTO])
    return f"did you mean {similar}? " if similar else ""
