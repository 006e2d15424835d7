"""What an estimator is: everything that differs between the models that users can name, in one object for each.

A new estimator is one more entry in `classifiers.py` or `detectors.py`.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd
from sklearn.base import BaseEstimator, is_outlier_detector, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from kfp_edge.errors import DataError
from kfp_edge.estimators.hyperparameters import Dimension, check_hyperparameters
from kfp_edge.estimators.preprocessing import Numbers, make_preprocessing
from kfp_edge.ml.arrays import Float64s, Labels
from kfp_edge.ml.bundle import TaskName
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.estimators import final_estimator

#: The values that a user gives to hyperparameters, by name.
Hyperparameters = Mapping[str, object]


class Fit(Protocol):
    """Fits the Pipeline of an estimator; `fitting.py` has the usual way."""

    def __call__(
        self,
        estimator: "Estimator",
        data: Dataset,
        seed: int,
        hyperparameters: Hyperparameters,
        weights: Float64s | None,
    ) -> Pipeline:
        """Return a fitted Pipeline, preprocessing included.

        Where the caller does not hold `data`, its rows are freed before the model needs memory, if it needs much.

        Args:
            estimator: The estimator.
            data: The rows to learn from, with their labels; a detector does not read these.
            seed: The seed of everything random.
            hyperparameters: Those that a user gives, checked.
            weights: The weight of each row, shape [rows]; None where all weigh the same.

        Raises:
            DataError: the model cannot learn from these rows.
        """


def _keep(model: BaseEstimator, data: Dataset) -> BaseEstimator:
    return model


def _finish(model: BaseEstimator) -> None:
    pass


def _set_offset(model: BaseEstimator, threshold: float) -> None:
    model.offset_ = -threshold


def read_labels(data: Dataset, model: BaseEstimator) -> Labels | Float64s:
    """Return what the model learns of each row, shape [rows]: a number in double precision, or a label."""
    return data.target_values() if is_regressor(model) else data.y()


@contextmanager
def refuse_unsuitable_rows(estimator: "Estimator") -> Iterator[None]:
    """Turn what scikit-learn says about rows that a model cannot learn from into an error for the user.

    Raises:
        DataError: with scikit-learn's reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # metrics and gates judge the model
            warnings.filterwarnings("ignore", "max_samples .* is greater", UserWarning)  # it then draws from all rows
            yield
    except ValueError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise DataError(
            f"{estimator.name} cannot learn from these rows: {reason}; choose another estimator, or change its "
            "hyperparameters."
        ) from error


def fit_at_once(
    estimator: "Estimator", data: Dataset, seed: int, hyperparameters: Hyperparameters, weights: Float64s | None
) -> Pipeline:
    """Fit a Pipeline on all rows, as `Fit` describes it, with the same result on any number of processors.

    Raises:
        DataError: the model cannot learn from these rows, or they are too many for it.
    """
    rows = data.x()
    if estimator.max_rows is not None and len(rows) > estimator.max_rows:
        raise DataError(
            f"{estimator.name} learns from at most {estimator.max_rows:,} rows, because its time grows with their "
            f"square, and there are {len(rows):,} training rows; choose another estimator, or give fewer rows."
        )
    model = estimator.wrap(estimator.build_model(seed, hyperparameters), data)
    pipeline = estimator.make_steps(data.roles, rows, model)
    final = final_estimator(model)
    labels = None if is_outlier_detector(final) else read_labels(data, final)
    options = {} if weights is None else {"model__sample_weight": weights}
    with threadpool_limits(1, user_api="blas"), refuse_unsuitable_rows(estimator):
        pipeline.fit(rows, labels, **options)
    estimator.finish(pipeline[-1])
    return pipeline


@dataclass(frozen=True)
class Estimator:
    """An estimator of scikit-learn that users can name, for one task."""

    name: str
    task: TaskName
    #: What it is, in words.
    title: str
    #: Its class, whose parameters are the hyperparameters.
    model: type[BaseEstimator]
    #: What it needs numbers to be.
    numbers: Numbers
    #: Parameters in which it differs from scikit-learn's defaults.
    defaults: Hyperparameters = field(default_factory=dict)
    #: The hyperparameters that tuning searches, and where.
    search_space: tuple[Dimension, ...] = ()
    #: Hyperparameters that may not be given, with the reason.
    refused: Mapping[str, str] = field(default_factory=dict)
    #: Rows beyond which it takes too long to fit; None without such a limit.
    max_rows: int | None = None
    #: Returns what is fitted in place of the model alone, such as the model with calibrated probabilities.
    wrap: Callable[[BaseEstimator, Dataset], BaseEstimator] = _keep
    #: Fits its Pipeline.
    fit_pipeline: Fit = fit_at_once
    #: Changes a fitted detector so that its scores do not depend on the number of rows that it was fitted on.
    finish: Callable[[BaseEstimator], None] = _finish
    #: Sets the score above which a fitted detector raises an alarm; a score is the negative of scikit-learn's.
    set_threshold: Callable[[BaseEstimator, float], None] = _set_offset
    #: Parameters of the detectors that only score rows to set the threshold of another.
    scoring_defaults: Hyperparameters = field(default_factory=dict)

    def check(self, hyperparameters: Hyperparameters) -> dict[str, object]:
        """Return the hyperparameters that a user gives, integers where whole numbers are meant.

        Raises:
            ParameterError: there is no such hyperparameter, it may not be given, or its value cannot be used.
        """
        return check_hyperparameters(self.name, self.model, hyperparameters, self.refused)

    def build_model(self, seed: int, hyperparameters: Hyperparameters) -> BaseEstimator:
        """Return the model, unfitted."""
        seeds = {"random_state": seed} if "random_state" in self.model().get_params() else {}
        return self.model(**{**self.defaults, **hyperparameters, **seeds})

    def make_steps(self, roles: Roles, rows: pd.DataFrame, model: BaseEstimator) -> Pipeline:
        """Return a Pipeline, unfitted, of the preprocessing and the model.

        Args:
            roles: The roles of the columns.
            rows: The features of the rows that it will be fitted on, shape [rows, features].
            model: The model, unfitted.
        """
        preprocessing = make_preprocessing(roles, rows, self.numbers)
        steps: list[tuple[str, BaseEstimator]] = [] if isinstance(preprocessing, str) else [("prepare", preprocessing)]
        return Pipeline([*steps, ("model", model)])

    def fit(
        self, data: Dataset, seed: int, hyperparameters: Hyperparameters, weights: Float64s | None = None
    ) -> Pipeline:
        """Return a fitted Pipeline, preprocessing included; `Fit` says more.

        Raises:
            ParameterError: a hyperparameter cannot be used.
            DataError: the estimator cannot learn from these rows.
        """
        rows = [data]
        del data  # an estimator frees the rows before it needs memory, where the caller does not hold them either
        return self.fit_pipeline(self, rows.pop(), seed, self.check(hyperparameters), weights)
