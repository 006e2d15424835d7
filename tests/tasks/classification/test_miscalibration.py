"""Probabilities that are wrong beyond chance are described in one sentence, with what corrects them."""

import numpy as np

from kfp_edge.tasks.classification.miscalibration import describe_miscalibration


def draw(seed: int, rows: int = 2_000) -> tuple[np.ndarray, np.ndarray]:
    """Return true probabilities, and labels that are drawn with them."""
    rng = np.random.default_rng(seed)
    probability = rng.uniform(0.01, 0.99, rows)
    return probability, rng.random(rows) < probability


def test_true_probabilities_are_not_criticized():
    described = [describe_miscalibration(truth, probability, None) for probability, truth in map(draw, range(100))]
    assert sum(map(bool, described)) <= 1


def test_probabilities_that_are_too_high_are_located():
    probability, truth = draw(0)
    too_high = np.where(probability > 0.3, np.minimum(probability + 0.15, 0.999), probability)
    described = describe_miscalibration(truth, too_high, None)
    assert "by more than chance (calibration error 0.09714, p-value below 1e-06)" in described
    assert described.endswith("they are too high from 0.4 to 1.")


def test_rows_of_few_machines_that_differ_may_be_chance():
    machines = np.repeat(np.arange(6), 50)
    offsets = np.random.default_rng(1).choice([0.2, 0.8], 6)[machines]
    truth = np.random.default_rng(2).random(300) < offsets
    probability = np.full(300, truth.mean() + 0.1)
    assert describe_miscalibration(truth, probability, None) != ""
    assert describe_miscalibration(truth, probability, machines) == ""
