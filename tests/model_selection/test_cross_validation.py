"""Cross-validation measures what scikit-learn's own would, on the training rows, for every task."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_score

from kfp_edge.errors import DataError
from kfp_edge.metrics.catalog import find_metric
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from kfp_edge.ml.threads import limit_threads
from kfp_edge.model_selection.cross_validation import cross_validate
from kfp_edge.model_selection.folds import make_folds
from kfp_edge.model_selection.record import TrainingRecord, parse_record, summarize_folds
from kfp_edge.tasks.task import TrainingOptions
from support.tables import SHA, anomalies, failures

OPTIONS = TrainingOptions()
PCA = TrainingOptions(0, 0.05, estimator="pca")


@pytest.fixture
def balanced() -> Dataset:
    """Rows of two classes with equal numbers of rows, whose weights are all 1, and few distinct values."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    frame = pd.DataFrame({name: (labels + rng.normal(0, 1.5, 400)).round(1).astype(np.float32) for name in "ab"})
    return Dataset(frame.assign(failed=labels), Roles("classification", "failed", ("a", "b"), (), positive=1), SHA)


def test_metrics_are_those_of_scikit_learn_for_the_same_folds(balanced):
    folds = [(fold.train, fold.test) for fold in make_folds(balanced, 5, 0).folds]
    model = HistGradientBoostingClassifier(random_state=0, early_stopping=False)
    measured = cross_validate(balanced, OPTIONS, 5).metrics
    for name, scoring, sign in (("roc_auc", "roc_auc", 1), ("recall", "recall", 1), ("log_loss", "neg_log_loss", -1)):
        with limit_threads(balanced):
            expected = sign * cross_val_score(model, balanced.x(), balanced.y(), cv=folds, scoring=scoring)
        assert measured[name].values == pytest.approx(expected, abs=1e-6)
        assert measured[name].mean == pytest.approx(expected.mean(), abs=1e-6)
        assert (measured[name].lowest, measured[name].highest) == pytest.approx(
            (expected.min(), expected.max()), abs=1e-6
        )


def numbers() -> Dataset:
    rng = np.random.default_rng(0)
    load = rng.normal(0, 1, 300)
    frame = pd.DataFrame({"load": load.astype(np.float32), "hours": 3 * load + rng.normal(0, 0.1, 300)})
    return Dataset(frame, Roles("regression", "hours", ("load",), ()), SHA, Preparation(target_median=0.0))


@pytest.mark.parametrize(
    ("data", "options", "metric"),
    [(failures(600), OPTIONS, "roc_auc"), (anomalies(600), PCA, "event_recall"), (numbers(), OPTIONS, "r2")],
)
def test_every_task_has_its_metrics_over_folds_with_an_interval(data, options, metric):
    result = cross_validate(data, options, 3)
    summary = result.metrics[metric]
    assert summary.interval is not None
    low, high = summary.interval
    assert low <= summary.mean <= high
    assert summary.lowest <= summary.mean <= summary.highest
    assert not [name for name in result.metrics if name.endswith("p_value") or not find_metric(name).direction]


def test_a_fold_that_defines_no_metric_is_left_out_with_the_reason():
    """The first rows in time are all of one class."""
    data = failures(400, categorical=False)
    labels = np.where(np.arange(400) < 120, 0, data.frame["heat [K]"] > 301).astype(np.int64)
    frame = data.frame.assign(failed=labels, at=np.arange(400))
    roles = dataclasses.replace(data.roles, time="at")
    result = cross_validate(Dataset(frame, roles, SHA, Preparation(split="time")), OPTIONS, 4)
    assert result.folds == 3
    assert len(result.left_out) == 1
    assert result.left_out[0].startswith("fold 1 of 4 was left out: ")


def test_folds_of_which_too_few_can_be_measured_are_refused():
    data = failures(400, categorical=False)
    frame = data.frame.assign(failed=(np.arange(400) > 380).astype(np.int64), at=np.arange(400))
    roles = dataclasses.replace(data.roles, time="at")
    with pytest.raises(DataError, match="fewer than 2 of 3 folds could be measured; of fold .*; write folds=0"):
        cross_validate(Dataset(frame, roles, SHA, Preparation(split="time")), OPTIONS, 3)


def test_the_interval_is_wider_than_that_of_independent_values():
    """Nadeau and Bengio (2003): of five folds, the variance of the mean is 0.2 + 0.25 of the values' own, not 0.2."""
    values = [0.9, 0.92, 0.88, 0.91, 0.89]
    (summary,) = summarize_folds([{"recall": value} for value in values], 0.25).values()
    error = np.std(values, ddof=1) * np.sqrt(0.2 + 0.25)
    assert summary.interval == pytest.approx((0.9 - 2.7764 * error, 0.9 + 2.7764 * error), abs=1e-5)


def test_the_interval_stays_within_the_range_of_the_metric():
    (summary,) = summarize_folds([{"recall": 1.0}, {"recall": 0.98}], 1.0).values()
    assert summary.interval[1] == 1.0


def test_a_metric_that_some_folds_do_not_define_is_summarized_over_the_others():
    summaries = summarize_folds([{"recall": 0.5, "accuracy": 0.9}, {"accuracy": 0.8}], 1.0)
    assert summaries["recall"].values == (0.5,)
    assert summaries["recall"].interval is None
    assert len(summaries["accuracy"].values) == 2


def test_the_record_is_the_same_after_it_was_read():
    record = TrainingRecord(cross_validation=cross_validate(failures(300), OPTIONS, 2))
    assert parse_record(record.model_dump_json()) == record
    assert parse_record("") is None
