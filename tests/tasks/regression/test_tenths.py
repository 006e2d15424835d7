"""Quantiles that hold on average alone are reported: in tenths of the rows by their prediction."""

import numpy as np
import pytest

from kfp_edge.tasks.registry import measure
from kfp_edge.tasks.regression.predictions import NumberPredictions
from kfp_edge.tasks.regression.tenths import measure_tenths, warn_of_tenths
from support.wear_tables import wear

LEVELS = (0.1, 0.9)
#: How far the true quantiles of a standard normal distribution are from its mean.
HALF = 1.2816
ROWS = 2_000


def predict(truth: np.ndarray, half_width: np.ndarray | float) -> NumberPredictions:
    value = np.linspace(0, 100, len(truth))
    return NumberPredictions(value, np.column_stack([value - half_width, value + half_width]), LEVELS)


def draw_truth(seed: int = 0) -> np.ndarray:
    return np.linspace(0, 100, ROWS) + np.random.default_rng(seed).normal(0, 1, ROWS)


def list_warnings(half_width: np.ndarray | float, truth: np.ndarray | None = None) -> list[str]:
    truth = draw_truth() if truth is None else truth
    return warn_of_tenths(measure_tenths(predict(truth, half_width), truth, None), LEVELS)


def test_true_quantiles_give_no_warning():
    assert [list_warnings(HALF, draw_truth(seed)) for seed in range(20)] == [[]] * 20


def test_a_quantile_that_is_far_from_a_true_one_in_a_tenth_is_named_with_its_predictions():
    value = np.linspace(0, 100, ROWS)
    low, high = value - HALF, value + HALF
    low[:200] += 1.0
    high[1800:] += 40.0
    truth = draw_truth()
    tenths = measure_tenths(NumberPredictions(value, np.column_stack([low, high]), LEVELS), truth, None)
    below, above = warn_of_tenths(tenths, LEVELS)
    assert "quantile 0.1 is far from a true one where 0 to 9.95" in below
    assert "of the true values are below it" in below
    assert "quantile 0.9 is far from a true one where 90.05 to 100 is predicted: 0 of the true values" in above
    assert "0.1 were to be" in above


def test_quantiles_that_end_at_the_bound_of_the_target_are_not_too_far_apart():
    truth = draw_truth()
    truth[1600:] = 80.0
    value = np.minimum(np.linspace(0, 100, ROWS), 80.0)
    low = np.where(value < 80.0, value - HALF, 80.0)
    quantiles = np.column_stack([low, np.minimum(value + HALF, 80.0)])
    tenths = measure_tenths(NumberPredictions(value, quantiles, LEVELS), truth, None)
    assert tenths[-1].covered == 1.0
    assert warn_of_tenths(tenths, LEVELS) == []


def test_few_rows_give_no_warning():
    truth = draw_truth()[::10]
    assert warn_of_tenths(measure_tenths(predict(truth, 9.0), truth, None), LEVELS) == []


def test_the_shares_of_a_tenth_sum_up_to_one():
    truth = draw_truth()
    for tenth in measure_tenths(predict(truth, 1.0), truth, None):
        assert tenth.below.share + tenth.covered + tenth.above.share == pytest.approx(1)
        assert tenth.width == pytest.approx(2.0)


def test_the_pinball_loss_is_lowest_at_the_true_quantiles():
    data = wear()
    truth = data.target_values()
    value = truth + np.random.default_rng(1).normal(0, 1, len(truth))
    losses = {
        half: measure(NumberPredictions(value, np.column_stack([value - half, value + half]), LEVELS), data).metrics[
            "pinball_loss"
        ]
        for half in (0.3, HALF, 5.0)
    }
    assert min(losses, key=losses.__getitem__) == HALF
