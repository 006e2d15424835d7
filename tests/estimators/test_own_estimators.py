"""A data scientist's own estimator of scikit-learn is fitted, exported and compared as one that is named."""

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import HuberRegressor, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC, OneClassSVM

from kfp_edge.components.train.train import fit
from kfp_edge.components.verify.parity import measure_parity
from kfp_edge.errors import ParameterError
from kfp_edge.tasks.task import TrainingOptions
from support.estimators import make_table, predict_both

TABLE = "mixed with missing"


@pytest.mark.parametrize(
    ("task", "own"),
    [
        ("classification", AdaBoostClassifier(n_estimators=10)),
        ("classification", RandomForestClassifier(n_estimators=10, class_weight="balanced")),
        ("regression", HuberRegressor(max_iter=1000)),
        ("anomaly", OneClassSVM(nu=0.1)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_estimator_alone_gets_the_usual_preprocessing(tmp_path, task, own):
    data = make_table(task, TABLE, 0)
    model = fit(data, TrainingOptions(estimator=own, false_alarm_rate=0.05))
    parity = measure_parity(*predict_both(tmp_path, model, data, make_table(task, TABLE, 10)), 1e-5)
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
