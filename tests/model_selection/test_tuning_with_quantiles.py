"""Tuning a regression with quantiles: what is searched for the number is not forced on the models of the quantiles."""

import pytest

from kfp_edge.components.train.train import fit
from kfp_edge.errors import DataError
from kfp_edge.estimators.registry import choose_estimator
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.estimators import final_estimator
from kfp_edge.model_selection.tuning import Search, SearchOptions, tune
from kfp_edge.tasks.regression.quantile_regressor import QuantileRegressor
from kfp_edge.tasks.task import TrainingOptions
from support.wear_tables import wear

FOLDS = 2
QUANTILES = TrainingOptions(quantiles=(0.1, 0.9), hyperparameters={"max_iter": 5})


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each fit of a model with quantiles."""
    rows: list[int] = []
    fit_quantiles = QuantileRegressor.fit

    def count_fit(self, x, y, *folds):
        rows.append(len(y))
        return fit_quantiles(self, x, y, *folds)

    monkeypatch.setattr(QuantileRegressor, "fit", count_fit)
    return rows


def search(data: Dataset, training: TrainingOptions = QUANTILES, metric: str = "") -> Search:
    estimator = choose_estimator(training.estimator, "regression")
    return tune(data, estimator, training, SearchOptions(4, metric, FOLDS))


def test_quantiles_are_fitted_for_the_first_and_the_best_trial_only(fits):
    result = search(wear(200))
    assert len(fits) == FOLDS * (2 if result.record.best else 1)
    assert len(result.cross_validation.metrics["coverage"].values) == FOLDS
    assert result.record.trials[result.record.best].score == pytest.approx(
        result.cross_validation.metrics["r2"].mean, abs=1e-6
    )


def test_the_models_of_the_quantiles_keep_their_hyperparameters():
    data = wear(200)
    result = search(data, TrainingOptions(quantiles=(0.1, 0.9), hyperparameters={"learning_rate": 0.01}))
    assert result.record.best > 0
    model = final_estimator(fit(data, result.options))
    chosen = result.options.hyperparameters["max_iter"]
    assert chosen != 100
    assert (model.regressor_.learning_rate, model.regressor_.max_iter) == (0.01, chosen)
    assert [(each.learning_rate, each.max_iter) for each in model.quantile_regressors_] == [(0.01, 100), (0.01, 100)]


def test_a_metric_of_quantiles_chooses_their_hyperparameters_and_not_those_of_the_number():
    result = search(wear(200, noise=1.0), metric="pinball_loss")
    assert result.record.best > 0
    assert result.options.hyperparameters == {"max_iter": 5}
    assert result.options.quantile_hyperparameters.keys() > {"min_samples_leaf", "max_iter"}
    scores = [trial.score for trial in result.record.trials]
    assert scores[result.record.best] == min(scores)


def test_a_metric_of_quantiles_without_quantiles_gets_the_parameter():
    with pytest.raises(DataError, match=r"pinball_loss, which is measured with .* quantiles=\[0.1, 0.9\]"):
        search(wear(200), TrainingOptions(), "pinball_loss")
