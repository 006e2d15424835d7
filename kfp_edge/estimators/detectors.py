"""The anomaly detectors that users can name; every one gives a score, the higher, the more anomalous."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.svm import OneClassSVM

from kfp_edge.estimators.estimator import Estimator
from kfp_edge.estimators.hyperparameters import Choice, Range
from kfp_edge.estimators.pca_residual import PcaResidual


def _divide_by_weights(model: BaseEstimator) -> None:
    """Divide the scores of a one-class support vector machine by the sum of its weights.

    libsvm lets that sum grow with the number of rows. Afterwards a score is a weighted mean of kernels, so that models
    fitted on different numbers of rows have scores that can be compared.
    """
    total = float(model._dual_coef_.sum())
    model._dual_coef_ = model._dual_coef_ / total
    model.dual_coef_ = model.dual_coef_ / total
    _set_intercept(model, -float(np.ravel(model.offset_)[0]) / total)


def _set_intercept(model: BaseEstimator, threshold: float) -> None:
    """Set the threshold of a one-class support vector machine, whose decision is relative to its intercept."""
    model.offset_ = np.array([-threshold])
    model.intercept_ = np.array([threshold])
    model._intercept_ = np.array([threshold])


DETECTORS = (
    Estimator(
        "isolation_forest",
        "anomaly",
        "isolation forest",
        IsolationForest,
        "imputed",
        defaults={"n_estimators": 200},
        # measured: more trees for scoring cost more time and do not bring the false-alarm rate nearer to the one asked
        scoring_defaults={"n_estimators": 100},
        search_space=(
            Range("n_estimators", 100, 400, whole=True),
            Choice("max_samples", (128, 256, 512, 1024)),
            Range("max_features", 0.5, 1.0),
        ),
        refused={"contamination": "false_alarm_rate sets the threshold"},
    ),
    Estimator(
        "one_class_svm",
        "anomaly",
        "one-class support vector machine",
        OneClassSVM,
        "scaled",
        defaults={"nu": 0.05},
        search_space=(Range("nu", 0.005, 0.2, log=True), Range("gamma", 1e-3, 1.0, log=True)),
        max_rows=20_000,
        finish=_divide_by_weights,
        set_threshold=_set_intercept,
    ),
    Estimator(
        "pca",
        "anomaly",
        "residual of principal components",
        PcaResidual,
        "scaled",
        search_space=(Range("n_components", 0.5, 0.99),),
    ),
)
