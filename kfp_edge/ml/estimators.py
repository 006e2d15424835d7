"""The parts of a scikit-learn estimator: the steps, transformers and trees inside it."""

from collections.abc import Iterator

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV, _CalibratedClassifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from kfp_edge.ml.decision import without_decision

#: What has parts in its attributes. The inner class of CalibratedClassifierCV is no estimator.
_OBJECTS = (BaseEstimator, _CalibratedClassifier)

#: Steps of a Pipeline that bring columns to one scale.
SCALERS = (MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler)


def iterate_parts(value: object) -> Iterator[object]:
    """Yield an estimator and everything inside it, at any depth: estimators, trees, parameters, fitted values."""
    yield value
    for child in _iterate_children(value):
        yield from iterate_parts(child)


def _iterate_children(value: object) -> Iterator[object]:
    if isinstance(value, _OBJECTS):
        yield from vars(value).values()
    elif isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
        yield from value


def final_estimator(estimator: BaseEstimator) -> BaseEstimator:
    """Return the last step of a Pipeline, or the estimator itself where it is none; without a decision threshold."""
    estimator = without_decision(estimator)
    while isinstance(estimator, Pipeline):
        estimator = without_decision(estimator[-1])
    return estimator


def wrapped_estimator(model: BaseEstimator) -> BaseEstimator:
    """Return the unfitted estimator in one that only calibrates it or changes its target, else the model itself."""
    name = {CalibratedClassifierCV: "estimator", TransformedTargetRegressor: "regressor"}.get(type(model), "")
    inner = getattr(model, name, None)
    return model if inner is None else inner


def list_fitted_estimators(model: BaseEstimator) -> list[BaseEstimator]:
    """Return the fitted estimators that a final one gives its rows to, as they are; itself if it is none of several."""
    if isinstance(model, CalibratedClassifierCV):
        return [inner.estimator for inner in model.calibrated_classifiers_]
    return [model.regressor_] if isinstance(model, TransformedTargetRegressor) else [model]
