"""Intervals: few rows, and rows that depend on each other, give wide ones, which contain the truth."""

from dataclasses import replace

import numpy as np
import pytest

from kfp_edge.metrics.intervals import (
    Interval,
    compute_exact_interval,
    find_clusters,
    measure_roc_auc,
    measure_share,
)
from kfp_edge.ml.dataset import Preparation
from kfp_edge.tasks.classification.evaluation import measure_intervals
from kfp_edge.tasks.classification.predictions import ClassPredictions
from support.tables import anomalies


def _width(interval) -> float:
    return interval.high - interval.low


def _groups_with_offsets(rng, groups=12, rows=50) -> tuple[np.ndarray, np.ndarray]:
    """Return alarms whose rate differs from group to group with the mean 0.2, and the group of each row."""
    rates = rng.beta(1, 4, groups)
    return (rng.random((groups, rows)) < rates[:, None]).reshape(-1), np.repeat(np.arange(groups), rows)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"), [(0, 10, 0, 0.3085), (10, 10, 0.6915, 1), (4, 5, 0.2836, 0.9949)]
)
def test_an_exact_interval_is_that_of_clopper_and_pearson(successes, trials, low, high):
    interval = compute_exact_interval(successes, trials)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


def test_five_failures_do_not_look_like_five_thousand():
    found = [measure_share(np.arange(rows) < 0.8 * rows, None) for rows in (5, 5000)]
    assert _width(found[0]) > 20 * _width(found[1])


def test_intervals_of_independent_rows_contain_the_truth():
    rng = np.random.default_rng(0)
    intervals = [measure_share(rng.random(200) < 0.1, None) for _ in range(200)]
    assert np.mean([interval.low <= 0.1 <= interval.high for interval in intervals]) >= 0.95


def test_intervals_over_groups_contain_the_truth_where_those_over_rows_do_not():
    rng = np.random.default_rng(0)
    samples = [_groups_with_offsets(rng) for _ in range(200)]
    by_group = [measure_share(alarms, groups) for alarms, groups in samples]
    by_row = [measure_share(alarms, None) for alarms, _ in samples]
    assert np.mean([interval.low <= 0.2 <= interval.high for interval in by_group]) >= 0.9
    assert np.mean([interval.low <= 0.2 <= interval.high for interval in by_row]) < 0.6


def test_intervals_of_the_roc_area_contain_the_truth():
    rng = np.random.default_rng(0)
    truth = np.arange(300) < 30
    intervals = [measure_roc_auc(truth, rng.normal(truth, 1)) for _ in range(200)]
    assert np.mean([interval.low <= 0.7602 <= interval.high for interval in intervals]) >= 0.93


def test_intervals_of_the_roc_area_over_groups_contain_the_truth():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 30)
    truth = np.arange(600) % 5 == 0
    scores = [rng.normal(truth, 1) + rng.normal(0, 1, 20)[groups] for _ in range(200)]
    intervals = [measure_roc_auc(truth, score, groups) for score in scores]
    assert np.mean([interval.low <= 0.6915 <= interval.high for interval in intervals]) >= 0.9


@pytest.mark.parametrize("positives", [1, 5])
def test_a_perfect_area_of_few_failures_is_uncertain(positives):
    truth = np.arange(1000) < positives
    interval = measure_roc_auc(truth, truth.astype(float))
    assert interval.high == 1
    assert interval.low < 0.6


def test_a_single_failure_has_a_wide_interval():
    truth, score = np.arange(100) == 90, np.arange(100.0)
    interval = measure_roc_auc(truth, score)
    assert interval.low < 0.4


def test_every_metric_lies_in_its_interval():
    rng = np.random.default_rng(0)
    truth = (rng.random(500) < 0.2).astype(np.int64)
    share = np.clip(rng.normal(0.3 + 0.3 * truth, 0.2), 0, 1)
    predictions = ClassPredictions((share > 0.5).astype(np.int64), np.stack([1 - share, share], axis=1), classes=(0, 1))
    intervals = measure_intervals(predictions, truth, clusters=np.arange(500) // 25)
    assert {"accuracy", "recall", "precision", "roc_auc", "recall(0)", "precision(1)"} <= set(intervals)
    assert all(0 <= interval.low <= interval.high <= 1 for interval in intervals.values())


def test_rows_of_a_series_are_taken_in_blocks_and_rows_without_order_are_not():
    data = anomalies(400)
    assert find_clusters(data) is None
    timed = replace(data, roles=replace(data.roles, time="at"), frame=data.frame.assign(at=np.arange(400)))
    assert len(np.unique(find_clusters(timed))) == 20


@pytest.mark.parametrize(("split", "clusters"), [("group", 4), ("group-and-time", 4), ("time", 20)])
def test_groups_are_the_clusters_unless_a_split_by_time_has_them_in_both_parts(split, clusters):
    data = anomalies(400)
    roles = replace(data.roles, time="at", group="machine")
    frame = data.frame.assign(at=np.arange(400), machine=np.arange(400) % 4)
    data = replace(data, roles=roles, frame=frame, preparation=Preparation(split))
    assert len(np.unique(find_clusters(data))) == clusters


def test_an_end_too_small_to_matter_is_shown_as_zero() -> None:
    assert str(Interval(1.262e-43, 0.6305)) == "0 to 0.6305"
    assert str(Interval(0.0002, 1.0)) == "0.0002 to 1"
