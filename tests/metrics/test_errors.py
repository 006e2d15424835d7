"""Intervals of errors contain the truth as often as they promise, also where machines differ."""

import numpy as np
import pytest

from kfp_edge.metrics.errors import measure_r2, measure_ratio
from kfp_edge.metrics.intervals import measure_roc_auc, measure_share

SAMPLES = 200
#: Rows of a machine, the standard deviation of the offsets of machines relative to that of their rows, and of errors.
ROWS, OFFSETS, ERROR = 60, 3.0, 0.5
TRUE_R2 = 1 - ERROR**2 / (1 + OFFSETS**2)


def sample(seed: int, machines: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return true numbers, squared errors and the machine of each row."""
    rng = np.random.default_rng(seed)
    machine = np.repeat(np.arange(machines), ROWS)
    truth = rng.normal(0, OFFSETS, machines)[machine] + rng.normal(0, 1, len(machine))
    return truth, rng.normal(0, ERROR, len(machine)) ** 2, machine


@pytest.mark.parametrize(("machines", "least"), [(2, 0.85), (3, 0.85), (10, 0.85), (20, 0.88)])
def test_the_interval_of_r2_contains_the_truth_where_machines_differ(machines: int, least: float) -> None:
    samples = [sample(seed, machines) for seed in range(SAMPLES)]
    intervals = [measure_r2(squared, truth, machine) for truth, squared, machine in samples]
    assert np.mean([each.low <= TRUE_R2 <= each.high for each in intervals if each is not None]) >= least


def test_the_interval_of_r2_over_independent_rows_contains_the_truth() -> None:
    samples = [sample(seed, 300)[:2] for seed in range(SAMPLES)]
    first_rows = [(truth[::ROWS], squared[::ROWS]) for truth, squared in samples]
    intervals = [measure_r2(squared, truth, None) for truth, squared in first_rows]
    assert np.mean([each.low <= TRUE_R2 <= each.high for each in intervals if each is not None]) >= 0.92


@pytest.mark.parametrize("machines", [2, 3, 10])
def test_the_interval_of_an_error_over_machines_contains_the_truth(machines: int) -> None:
    intervals = []
    for seed in range(SAMPLES):
        rng = np.random.default_rng(seed)
        machine = np.repeat(np.arange(machines), ROWS)
        squared = (np.exp(rng.normal(0, 0.3, machines))[machine] * rng.normal(0, ERROR, len(machine))) ** 2
        intervals.append(measure_ratio(squared, np.ones(len(machine)), machine))
    expected = ERROR**2 * np.exp(2 * 0.3**2)
    assert np.mean([each.low <= expected <= each.high for each in intervals if each is not None]) >= 0.91


@pytest.mark.parametrize("machines", [2, 3, 10])
def test_the_intervals_of_recall_and_roc_area_over_machines_contain_the_truth(machines: int) -> None:
    recalls, areas = [], []
    for seed in range(SAMPLES):
        rng = np.random.default_rng(seed)
        machine = np.repeat(np.arange(machines), ROWS)
        truth = rng.random(len(machine)) < 0.3
        score = rng.normal(0, 1, machines)[machine] + rng.normal(1.5 * truth, 1)
        recalls.append(measure_share(score[truth] > 1, machine[truth]))
        areas.append(measure_roc_auc(truth, score, machine))
    # scores are normal with a variance of 2 over all machines
    assert np.mean([each.low <= 0.6382 <= each.high for each in recalls]) >= 0.91
    assert np.mean([each.low <= 0.7734 <= each.high for each in areas]) >= 0.88


def test_the_interval_of_r2_is_no_narrower_than_that_of_the_error_it_is_made_of() -> None:
    factors = []
    for seed in range(SAMPLES):
        truth, squared, machine = sample(seed, 3)
        r2, error = measure_r2(squared, truth, machine), measure_ratio(squared, np.ones(len(truth)), machine)
        assert r2 is not None
        assert error is not None
        factors.append(((1 - r2.low) / (1 - r2.high), error.high / error.low))
    of_r2, of_error = np.median(factors, axis=0)
    assert of_r2 > of_error


@pytest.mark.parametrize(
    ("truth", "squared"), [([0.0, 0, 0, 1], [1.0, 0, 0, 0]), ([0.0, 1, 0, 1], [0.0, 0, 0, 1])], ids=["equal", "right"]
)
def test_rows_that_are_all_equal_or_right_without_one_have_a_wide_interval_and_no_error(truth, squared) -> None:
    interval = measure_r2(np.array(squared), np.array(truth), None)
    assert interval is not None
    assert np.isfinite([interval.low, interval.high]).all()
    assert interval.low < 0 < interval.high


def test_a_model_that_is_always_right_has_an_r2_of_one() -> None:
    interval = measure_r2(np.zeros(4), np.arange(4.0), None)
    assert interval is not None
    assert (interval.low, interval.high) == (1.0, 1.0)
