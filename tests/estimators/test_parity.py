"""Every estimator that can be named answers the same after export, on every kind of data."""

import numpy as np
import pytest

from kfp_edge.components.train.train import fit
from kfp_edge.components.verify.parity import measure_parity
from kfp_edge.estimators.registry import ESTIMATORS, list_estimators
from kfp_edge.ml.skops_model import save_model
from kfp_edge.tasks.task import TrainingOptions
from support.estimators import KINDS, choose_fast_hyperparameters, make_table, predict_both, train_fast

_EACH = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: f"{estimator.task}-{estimator.name}")
_TOLERANCE = 1e-5


@_EACH
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_export_answers_as_scikit_learn_does(tmp_path, estimator, kind, seed):
    train, unseen = make_table(estimator.task, kind, seed), make_table(estimator.task, kind, seed + 10)
    original, exported = predict_both(tmp_path, train_fast(estimator, train, seed), train, unseen)
    parity = measure_parity(original, exported, _TOLERANCE)
    assert not parity.labels_differ.any()
    assert parity.difference.max() <= _TOLERANCE


@pytest.mark.parametrize("classifier", list_estimators("classification"), ids=lambda classifier: classifier.name)
@pytest.mark.parametrize("threshold", [{}, {"recall": 0.8}], ids=["most probable", "threshold"])
def test_a_calibrated_classifier_answers_as_scikit_learn_does(tmp_path, classifier, threshold):
    train, unseen = (make_table("classification", "mixed with missing", seed) for seed in (0, 10))
    hyperparameters = choose_fast_hyperparameters(classifier)
    options = TrainingOptions(
        estimator=classifier.name, hyperparameters=hyperparameters, calibration="sigmoid", threshold=threshold
    )
    parity = measure_parity(*predict_both(tmp_path, fit(train, options), train, unseen), _TOLERANCE)
    assert parity.is_within(_TOLERANCE).all()


@_EACH
def test_the_same_data_and_seed_give_the_same_bytes(tmp_path, estimator):
    for name in ("first", "second"):
        save_model(train_fast(estimator, make_table(estimator.task, "mixed with missing", 0), seed=3), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@_EACH
def test_an_estimator_learns(estimator):
    data = make_table(estimator.task, "numbers", 0)
    model = train_fast(estimator, data)
    if estimator.task == "anomaly":
        far = data.x() + 5 * data.x().std()
        assert np.median(-model.score_samples(far)) > np.median(-model.score_samples(data.x()))
    else:
        assert model.score(data.x(), data.frame["target"]) > 0.6
