"""What users write as estimator and hyperparameters: it is taken, or one sentence says what to change."""

import re

import pytest

from kfp_edge.components.train.train import fit
from kfp_edge.errors import DataError, ParameterError
from kfp_edge.estimators.classifiers import CLASSIFIERS
from kfp_edge.estimators.hyperparameters import Choice, Range
from kfp_edge.estimators.registry import ESTIMATORS, find_estimator
from kfp_edge.ml.dataset import Dataset
from kfp_edge.tasks.registry import check_options
from kfp_edge.tasks.task import TrainingOptions
from support.tables import failures


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("classification", "hist_gradient_boosting"),
        ("anomaly", "isolation_forest"),
        ("regression", "hist_gradient_boosting"),
    ],
)
def test_auto_is_the_first_estimator_of_a_task(task, name):
    assert find_estimator("auto", task).name == name


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("random_forrest", "classification", "did you mean random_forest"),
        ("RandomForestClassifier", "classification", "did you mean random_forest"),
        ("pca", "classification", "one of anomaly, and the task is classification: choose one of auto, decision_tree"),
        ("knn", "classification", "equally near rows .measured: 147 of 15,000 labels differ"),
        ("local_outlier_factor", "anomaly", "divides by almost nothing where rows repeat"),
        ("isotonic", "regression", "steps amplify rounding"),
        ("xgboost", "", "exported to ONNX and delivered with the pipeline delivery"),
        ("nonsense", "anomaly", "'nonsense'; choose one of auto, isolation_forest, one_class_svm, pca"),
    ],
)
def test_an_unknown_name_is_refused_with_what_was_probably_meant(name, task, message):
    with pytest.raises(ParameterError, match=message):
        check_options(TrainingOptions(estimator=name), task)


@pytest.mark.parametrize(
    ("name", "hyperparameters", "message"),
    [
        ("svm", {"gama": 1}, "svm has no hyperparameter 'gama'; did you mean gamma"),
        ("svm", {"gamma": "x"}, "hyperparameters of svm: 'gamma' must be a str among .* Got 'x' instead"),
        ("random_forest", {"n_jobs": 2}, "n_jobs cannot be given for random_forest"),
        ("random_forest", {"random_state": 2}, "random_state cannot be given .* the parameter seed sets it"),
        ("auto", {"categorical_features": [0]}, "584 of 1,800 labels differ"),
        ("random_forest", {"max_depth": 2.5}, "'max_depth' must be an int"),
    ],
)
def test_hyperparameters_that_cannot_be_used_are_refused(name, hyperparameters, message):
    with pytest.raises(ParameterError, match=message):
        check_options(TrainingOptions(estimator=name, hyperparameters=hyperparameters), "classification")


def test_whole_numbers_of_a_backend_are_integers():
    assert find_estimator("random_forest", "classification").check({"max_depth": 5.0}) == {"max_depth": 5}


def test_hyperparameters_reach_the_model():
    options = TrainingOptions(estimator="decision_tree", hyperparameters={"max_depth": 2, "class_weight": {"1": 9}})
    model = fit(failures(400), options)[-1]
    assert model.get_depth() == 2
    assert model.class_weight == {1: 9}


@pytest.mark.parametrize(("given", "hint"), [("11", "did you mean 1?"), ("bad", "its classes are 0, 1.")])
@pytest.mark.parametrize("calibration", ["", "sigmoid"])
def test_a_weight_of_a_class_that_the_data_does_not_have_is_refused(given, hint, calibration):
    weights = {"class_weight": {given: 9}}
    options = TrainingOptions(estimator="decision_tree", hyperparameters=weights, calibration=calibration)
    with pytest.raises(ParameterError, match=f"class_weight has the class '{given}', which .*; {re.escape(hint)}"):
        fit(failures(200), options)


def test_a_search_space_holds_values_that_the_estimator_takes():
    for estimator in ESTIMATORS:
        for dimension in estimator.search_space:
            if isinstance(dimension, Choice):
                values = list(dimension.values)
            else:
                assert isinstance(dimension, Range)
                kind = int if dimension.whole else float
                values = [kind(dimension.low), kind(dimension.high)]
            for value in values:
                assert estimator.check({dimension.name: value}), (estimator.name, dimension.name)


def test_more_rows_than_an_estimator_can_learn_from_are_refused():
    (svm,) = (estimator for estimator in CLASSIFIERS if estimator.name == "svm")
    with pytest.raises(DataError, match="svm learns from at most 20,000 rows, .* there are 20,001 training rows"):
        svm.fit(failures(20_001), 0, {})


def test_a_class_of_a_single_row_is_refused_where_probabilities_are_calibrated():
    data = failures(400)
    labels = data.y().copy()
    labels[:] = 0
    labels[7] = 1
    with pytest.raises(DataError, match="the class 1 has a single training row"):
        fit(Dataset(data.frame.assign(failed=labels), data.roles, data.sha256), TrainingOptions(estimator="linear_svm"))


@pytest.mark.parametrize(
    ("task", "name", "hyperparameters", "message"),
    [
        ("classification", "logistic_regression", {"l1_ratio": 0.5}, "solver lbfgs supports only 'l2' or None"),
        ("classification", "linear_svm", {"penalty": "l1", "loss": "hinge"}, "the combination of penalty='l1' and"),
        ("classification", "random_forest", {"bootstrap": False, "max_samples": 0.5}, "cannot be set if `bootstrap="),
        ("regression", "ridge", {"positive": True, "solver": "svd"}, "'svd' does not support positive fitting"),
    ],
)
def test_hyperparameters_that_do_not_work_together_are_refused_without_data(task, name, hyperparameters, message):
    options = TrainingOptions(estimator=name, hyperparameters=hyperparameters)
    with pytest.raises(ParameterError, match=f"(?i)hyperparameters of {name} do not work together: .*{message}"):
        check_options(options, task)


@pytest.mark.parametrize(
    ("task", "name", "hyperparameters"),
    [
        ("classification", "auto", {"monotonic_cst": [1, 0, -1]}),
        ("classification", "random_forest", {"max_features": 500, "class_weight": {"Fail": 3}}),
        ("regression", "random_forest", {"criterion": "poisson"}),
        ("regression", "gradient_boosting", {"loss": "quantile", "n_estimators": 5000}),
        ("anomaly", "pca", {"n_components": 500}),
        ("anomaly", "isolation_forest", {"max_samples": 100_000}),
        ("", "svm", {"epsilon": 0.1}),
    ],
)
def test_hyperparameters_that_only_the_data_can_decide_about_are_taken(task, name, hyperparameters):
    check_options(TrainingOptions(estimator=name, hyperparameters=hyperparameters), task)


def test_constraints_for_another_number_of_columns_are_refused_in_one_sentence():
    options = TrainingOptions(hyperparameters={"monotonic_cst": [1, 0, -1]})
    with pytest.raises(DataError, match="hist_gradient_boosting cannot learn from these rows: monotonic_cst has shape"):
        fit(failures(rows=200), options)
