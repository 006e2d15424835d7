"""A data scientist's own estimator of scikit-learn is fitted, exported and compared as one that is named."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import HuberRegressor, LogisticRegression, PoissonRegressor, TweedieRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler
from sklearn.svm import SVR, LinearSVC, OneClassSVM

from kfp_edge.components.train.train import fit
from kfp_edge.components.verify.parity import measure_parity
from kfp_edge.errors import ParameterError
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.estimators import wrapped_estimator
from kfp_edge.tasks.task import TrainingOptions
from support.estimators import make_table, predict_both
from support.tables import choose_rate

TABLE = "mixed with missing"
#: Gives sparse rows.
SPARSE = KBinsDiscretizer(encode="onehot", quantile_method="averaged_inverted_cdf")


def calibrated(classifier, *, ensemble: bool = False) -> CalibratedClassifierCV:
    return CalibratedClassifierCV(classifier, method="sigmoid", ensemble=ensemble, cv=3)


def _make_positive(data: Dataset) -> Dataset:
    """Return the rows with a target far above 0, as counts are; there, rounding before an exponential shows."""
    return replace(data, frame=data.frame.assign(target=1900 + 3 * data.frame["target"]))


def _keep(data: Dataset) -> Dataset:
    return data


def _divide_in_three(data: Dataset) -> Dataset:
    is_high = data.frame["pressure [Pa]"].gt(data.frame["pressure [Pa]"].median())
    return replace(data, frame=data.frame.assign(target=data.frame["target"] + is_high))


@pytest.mark.parametrize(
    ("task", "own"),
    [
        ("classification", AdaBoostClassifier(n_estimators=10)),
        ("classification", RandomForestClassifier(n_estimators=10, class_weight="balanced")),
        ("classification", calibrated(ExtraTreesClassifier(10))),
        ("classification", calibrated(HistGradientBoostingClassifier(max_iter=10))),
        ("classification", calibrated(LinearDiscriminantAnalysis())),
        ("classification", calibrated(QuadraticDiscriminantAnalysis(reg_param=0.1))),
        ("regression", HuberRegressor(max_iter=1000)),
        ("regression", PoissonRegressor()),
        ("regression", TweedieRegressor(power=1.5)),
        ("regression", TweedieRegressor(power=0)),
        ("regression", TransformedTargetRegressor(HistGradientBoostingRegressor(max_iter=10))),
        ("anomaly", OneClassSVM(nu=0.1)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(wrapped_estimator(value)).__name__,
)
def test_an_estimator_alone_gets_the_usual_preprocessing(tmp_path, task, own):
    train, unseen = ((_make_positive if task == "regression" else _keep)(make_table(task, TABLE, n)) for n in (0, 10))
    model = fit(train, TrainingOptions(estimator=own, false_alarm_rate=choose_rate(train, 0.05)))
    parity = measure_parity(*predict_both(tmp_path, model, train, unseen), 1e-5)
    assert parity.is_within(1e-5).all()


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize(
    "classifier",
    [ExtraTreesClassifier(10), LinearDiscriminantAnalysis(), HistGradientBoostingClassifier(max_iter=20)],
    ids=lambda value: type(value).__name__,
)
def test_a_calibrated_classifier_behind_a_scaler_answers_the_same_for_three_classes(tmp_path, classifier, ensemble):
    train, unseen = (_divide_in_three(make_table("classification", "missing numbers", seed)) for seed in (0, 10))
    own = make_pipeline(SimpleImputer(), StandardScaler(), calibrated(classifier, ensemble=ensemble))
    model = fit(train, TrainingOptions(estimator=own))
    parity = measure_parity(*predict_both(tmp_path, model, train, unseen), 1e-5)
    assert parity.is_within(1e-5).all()


def test_a_pipeline_is_fitted_as_it_is(tmp_path):
    data = make_table("classification", TABLE, 0)
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    text = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    prepare = make_column_transformer((numbers, list(data.roles.numeric)), (text, list(data.roles.categorical)))
    own = make_pipeline(prepare, LogisticRegression(C=0.5))
    model = fit(data, TrainingOptions(estimator=own))
    assert [name for name, _ in model.steps] == ["columntransformer", "logisticregression"]
    parity = measure_parity(*predict_both(tmp_path, model, data, make_table("classification", TABLE, 10)), 1e-5)
    assert parity.is_within(1e-5).all()
    assert not hasattr(own[-1], "coef_"), "what was given stays unfitted"


def test_a_detector_in_a_pipeline_gets_the_threshold_for_the_rate_that_is_asked_for():
    data = make_table("anomaly", "numbers", 0)
    own = make_pipeline(StandardScaler(), OneClassSVM(nu=0.5))
    model = fit(data, TrainingOptions(estimator=own, false_alarm_rate=0.05))
    assert np.mean(model.predict(data.x()) == -1) < 0.1


def test_the_seed_is_that_of_the_options_unless_the_estimator_has_one():
    data = make_table("classification", "numbers", 0)
    seeds = [
        fit(data, TrainingOptions(seed=7, estimator=RandomForestClassifier(5, random_state=own)))[-1].random_state
        for own in (None, 3)
    ]
    assert seeds == [7, 3]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (KNeighborsClassifier(), "nearest neighbours are not exported, .* 147 of 15,000 labels"),
        (LinearSVC(), "LinearSVC gives no probabilities; put CalibratedClassifierCV"),
        (IsotonicRegression(), "the task is classification, and IsotonicRegression is not a classifier"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_an_estimator_that_cannot_be_released_is_refused_before_it_is_fitted(own, message):
    with pytest.raises(ParameterError, match=message):
        fit(make_table("classification", "numbers", 0), TrainingOptions(estimator=own))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (GaussianProcessRegressor(), "Gaussian processes are not exported, .* differ by a standard deviation"),
        (HistGradientBoostingRegressor(loss="poisson"), "put TransformedTargetRegressor.* in its place"),
        (make_pipeline(OneHotEncoder(), SVR()), "on sparse rows .* is not exported; fit it on dense rows"),
        (SVR(epsilon=1e6), "without support vectors is not exported, .*; fit it with a smaller epsilon"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_a_regressor_that_cannot_be_released_is_refused_with_the_way_out(own, message):
    with pytest.raises(ParameterError, match=message):
        fit(make_table("regression", "numbers", 0), TrainingOptions(estimator=own))
