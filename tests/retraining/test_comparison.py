"""A new model replaces the one in use only where it is surely better now, and no worse on what was usual before."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kfp_edge.errors import ParameterError
from kfp_edge.ml.arrays import Float64s
from kfp_edge.ml.dataset import Dataset, Preparation, Roles
from kfp_edge.retraining.comparison import Comparison, Period, Predictor, compare
from kfp_edge.tasks.classification.predictions import ClassPredictions

HOUR = 3_600_000_000
START = pd.Timestamp("2026-01-01")


def readings(rows: int, seed: int, *, weight: float, first: int = 0) -> pd.DataFrame:
    """Rows of every hour; a machine fails where `load + weight * heat` is high."""
    generator = np.random.default_rng(seed)
    load, heat = generator.normal(size=(2, rows)).astype(np.float32)
    failed = (load + weight * heat + generator.normal(size=rows) > 1).astype(np.int64)
    times = START + pd.to_timedelta(np.arange(first, first + rows), unit="h")
    return pd.DataFrame({"load": load, "heat": heat, "at": times, "failed": failed})


def dataset_of(*frames: pd.DataFrame, recent_from: int | None = None) -> Dataset:
    roles = Roles("classification", "failed", ("load", "heat"), (), time="at", positive=1)
    since = None if recent_from is None else START.value // 1000 + recent_from * HOUR
    return Dataset(pd.concat(frames, ignore_index=True), roles, "0" * 64, Preparation("time", recent_since=since))


def model_of(weight: Callable[[pd.DataFrame], Float64s] | float, noise: int = 0) -> Predictor:
    """Return a model with its own idea of how much heat counts, and, with a seed, an error of its own in each row."""

    def predict(data: Dataset) -> ClassPredictions:
        frame = data.frame
        weights = weight(frame) if callable(weight) else weight
        score = frame["load"] + weights * frame["heat"] - 1
        if noise:
            hours = ((frame["at"] - START) // pd.Timedelta(hours=1)).to_numpy()
            score = score + np.random.default_rng(noise).normal(size=20_000)[hours]
        probability = (1 / (1 + np.exp(-score))).to_numpy(np.float32)
        label = (probability > 0.5).astype(np.int64)
        return ClassPredictions(label, np.column_stack([1 - probability, probability]), (0, 1), positive=1)

    return predict


def changes_at_6000(frame: pd.DataFrame) -> Float64s:
    return np.where(frame["at"] < START + pd.Timedelta(hours=6000), 0.0, -3.0)


OF_BEFORE, OF_BOTH, OF_NOW = model_of(0.0), model_of(changes_at_6000), model_of(-3.0)
#: Held-out rows of both periods.
TEST = dataset_of(readings(800, 3, weight=0, first=5000), readings(800, 4, weight=-3, first=6000), recent_from=6000)


def values_of(comparison: Comparison) -> dict[Period, tuple[float, float]]:
    return {
        each.period: (each.values.champion, each.values.challenger)
        for each in comparison.periods
        if each.values is not None
    }


class TestANewModel:
    def test_that_learned_what_is_usual_now_is_better(self) -> None:
        comparison = compare(OF_BEFORE, OF_BOTH, TEST, margin=0.2)
        assert comparison.is_better, comparison.reason
        assert comparison.reason.startswith("the new model is better: roc_auc 0.")
        assert [period.rows for period in comparison.periods] == [800, 800]

    def test_that_forgot_what_was_usual_before_is_not(self) -> None:
        comparison = compare(OF_BEFORE, OF_NOW, TEST, margin=0.01)
        assert not comparison.is_better
        assert comparison.reason.startswith("the new model is worse on the rows before: roc_auc 0.")
        assert comparison.reason.endswith("which is more than the margin of 0.01")

    def test_that_is_the_same_is_not(self) -> None:
        comparison = compare(OF_BEFORE, OF_BEFORE, TEST, margin=0.01)
        assert not comparison.is_better
        assert "is not surely better" in comparison.reason
        assert all(champion == challenger for champion, challenger in values_of(comparison).values())

    def test_that_gains_by_chance_only_is_rarely_called_better(self) -> None:
        calls = []
        for seed in range(60):
            first, second = model_of(0.0, noise=2 * seed + 1), model_of(0.0, noise=2 * seed + 2)
            test = dataset_of(readings(300, 500 + seed, weight=0))
            calls.append(compare(first, second, test, margin=0).is_better)
        assert sum(calls) <= 8, "5 % of 60 are 3; more than 8 would happen once in 250 times"


class TestTheRows:
    def test_are_compared_together_without_periods(self) -> None:
        comparison = compare(OF_BEFORE, OF_BOTH, dataset_of(TEST.frame), margin=0.01)
        assert [period.period for period in comparison.periods] == [Period.ALL]

    def test_that_are_too_few_decide_nothing(self) -> None:
        frame = TEST.frame.groupby("failed").head(1)
        comparison = compare(OF_BEFORE, OF_BOTH, dataset_of(frame), margin=0.01)
        assert not comparison.is_better
        assert "too few" in comparison.reason

    def test_of_one_class_decide_nothing(self) -> None:
        frame = TEST.frame[TEST.frame["failed"] == 0]
        comparison = compare(OF_BEFORE, OF_BOTH, dataset_of(frame), margin=0.01, metric="roc_auc")
        assert comparison.reason == (
            "roc_auc cannot be measured on the held-out rows: they lack a class, or have no labels"
        )

    def test_of_machines_are_left_out_together(self) -> None:
        frame = TEST.frame.assign(machine=[f"m{row % 8}" for row in range(len(TEST.frame))])
        roles = dataclasses.replace(TEST.roles, group="machine")
        data = dataclasses.replace(TEST, frame=frame, roles=roles, preparation=Preparation("group"))
        assert compare(OF_BEFORE, OF_BOTH, data, margin=0.01).is_better


class TestTheMetric:
    def test_may_be_named(self) -> None:
        comparison = compare(OF_BEFORE, OF_BOTH, TEST, margin=0.5, metric="log_loss")
        assert comparison.metric == "log_loss"
        assert comparison.is_better, "less is better"

    @pytest.mark.parametrize("metric", ["precise", "test_rows"])
    def test_without_a_better_direction_is_refused(self, metric: str, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match=f"compared_metric is '{metric}', of which no value is better"):
            compare(OF_BEFORE, OF_BOTH, TEST, margin=0.01, metric=metric)
