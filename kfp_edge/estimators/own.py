"""An estimator of a data scientist's own, from a notebook: any of scikit-learn's, alone or as a Pipeline."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from sklearn.base import BaseEstimator, clone, is_classifier, is_outlier_detector, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from kfp_edge.errors import ParameterError
from kfp_edge.estimators.detectors import DETECTORS
from kfp_edge.estimators.estimator import Estimator, Hyperparameters, fit_at_once
from kfp_edge.ml.arrays import Float64s
from kfp_edge.ml.bundle import TaskName
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.estimators import final_estimator, wrapped_estimator
from kfp_edge.ml.known_differences import explain_estimator


@dataclass(frozen=True)
class _Kind:
    """What the last step has to be."""

    is_met: Callable[[BaseEstimator], bool]
    name: str
    gives_probabilities: bool = False


#: What the last step has to be, by the task.
_KINDS = {
    "classification": _Kind(is_classifier, "a classifier", gives_probabilities=True),
    "anomaly": _Kind(is_outlier_detector, "an outlier detector"),
    "regression": _Kind(is_regressor, "a regressor"),
}


def _fit_own(
    estimator: Estimator, data: Dataset, seed: int, hyperparameters: Hyperparameters, weights: Float64s | None
) -> Pipeline:
    """Fit without weights of our own: a user who brings an estimator chooses its `class_weight` too."""
    pipeline = fit_at_once(estimator, data, seed, hyperparameters, None)
    difference = explain_estimator(pipeline)  # some differences show on what was fitted only
    if difference:
        raise ParameterError(f"{difference}.")
    return pipeline


@dataclass(frozen=True, kw_only=True)
class OwnEstimator(Estimator):
    """An estimator that was not named but given, unfitted."""

    own: BaseEstimator

    def check(self, hyperparameters: Hyperparameters) -> dict[str, object]:
        """Return the hyperparameters, which replace those that the estimator was made with.

        Raises:
            ParameterError: it has no such hyperparameter.
        """
        unknown = sorted(set(hyperparameters) - set(self.own.get_params()))
        if unknown:
            raise ParameterError(f"{self.name} has no hyperparameter {unknown[0]!r}; set it where it is made.")
        return dict(hyperparameters)

    def build_model(self, seed: int, hyperparameters: Hyperparameters) -> BaseEstimator:
        """Return a copy, unfitted; what has no seed yet gets this one."""
        model = clone(self.own).set_params(**hyperparameters)
        is_seed = {name: value for name, value in model.get_params().items() if name.endswith("random_state")}
        return model.set_params(**{name: seed for name, value in is_seed.items() if value is None})

    def make_steps(self, roles: Roles, rows: pd.DataFrame, model: BaseEstimator) -> Pipeline:
        """Return a Pipeline as it is, another estimator behind the usual preprocessing."""
        return model if isinstance(model, Pipeline) else super().make_steps(roles, rows, model)


def make_own_estimator(own: BaseEstimator, task: TaskName) -> OwnEstimator:
    """Return an estimator of a user's own for a task.

    Args:
        own: Any estimator of scikit-learn, unfitted. A Pipeline has to prepare missing values and text itself; another
            estimator is put behind the same preprocessing as those that can be named: text becomes indicator columns,
            and numbers are imputed and scaled unless it takes missing ones.
        task: The task of the data.

    Raises:
        ParameterError: it is not for this task, gives no probabilities, or is known to answer otherwise after export.
    """
    final = final_estimator(own)
    name = type(final).__name__
    kind = _KINDS[task]
    if not kind.is_met(final):
        raise ParameterError(f"the task is {task}, and {name} is not {kind.name}; give one, or another task to ingest.")
    difference = explain_estimator(own)
    if difference:
        raise ParameterError(f"{difference}.")
    if kind.gives_probabilities and not hasattr(final, "predict_proba"):
        raise ParameterError(
            f"{name} gives no probabilities; put CalibratedClassifierCV({name}(), ensemble=False) in its place."
        )
    known = next((estimator for estimator in DETECTORS if isinstance(final, estimator.model)), DETECTORS[0])
    return OwnEstimator(
        name=name,
        task=task,
        title="an estimator of the user's own",
        model=type(final),
        numbers="raw" if get_tags(wrapped_estimator(final)).input_tags.allow_nan else "scaled",
        fit_pipeline=_fit_own,
        finish=known.finish,
        set_threshold=known.set_threshold,
        own=own,
    )
