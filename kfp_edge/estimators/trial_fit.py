"""Find hyperparameters that do not work together before any data is read: they are tried on rows of no meaning."""

import warnings
from collections.abc import Mapping
from threading import Lock

import numpy as np
from sklearn.base import is_classifier, is_outlier_detector

from kfp_edge.errors import DataError, ParameterError
from kfp_edge.estimators.estimator import Estimator, Hyperparameters, refuse_unsuitable_rows

#: Rows and columns of the trials: what the data is to blame for reads differently, or not at all, in another shape.
_SHAPES = ((60, 5), (240, 24))
#: What takes time and cannot be to blame, as a trial has it at most.
_ROUNDS = {"max_iter": 5, "n_estimators": 5}
#: Preflight runs checks in several threads, and what is done with warnings is set for the whole process.
_ONE_AT_A_TIME = Lock()


def check_combination(estimator: Estimator, hyperparameters: Hyperparameters) -> None:
    """Refuse hyperparameters that scikit-learn accepts one by one, but not together.

    Args:
        estimator: An estimator that users can name.
        hyperparameters: Those that the user gives, each of which can be used.

    Raises:
        ParameterError: no rows could be learned from with them.
    """
    if not hyperparameters:
        return
    reasons = {_find_reason(estimator, hyperparameters, shape) for shape in _SHAPES}
    reason = reasons.pop()
    if reason and not reasons:
        raise ParameterError(f"hyperparameters of {estimator.name} do not work together: {reason}.")


def _find_reason(estimator: Estimator, hyperparameters: Hyperparameters, shape: tuple[int, int]) -> str:
    """Return why the estimator cannot learn from rows of a shape; "" where it can."""
    # weights of classes are checked with the classes of the data
    tried = {name: value for name, value in hyperparameters.items() if not isinstance(value, Mapping)}
    model = estimator.build_model(0, tried)
    rounds = {name: most for name, most in _ROUNDS.items() if _is_above(model.get_params().get(name), most)}
    model.set_params(**rounds)
    rows = np.random.default_rng(0).normal(size=shape)
    sums = rows.sum(axis=1)
    labels = (sums > 0).astype(np.int64) if is_classifier(model) else np.exp(sums / shape[1])
    try:
        with _ONE_AT_A_TIME, refuse_unsuitable_rows(estimator), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the fit on the data will have it, too
            model.fit(rows, None if is_outlier_detector(model) else labels)
    except DataError as error:
        return str(error.__cause__).strip().splitlines()[0].rstrip(".")
    return ""


def _is_above(value: object, most: int) -> bool:
    return isinstance(value, int) and value > most
