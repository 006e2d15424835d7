"""Estimators of scikit-learn whose ONNX export is known to answer otherwise, each with what was measured.

Parity on the held-out rows alone would release some of them, because their differences show on few rows. Measured with
skl2onnx 1.20, scikit-learn 1.9 and onnxruntime 1.32, on tables of 600 to 1,000 rows.
"""

from collections.abc import Callable, Iterable

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
)
from sklearn.ensemble._hist_gradient_boosting.gradient_boosting import BaseHistGradientBoosting
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    RadiusNeighborsClassifier,
    RadiusNeighborsRegressor,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, PowerTransformer, QuantileTransformer
from sklearn.svm._base import BaseLibSVM

from kfp_edge.ml.estimators import iterate_parts

_NEIGHBOURS = (
    "nearest neighbours are not exported, because ONNX chooses other ones among equally near rows (measured: 147 of "
    "15,000 labels differ); use another estimator"
)
_OUTLIER_FACTOR = (
    "LocalOutlierFactor is not exported, because it divides by almost nothing where rows repeat (measured: 119 of "
    "15,000 labels differ); use an IsolationForest"
)
_THRESHOLD = (
    "a decision threshold inside another estimator is not exported, because ONNX drops it (measured: 107 of 1,800 "
    "labels differ); make it the last step of the Pipeline"
)
_CATEGORICAL = (
    "histogram gradient boosting with categorical_features is not exported, because ONNX compares categories by size "
    "(measured: 584 of 1,800 labels differ); use an OrdinalEncoder or OneHotEncoder without it"
)
#: Types of its preprocessing, which no other estimator has together.
_CATEGORICAL_TYPES = {
    "functools.partial",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
}
_GAUSSIAN_PROCESS = (
    "Gaussian processes are not exported, because ONNX computes their kernels in single precision (measured: numbers "
    "differ by a standard deviation of the target); use another estimator"
)
_SPARSE = (
    "a model that was fitted on sparse rows and keeps some of them, as support vector machines do, is not exported; "
    "fit it on dense rows, such as those of OneHotEncoder(sparse_output=False)"
)
_INDICATOR = "indicators of missing values are not exported, because ONNX has no operator for them; impute without them"

_DUMMY = (
    "a dummy estimator is not exported, because it ignores the features, and ONNX has no converter for it; use one "
    "that learns from them, such as LogisticRegression or Ridge"
)


def _always(part: object) -> bool:
    return True


def _ignores_features(dummy: object) -> bool:
    """Return True; unlike `_always`, this does not go by the type alone, which a file of boosted trees has, too."""
    return True


def _is_isotonic(calibrated: CalibratedClassifierCV) -> bool:
    return bool(calibrated.method == "isotonic")


def _is_temperature(calibrated: CalibratedClassifierCV) -> bool:
    return bool(calibrated.method == "temperature")


def _calibrates_pipelines(calibrated: CalibratedClassifierCV) -> bool:
    fitted = vars(calibrated).get("calibrated_classifiers_", [])
    return any(isinstance(getattr(inner, "estimator", None), Pipeline) for inner in fitted)


def _splits_categories(boosting: BaseHistGradientBoosting) -> bool:
    return bool(np.any(vars(boosting).get("is_categorical_", False)))


def _groups_rare_categories(encoder: OneHotEncoder) -> bool:
    return bool(vars(encoder).get("_infrequent_enabled", False))


def _adds_indicator(imputer: SimpleImputer) -> bool:
    return bool(imputer.add_indicator)


def _gives_sparse_rows(discretizer: KBinsDiscretizer) -> bool:
    return bool(discretizer.encode == "onehot")


def _forgets_exponential(boosting: HistGradientBoostingRegressor) -> bool:
    return boosting.loss in ("poisson", "gamma")


def _is_fitted_on_sparse_rows(svm: BaseLibSVM) -> bool:
    return bool(vars(svm).get("_sparse", False))


def _has_no_support_vectors(svm: BaseLibSVM) -> bool:
    return len(vars(svm).get("support_", "?")) == 0


def _compares_classes_one_by_one(model: LogisticRegression) -> bool:
    """Return whether several classes were fitted one against the rest, as scikit-learn could until 1.7."""
    stated, solver = vars(model).get("multi_class", "auto"), model.solver
    return len(vars(model).get("classes_", ())) > 2 and (
        stated == "ovr" or (stated != "multinomial" and solver == "liblinear")
    )


def _uses_real_boosting(boosting: AdaBoostClassifier) -> bool:
    return bool(vars(boosting).get("algorithm") == "SAMME.R")


#: The class, when it is not exported, and why.
_DIFFERENCES: tuple[tuple[type, Callable[..., bool], str], ...] = (
    (KNeighborsClassifier, _always, _NEIGHBOURS),
    (KNeighborsRegressor, _always, _NEIGHBOURS),
    (RadiusNeighborsClassifier, _always, _NEIGHBOURS),
    (RadiusNeighborsRegressor, _always, _NEIGHBOURS),
    (LocalOutlierFactor, _always, _OUTLIER_FACTOR),
    (TunedThresholdClassifierCV, _always, _THRESHOLD),
    (FixedThresholdClassifier, _always, _THRESHOLD),
    (MissingIndicator, _always, _INDICATOR),
    (DummyClassifier, _ignores_features, _DUMMY),
    (DummyRegressor, _ignores_features, _DUMMY),
    (SimpleImputer, _adds_indicator, _INDICATOR),
    (
        KNNImputer,
        _always,
        "KNNImputer is not exported, because ONNX chooses other neighbours (measured: 54 of 1,800 labels differ); use "
        "a SimpleImputer",
    ),
    (
        IsotonicRegression,
        _always,
        "isotonic regression is not exported, because its steps amplify rounding; use another estimator",
    ),
    (
        CalibratedClassifierCV,
        _is_isotonic,
        "isotonic calibration is not exported, because its steps amplify rounding (measured: probabilities differ by "
        'up to 0.13, and labels with them); use method="sigmoid"',
    ),
    (
        CalibratedClassifierCV,
        _is_temperature,
        'calibration by temperature is not exported, because ONNX has no converter for it; use method="sigmoid"',
    ),
    (
        CalibratedClassifierCV,
        _calibrates_pipelines,
        "a CalibratedClassifierCV around a Pipeline is not exported, because ONNX calibrates its probability and not "
        "its decision value (measured: 693 of 1,800 labels differ); make it the last step of the Pipeline",
    ),
    (BaseHistGradientBoosting, _splits_categories, _CATEGORICAL),
    (
        HistGradientBoostingRegressor,
        _forgets_exponential,
        "HistGradientBoostingRegressor with the loss poisson or gamma is not exported, because ONNX has no exponential "
        "behind its trees (measured: numbers differ by 170 standard deviations of the target); put "
        "TransformedTargetRegressor(HistGradientBoostingRegressor(), func=np.log, inverse_func=np.exp) in its place",
    ),
    (GaussianProcessClassifier, _always, _GAUSSIAN_PROCESS),
    (GaussianProcessRegressor, _always, _GAUSSIAN_PROCESS),
    (
        BaseLibSVM,
        _is_fitted_on_sparse_rows,
        _SPARSE,
    ),
    (
        BaseLibSVM,
        _has_no_support_vectors,
        "a support vector machine without support vectors is not exported, because it gives one number for all rows; "
        "fit it with a smaller epsilon",
    ),
    (
        KBinsDiscretizer,
        _gives_sparse_rows,
        "KBinsDiscretizer with encode='onehot', its default, is not exported, because ONNX has no sparse rows; use "
        "encode='onehot-dense'",
    ),
    (
        OneHotEncoder,
        _groups_rare_categories,
        "groups of rare categories are not exported, because ONNX has no operator for them; use a OneHotEncoder "
        "without min_frequency and max_categories",
    ),
    (
        QuantileTransformer,
        _always,
        "QuantileTransformer is not exported, because its conversion does not end; use a StandardScaler",
    ),
    (
        PowerTransformer,
        _always,
        "PowerTransformer is not exported, because its powers amplify rounding (measured: probabilities differ by up "
        "to 0.0008); use a StandardScaler",
    ),
    (
        LogisticRegression,
        _compares_classes_one_by_one,
        "LogisticRegression of several classes, each against the rest (multi_class='ovr' or solver='liblinear'), is "
        "not exported, because scikit-learn since 1.8 computes it otherwise (measured: probabilities differ by 0.33); "
        "fit a OneVsRestClassifier(LogisticRegression())",
    ),
    (
        AdaBoostClassifier,
        _uses_real_boosting,
        "AdaBoostClassifier with SAMME.R, the default until scikit-learn 1.5, is not exported, because later versions "
        "compute it otherwise (measured: probabilities differ by 0.24); fit it again with scikit-learn 1.6 or later",
    ),
)


def explain_estimator(model: BaseEstimator) -> str:
    """Return why the ONNX export of an estimator would answer otherwise, "" where nothing is known of it."""
    parts = list(iterate_parts(model))
    boosted = [part for part in parts if isinstance(part, GradientBoostingClassifier | GradientBoostingRegressor)]
    # a dummy estimator, which the converter takes there
    starts = {id(vars(part).get("init_")) for part in boosted}
    for part in parts:
        for kind, differs, reason in _DIFFERENCES:
            if isinstance(part, kind) and id(part) not in starts and differs(part):
                return reason
    return ""


def explain_types(types: Iterable[str]) -> str:
    """Return why one of some types, given by their full names, is never exported; "" where nothing is known of them."""
    names = set(types)
    if names >= _CATEGORICAL_TYPES:
        return _CATEGORICAL
    if any(name.startswith("scipy.sparse.") for name in names):
        return _SPARSE
    for kind, differs, reason in _DIFFERENCES:
        if differs is _always and f"{kind.__module__}.{kind.__qualname__}" in names:
            return reason
    return ""
