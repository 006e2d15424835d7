"""A saved model is loaded, or refused with a reason; no code in it ever runs."""

import pickle
import statistics
import sys
from pathlib import Path

import numpy as np
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, StandardScaler
from sklearn.svm import SVC

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.skops_model import load_model, save_model
from support.skops_files import copy_with
from support.tables import failures, train_model

SKOPS_FILES = Path(__file__).with_name("skops_files")


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("models") / "model.skops"
    save_model(train_model(failures(400)), path)
    return path.read_bytes()


def test_skops_can_read_a_saved_model(saved):
    types = skops.io.get_untrusted_types(data=saved)
    assert skops.io.loads(saved, trusted=types).classes_.tolist() == [0, 1]


def test_a_pickle_is_refused_and_never_loaded(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(LogisticRegression()))
    with pytest.raises(KfpEdgeError, match="damaged or was not saved with skops"):
        load_model(path)


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(KfpEdgeError, match="there is no model at .*absent.skops"):
        load_model(tmp_path / "absent.skops")


def test_a_function_in_a_file_is_refused_with_its_name(tmp_path):
    path = tmp_path / "model.skops"
    model = make_pipeline(FunctionTransformer(statistics.fmean), LogisticRegression())
    path.write_bytes(skops.io.dumps(model))
    with pytest.raises(KfpEdgeError, match="types that are not trusted: statistics.fmean; use scikit-learn's own"):
        load_model(path)


@pytest.mark.parametrize("loader", ["ObjectNode", "ConstructorFromReduceNode", "TypeNode", "FunctionNode"])
def test_a_type_that_is_no_estimator_is_refused_however_it_would_be_loaded(tmp_path, loader):
    path = tmp_path / "model.skops"
    save_model(LogisticRegression(), path)
    renamed = [("LogisticRegression", "Fraction"), ("sklearn.linear_model._logistic", "fractions")]
    copy_with(path, path, *renamed, ('"ObjectNode"', f'"{loader}"'))
    with pytest.raises(KfpEdgeError, match=r"not trusted: fractions\.Fraction"):
        load_model(path)


def test_a_method_of_an_estimator_is_refused(tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(skops.io.dumps(FunctionTransformer(LogisticRegression().get_params)))
    copy_with(path, path, ('"sklearn.base"', '"sklearn.linear_model._logistic"'))
    with pytest.raises(KfpEdgeError, match="not trusted: .*LogisticRegression.get_params"):
        load_model(path)


def test_no_module_of_the_name_that_a_file_gives_is_imported(tmp_path, monkeypatch):
    (tmp_path / "_loss.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "_loss", raising=False)
    model = load_model(SKOPS_FILES / "1.7.2" / "hist_boosting.skops")
    assert type(model._loss.closs).__name__ == "CyHalfBinomialLoss"
    copy_with(SKOPS_FILES / "1.7.2" / "hist_boosting.skops", tmp_path / "a.skops", ("CyHalfBinomialLoss", "CyOther"))
    with pytest.raises(KfpEdgeError, match=r"not trusted: sklearn\._loss\._loss\.CyOther"):
        load_model(tmp_path / "a.skops")


def test_the_functions_that_a_search_scores_with_are_not_loaded(tmp_path):
    data = failures(100, categorical=False)
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, scoring=make_scorer(f1_score), cv=2)
    path = tmp_path / "model.skops"
    calibrated = CalibratedClassifierCV(LogisticRegression(), cv=2).fit(data.x(), data.y())
    calibrated.estimator = search.fit(data.x(), data.y())
    path.write_bytes(skops.io.dumps(calibrated))
    assert isinstance(load_model(path).estimator, LogisticRegression)


def test_a_search_without_a_best_estimator_is_refused(tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(skops.io.dumps(GridSearchCV(LogisticRegression(), {"C": [0.1, 1]})))
    with pytest.raises(KfpEdgeError, match="has no best estimator; fit it with refit=True"):
        load_model(path)


@pytest.mark.parametrize(
    "model",
    [
        BaggingClassifier(LogisticRegression(), 2),
        CalibratedClassifierCV(LogisticRegression(), cv=StratifiedKFold(2)),
        GaussianProcessClassifier(),
        LinearDiscriminantAnalysis(),
        make_pipeline(
            StandardScaler(), LogisticRegressionCV(cv=2, l1_ratios=(0,), scoring="f1", use_legacy_attributes=False)
        ),
        MLPClassifier((2,), max_iter=500, solver="lbfgs", random_state=0),
        MLPClassifier((2,), max_iter=2000, tol=0.1, random_state=0),
        OneVsRestClassifier(SGDClassifier(loss="log_loss")),
        QuadraticDiscriminantAnalysis(),
        StackingClassifier([("a", GaussianNB())], cv=2),
        VotingClassifier([("a", GaussianNB()), ("b", AdaBoostClassifier(n_estimators=2))], voting="soft"),
        make_pipeline(make_column_transformer((StandardScaler(), make_column_selector("heat"))), SVC()),
        make_pipeline(
            SelectKBest(k=1),
            KBinsDiscretizer(2, encode="ordinal", quantile_method="averaged_inverted_cdf"),
            GaussianNB(),
        ),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_estimators_of_scikit_learn_are_loaded(tmp_path, model):
    data = failures(300, categorical=False)
    path = tmp_path / "model.skops"
    save_model(model.fit(data.x(), data.y()), path)
    assert np.array_equal(load_model(path).predict(data.x()), model.predict(data.x()))


def test_a_type_that_is_not_trusted_is_named(tmp_path):
    class Odd(LogisticRegression):
        pass

    Odd.__module__ = "somewhere"
    path = tmp_path / "model.skops"
    path.write_bytes(skops.io.dumps(Odd()))
    with pytest.raises(KfpEdgeError, match=r"not trusted: somewhere\.Odd"):
        load_model(path)


@given(cut=st.floats(min_value=0, max_value=0.999))
def test_a_truncated_model_is_refused(saved, tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "model.skops"
    path.write_bytes(saved[: int(len(saved) * cut)])
    with pytest.raises(KfpEdgeError, match="damaged"):
        load_model(path)


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (LogisticRegression(), "the LogisticRegression in .* was saved before it was fitted; fit it"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "the Pipeline in .* was saved before it was fitted"),
        ({"model": 1}, "holds a dict, which is no estimator of scikit-learn; save the fitted estimator"),
    ],
)
def test_what_is_no_fitted_estimator_is_refused(tmp_path, saved, message):
    skops.io.dump(saved, tmp_path / "model.skops")
    with pytest.raises(KfpEdgeError, match=message):
        load_model(tmp_path / "model.skops")


def test_a_random_forest_can_be_loaded(tmp_path):
    data = failures(300, categorical=False)
    path = tmp_path / "model.skops"
    save_model(RandomForestClassifier(5, random_state=0).fit(data.x(), data.y()), path)
    assert load_model(path).n_classes_ == 2
