"""Calibrated probabilities: a sigmoid for each class (Platt 1999), fitted on what unseen rows were given.

It is inside the Pipeline, around the last step: skl2onnx would calibrate the probabilities of a whole Pipeline in place
of its decisions.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import LabelEncoder

from kfp_edge.errors import ParameterError
from kfp_edge.estimators.estimator import Estimator, Hyperparameters, fit_at_once
from kfp_edge.estimators.unseen_rows import divide_rows
from kfp_edge.estimators.weighted_bins import fast_weighted_bins
from kfp_edge.ml.arrays import Float64s
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.estimators import iterate_parts

_SIGMOID = "sigmoid"
#: How an estimator of the user's own is calibrated as ours are.
_OWN_SETTINGS = "method='sigmoid' and ensemble=False"
_ISOTONIC = (
    "isotonic calibration is not offered, because its steps amplify rounding (measured: probabilities differ by up to "
    "0.13 after export, and labels with them)"
)


def check_calibration(calibration: str, estimator: str | BaseEstimator) -> None:
    """Check the parameter `calibration` of an estimator that was named, or given as an object of scikit-learn.

    Raises:
        ParameterError: it cannot be used.
    """
    if calibration not in ("", _SIGMOID):
        reason = f"{_ISOTONIC}; " if calibration == "isotonic" else ""
        raise ParameterError(f"calibration is {calibration!r}; {reason}write sigmoid, or leave it empty for none.")
    if calibration and not isinstance(estimator, str):
        raise ParameterError(
            f"calibration is for estimators that are named; put CalibratedClassifierCV with {_OWN_SETTINGS} into your "
            "own one."
        )


def name_correction(estimator: str | BaseEstimator) -> str:
    """Return what corrects the probabilities of an estimator, by name or as an object, to begin a sentence with."""
    if isinstance(estimator, str):
        return f"The parameter calibration={_SIGMOID}"
    return f"CalibratedClassifierCV with {_OWN_SETTINGS} around the classifier"


def calibrate(model: BaseEstimator, data: Dataset) -> CalibratedClassifierCV:
    """Return a classifier, unfitted, that calibrates the model on rows which a model of the other rows is given.

    Raises:
        DataError: there are too few rows of a class.
    """
    parts = divide_rows(data, "probabilities").parts
    return CalibratedClassifierCV(model, method=_SIGMOID, cv=parts, ensemble=False)


def with_calibration(estimator: Estimator) -> Estimator:
    """Return an estimator with calibrated probabilities, which some have already."""
    if estimator.wrap is calibrate:
        return estimator
    return dataclasses.replace(estimator, wrap=calibrate, fit_pipeline=fit_calibrated, finish=forget_parts)


def takes_class_weights(estimator: Estimator) -> bool:
    """Return whether the weights of classes are a hyperparameter of an estimator."""
    return "class_weight" in estimator.model().get_params()


def fit_calibrated(
    estimator: Estimator, data: Dataset, seed: int, hyperparameters: Hyperparameters, weights: Float64s | None
) -> Pipeline:
    """Fit a Pipeline whose last step is calibrated, as `Fit` describes it."""
    fit = _fit_on_codes if isinstance(hyperparameters.get("class_weight"), Mapping) else fit_at_once
    with fast_weighted_bins():
        pipeline = fit(estimator, data, seed, hyperparameters, weights)
    for part in iterate_parts(pipeline[-1]):
        if hasattr(part, "_bin_mapper"):
            part._bin_mapper.n_threads = None  # the number of threads that fitted it is of this machine
    return pipeline


def _fit_on_codes(
    estimator: Estimator, data: Dataset, seed: int, hyperparameters: Hyperparameters, weights: Float64s | None
) -> Pipeline:
    """Fit a Pipeline with weights of classes on the codes of the labels, and name the classes afterwards.

    scikit-learn's `cross_val_predict` fits the models of the parts on codes from 0, but the last model on the labels:
    weights by label would fit only one of them.
    """
    classes, codes = np.unique(data.y(), return_inverse=True)
    class_weight: Mapping[object, float] = hyperparameters["class_weight"]  # type: ignore[assignment]
    weight_of_codes = {code: class_weight.get(label, 1.0) for code, label in enumerate(classes.tolist())}
    encoded = dataclasses.replace(data, frame=data.frame.assign(**{data.roles.target: codes}))
    pipeline = fit_at_once(estimator, encoded, seed, {**hyperparameters, "class_weight": weight_of_codes}, weights)
    calibrated = pipeline[-1]
    fitted = calibrated.calibrated_classifiers_[0]
    encoders = [part for part in iterate_parts(calibrated) if isinstance(part, LabelEncoder)]
    for part in (calibrated, fitted.estimator, *encoders):
        part.classes_ = classes
    fitted.classes = classes
    for model in (calibrated.estimator, fitted.estimator):
        model.set_params(class_weight=dict(class_weight))
    return pipeline


def forget_parts(model: BaseEstimator) -> None:
    """Replace the row numbers of the parts in a fitted classifier, which nothing reads any more, by their number."""
    if isinstance(model, CalibratedClassifierCV):
        model.cv = len(model.cv)
