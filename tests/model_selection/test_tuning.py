"""Tuning finds hyperparameters that are better than the default ones, from training rows alone."""

import dataclasses
import itertools
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

from kfp_edge.components.train.train import fit
from kfp_edge.errors import DataError, ParameterError
from kfp_edge.estimators.registry import choose_estimator, find_estimator
from kfp_edge.ml import dataset
from kfp_edge.ml.dataset import Dataset, Roles
from kfp_edge.ml.skops_model import save_model
from kfp_edge.model_report.selection_tables import describe_training
from kfp_edge.model_selection.cross_validation import cross_validate
from kfp_edge.model_selection.record import TrainingRecord, TrialRecord, Tuning
from kfp_edge.model_selection.selection import SelectionOptions, select_model
from kfp_edge.model_selection.tuning import Search, SearchOptions, tune
from kfp_edge.tasks.task import TrainingOptions
from support.tables import SHA, anomalies, choose_rate, failures

TREE = TrainingOptions(estimator="decision_tree")
PCA = TrainingOptions(0, 0.05, estimator="pca")


@pytest.fixture(scope="module")
def checkerboard() -> Dataset:
    """Rows that only a deep tree with small leaves can tell apart: the default depth is too small for them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(0, 4, (600, 3)).astype(np.float32), columns=["a", "b", "c"])
    failed = (np.floor(frame["a"]) + np.floor(frame["b"])) % 2
    return Dataset(
        frame.assign(failed=failed.astype(np.int64)), Roles("classification", "failed", ("a", "b", "c"), ()), SHA
    )


def search(data: Dataset, training: TrainingOptions = TREE, **options: object) -> Search:
    estimator = find_estimator(training.estimator, data.roles.task)
    return tune(data, estimator, training, SearchOptions(**{"trials": 8, "folds": 3, **options}))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def found(checkerboard) -> Search:
    return search(checkerboard)


def test_tuning_finds_what_is_better_than_the_default(found):
    trials = found.record.trials
    assert trials[found.record.best].score == max(trial.score for trial in trials)
    assert trials[found.record.best].score > trials[0].score + 0.02


def test_the_first_trial_has_the_default_hyperparameters(found):
    assert found.record.trials[0].hyperparameters == {
        "max_depth": "6",
        "min_samples_leaf": "5",
        "ccp_alpha": "0.0",
    }


def test_the_metrics_over_folds_are_those_of_the_chosen_hyperparameters(found):
    assert found.cross_validation.metrics["roc_auc"].mean == found.record.trials[found.record.best].score


def test_the_default_is_kept_where_nothing_is_better():
    data = failures(200, categorical=False)
    separable = dataclasses.replace(
        data, frame=data.frame.assign(failed=(data.frame["heat [K]"] > 300).astype(np.int64))
    )
    result = search(separable, trials=4)
    assert result.record.best == 0
    assert result.options.hyperparameters == {}


@pytest.mark.parametrize("metric", ["log_loss", "brier_score"])
def test_a_metric_of_which_less_is_better_is_minimized(checkerboard, metric):
    record = search(checkerboard, trials=4, metric=metric).record
    assert record.trials[record.best].score == min(trial.score for trial in record.trials)


def test_hyperparameters_of_the_user_are_kept(checkerboard):
    training = dataclasses.replace(TREE, hyperparameters={"max_depth": 3})
    result = search(checkerboard, training, trials=3)
    assert result.options.hyperparameters["max_depth"] == 3
    assert all("max_depth" not in trial.hyperparameters for trial in result.record.trials)


def test_nothing_to_search_is_refused(checkerboard):
    given = {"max_depth": 3, "min_samples_leaf": 5, "ccp_alpha": 0.0}
    with pytest.raises(ParameterError, match="hyperparameters gives everything .*; leave one out, or write tune=0."):
        search(checkerboard, dataclasses.replace(TREE, hyperparameters=given))


@pytest.mark.parametrize(("make", "estimator"), [(failures, "random_forest"), (anomalies, "pca")])
def test_same_data_seed_and_trials_give_the_same_model_bytes(tmp_path, make, estimator):
    data = make(500)
    dataset.save(data, tmp_path / "rows")
    options = TrainingOptions(3, choose_rate(data, 0.05), estimator=estimator)
    for name in ("first", "second"):
        chosen = select_model(tmp_path / "rows", options, SelectionOptions(folds=2, tune=3)).options
        save_model(fit(dataset.load(tmp_path / "rows"), chosen), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_the_seed_draws_the_hyperparameters(checkerboard, found):
    other = search(checkerboard, dataclasses.replace(TREE, seed=1))
    assert other.record.trials[1:] != found.record.trials[1:]


def test_the_time_limit_ends_the_search_and_is_stated(checkerboard, monkeypatch, capsys):
    """A clock that advances by a minute whenever it is read: one reading per fold after the first trial."""
    minutes = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: 60.0 * next(minutes))
    record = search(checkerboard, trials=50, minutes=8).record
    assert record.is_cut_short
    assert len(record.trials) == 3
    assert record.outcome == "stopped after 3 of 50 trials"
    assert "tuning: stopped after 3 of 50 trials" in capsys.readouterr().out


def test_a_time_limit_that_is_not_reached_changes_nothing(checkerboard, found):
    assert search(checkerboard, minutes=600) == found


def test_the_default_hyperparameters_are_measured_whatever_the_time_limit(checkerboard):
    record = search(checkerboard, minutes=1e-9).record
    assert (len(record.trials), record.best) == (1, 0)


def test_progress_is_printed(checkerboard, capsys):
    search(checkerboard, trials=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tuning decision_tree for the highest roc_auc over 3 folds of ")
    assert lines[1].startswith("trial 1 of 2: roc_auc 0.")
    assert ", best 0." in lines[2]


def test_a_trial_that_fails_is_stated_and_the_others_go_on(checkerboard, monkeypatch):
    """Trees of a depth that cannot be fitted."""
    estimator = find_estimator("decision_tree", "classification")
    original = type(estimator).fit

    def fit_shallow(self, data, seed, hyperparameters, weights=None):
        if hyperparameters.get("max_depth", 0) > 6:
            raise DataError("the tree is too deep.")
        return original(self, data, seed, hyperparameters, weights)

    monkeypatch.setattr(type(estimator), "fit", fit_shallow)
    trials = search(checkerboard).record.trials
    failed = [trial for trial in trials if trial.score is None]
    assert failed
    assert {trial.problem for trial in failed} == {"the tree is too deep."}
    assert all(int(trial.hyperparameters["max_depth"]) > 6 for trial in failed)


def test_a_metric_that_no_fold_defines_is_refused_with_what_to_write():
    data = anomalies(600)
    normal = dataclasses.replace(data, frame=data.frame[data.frame["odd"] == 0].reset_index(drop=True))
    with pytest.raises(DataError, match=r"compared by roc_auc, .* on no fold; .*specificity.*or write tune=0."):
        search(normal, PCA, trials=2)


def test_rows_without_labels_cannot_be_tuned_on():
    with pytest.raises(DataError, match="cannot be compared without labels; .*, or write tune=0."):
        search(anomalies(600, labelled=False), PCA, trials=2)


def test_an_estimator_without_a_search_space_is_refused(checkerboard):
    own = choose_estimator(DecisionTreeClassifier(), "classification")
    with pytest.raises(ParameterError, match="nothing is searched for .*; write tune=0."):
        tune(checkerboard, own, TREE, SearchOptions(2))


class _CountedFits:
    """Counts how often scikit-learn fits a model of a class."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: type) -> None:
        self.count, fit = 0, model.fit

        def counted(*args: object, **options: object) -> object:
            self.count += 1
            return fit(*args, **options)

        monkeypatch.setattr(model, "fit", counted)


def _tune_tree(data: Dataset, metric: str, threshold: dict[str, float]) -> Search:
    training = TrainingOptions(estimator="decision_tree", threshold=threshold)
    options = SearchOptions(trials=4, metric=metric, folds=3)
    return tune(data, find_estimator("decision_tree", "classification"), training, options)


def test_a_threshold_is_not_chosen_in_trials_that_are_compared_by_probabilities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fits = _CountedFits(monkeypatch, DecisionTreeClassifier)
    _tune_tree(failures(600), "roc_auc", {"recall": 0.9})
    # the first trial and the best one choose a threshold, each with five more fits in every fold
    assert fits.count <= 3 * (6 + 3 + 6)


def test_the_best_trial_is_measured_with_the_threshold_that_it_will_have() -> None:
    data = failures(900)
    search = _tune_tree(data, "roc_auc", {"false_alarm_rate": 0.02})
    assert search.options.threshold == {"false_alarm_rate": 0.02}
    assert search.cross_validation == cross_validate(data, search.options, 3)
    plain = _tune_tree(data, "roc_auc", {})
    assert search.record == plain.record


def test_trials_that_are_compared_by_labels_choose_their_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = _CountedFits(monkeypatch, DecisionTreeClassifier)
    search = _tune_tree(failures(600), "recall", {"recall": 0.9})
    assert fits.count == 4 * 3 * 6
    best = search.record.trials[search.record.best].score
    assert best == pytest.approx(search.cross_validation.metrics["recall"].mean, abs=1e-6)


def test_what_a_threshold_cannot_do_is_found_before_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = _CountedFits(monkeypatch, DecisionTreeClassifier)
    data = failures(300)
    three = dataclasses.replace(data, frame=data.frame.assign(failed=np.arange(300) % 3))
    with pytest.raises(ParameterError, match="threshold decides between two classes"):
        _tune_tree(three, "roc_auc", {"recall": 0.9})
    assert fits.count == 0


# --- what the report says of the trials


def describe(*scores: float, best: int) -> str:
    """Return the note on a search for the highest ROC AUC."""
    trials = tuple(TrialRecord(score=score, hyperparameters={"C": "1"}) for score in scores)
    tuning = Tuning(estimator="svm", metric="roc_auc", asked=len(scores), trials=trials, best=best)
    return describe_training(TrainingRecord(tuning=tuning), {})[0].note


def test_the_best_trial_is_compared_with_the_default_hyperparameters() -> None:
    expected = "Trial 2 has the highest mean roc_auc over the folds: 0.95; the default hyperparameters (trial 1) have "
    assert describe(0.9, 0.95, best=1) == f"{expected}0.9. 2 trials."


def test_default_hyperparameters_that_are_the_best_are_not_compared_with_themselves() -> None:
    expected = "The default hyperparameters (trial 1) have the highest mean roc_auc over the folds: 0.95."
    assert describe(0.95, 0.9, best=0) == f"{expected} 2 trials."
    assert describe(0.95, best=0) == f"{expected} 1 trial."
