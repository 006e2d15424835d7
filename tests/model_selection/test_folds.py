"""Folds divide the training rows as the held-out rows were split off, so that nothing leaks from one into another."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from kfp_edge.errors import DataError, ParameterError
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from kfp_edge.model_selection.folds import make_folds
from support.tables import SHA, anomalies, failures


def split_by(data: Dataset, method: str) -> Dataset:
    """Return rows of which `ingest` split others off by a method."""
    return dataclasses.replace(data, preparation=Preparation(split=method))


def numbers(rows: int) -> Dataset:
    frame = pd.DataFrame({"load": np.arange(rows, dtype=np.float32), "hours": np.arange(rows) / 7})
    return Dataset(frame, Roles("regression", "hours", ("load",), ()), SHA, Preparation(split="random"))


@pytest.mark.parametrize("method", ["random", "group"])
def test_every_row_is_held_out_once(rows, method):
    folds = make_folds(split_by(rows, method), 5, 0).folds
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in folds])), np.arange(600))
    for fold in folds:
        assert np.array_equal(np.union1d(fold.train, fold.test), np.arange(600))
        assert not np.intersect1d(fold.train, fold.test).size


def test_every_fold_of_random_rows_has_the_same_share_of_each_class(rows):
    labels = rows.y()
    for fold in make_folds(split_by(rows, "random"), 5, 0).folds:
        assert abs(labels[fold.test].sum() - labels.sum() / 5) <= 1


def test_numbers_are_no_classes():
    folds = make_folds(numbers(100), 4, 0)
    assert [len(fold.test) for fold in folds.folds] == [25, 25, 25, 25]
    assert folds.description == "4 folds of rows drawn at random"


@pytest.mark.parametrize("method", ["group", "group-and-time"])
def test_rows_of_one_group_are_never_in_training_and_in_the_test_of_a_fold(rows, runs, method):
    data = split_by(rows if method == "group" else runs, method)
    groups = data.groups()
    folds = make_folds(data, 5, 0).folds
    assert len(folds) == 5
    for fold in folds:
        assert len(fold.train)
        assert len(fold.test)
        assert not set(groups[fold.train]) & set(groups[fold.test])


@pytest.mark.parametrize("method", ["time", "group-and-time"])
def test_a_fold_is_measured_on_rows_later_than_those_it_learns_from(rows, runs, method):
    data = split_by(rows if method == "time" else runs, method)
    times = data.frame["at"].to_numpy()
    trained = []
    for fold in make_folds(data, 5, 0).folds:
        assert times[fold.train].max() < times[fold.test].min()
        trained.append(len(fold.train))
    assert trained == sorted(trained)


def test_rows_in_another_order_than_time_are_divided_by_time(rows):
    shuffled = rows.frame.sample(frac=1, random_state=0).reset_index(drop=True)
    data = split_by(dataclasses.replace(rows, frame=shuffled), "time")
    times = shuffled["at"].to_numpy()
    for fold in make_folds(data, 5, 0).folds:
        assert times[fold.train].max() < times[fold.test].min()


def test_groups_that_run_at_the_same_time_are_divided_by_group_and_by_time(rows):
    data = split_by(rows, "group-and-time")
    times, groups = data.frame["at"].to_numpy(), data.groups()
    for fold in make_folds(data, 5, 0).folds:
        assert len(fold.test)
        assert len(fold.train)
        assert times[fold.train].max() < times[fold.test].min()
        assert not set(groups[fold.train]) & set(groups[fold.test])


def test_the_seed_draws_the_folds(rows):
    tests = [[tuple(fold.test) for fold in make_folds(split_by(rows, "random"), 3, seed).folds] for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize(
    ("data", "folds", "sentence"),
    [
        (anomalies(60), 5, "folds is 5, but class 1 of 'odd' has 3 training rows, .*; write folds=3."),
        (
            anomalies(20),
            5,
            "folds is 5, but class 1 of 'odd' has 1 training row, .*; write folds=0, or give more data.",
        ),
        (numbers(4), 5, "folds is 5, but there are 4 training rows; write folds=4."),
    ],
)
def test_too_few_rows_are_refused_with_what_to_write_instead(data, folds, sentence):
    with pytest.raises(DataError, match=sentence):
        make_folds(split_by(data, "random"), folds, 0)


@pytest.mark.parametrize(("method", "folds", "possible"), [("group", 13, 12), ("group-and-time", 12, 11)])
def test_too_few_groups_are_refused_with_what_to_write_instead(rows, method, folds, possible):
    rows = dataclasses.replace(rows, frame=rows.frame.assign(failed=np.arange(600) % 2))
    column = r"'machine'"
    with pytest.raises(DataError, match=f"folds is {folds}, .* 12 groups of {column}, .*; write folds={possible}."):
        make_folds(split_by(rows, method), folds, 0)
    assert len(make_folds(split_by(rows, method), possible, 0).folds) == possible


def test_what_to_write_instead_suits_the_groups_and_the_classes(rows):
    rows = dataclasses.replace(rows, frame=rows.frame.assign(failed=(np.arange(600) % 100 == 0).astype(np.int64)))
    with pytest.raises(DataError, match="folds is 13, but class 1 .* 6 training rows.*; write folds=6."):
        make_folds(split_by(rows, "group"), 13, 0)
    assert len(make_folds(split_by(rows, "group"), 6, 0).folds) == 6


def test_too_few_times_are_refused_with_what_to_write_instead(rows):
    data = split_by(dataclasses.replace(rows, frame=rows.frame.assign(at=np.arange(600) // 200)), "time")
    with pytest.raises(DataError, match="too many training rows share a time in 'at'; write folds=2."):
        make_folds(data, 4, 0)
    assert len(make_folds(data, 2, 0).folds) == 2


@pytest.mark.parametrize("folds", [1, 21, -2])
def test_an_impossible_number_of_folds_is_refused(folds):
    with pytest.raises(ParameterError, match=f"folds is {folds}; give a number from 2 to 20, or 0 for none."):
        make_folds(failures(100), folds, 0)
