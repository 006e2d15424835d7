"""Population stability index and its significance."""

import numpy as np
import pytest

from kfp_edge.drift.statistics import compare, compute_psi
from support.drift import Column, in_parts

TRAINING = np.random.default_rng(0).normal(size=8000)
COLUMN = Column(TRAINING)


def repeat(rows: int, times: int, shift: float = 0.0, correlation: float = 0.0) -> list[tuple[float, float | None]]:
    """Return PSI and p-value of repeated windows of a sensor."""
    changes = []
    for seed in range(times):
        noise = np.random.default_rng(seed).normal(size=rows)
        values = np.empty(rows)
        values[0] = noise[0]
        for index in range(1, rows):
            values[index] = correlation * values[index - 1] + np.sqrt(1 - correlation**2) * noise[index]
        change = compare(in_parts(COLUMN, values + shift), COLUMN.bins.counts)
        changes.append((change.psi, change.p_value))
    return changes


class TestThePopulationStabilityIndex:
    def test_is_0_for_equal_shares(self) -> None:
        assert compute_psi(np.array([100, 300]), np.array([1000, 3000])) == pytest.approx(0, abs=1e-6)

    def test_is_the_sum_over_bins_of_the_difference_times_the_logarithm_of_the_ratio(self) -> None:
        expected = (0.6 - 0.5) * np.log(0.6 / 0.5) + (0.4 - 0.5) * np.log(0.4 / 0.5)
        assert compute_psi(np.array([60_000, 40_000]), np.array([50_000, 50_000])) == pytest.approx(expected, rel=1e-3)

    def test_without_drift_is_a_matter_of_rows(self) -> None:
        """The sentence of the documents: a rule of 0.2 alone raises false alarms in small windows."""
        shares = [np.mean([psi > 0.2 for psi, _ in repeat(rows, 200)]) for rows in (50, 100, 200)]
        assert shares[0] > 0.15
        assert shares[1] < 0.1
        assert shares[2] == 0

    def test_ignores_bins_that_neither_has(self) -> None:
        counts = np.array([100, 200]), np.array([1000, 3000])
        with_empty = np.array([100, 0, 200]), np.array([1000, 0, 3000])
        assert compute_psi(*with_empty) == pytest.approx(compute_psi(*counts))

    def test_is_finite_for_values_that_training_never_had(self) -> None:
        assert 5 < compute_psi(np.array([0, 0, 500]), np.array([4000, 4000, 0])) < 20


class TestSignificance:
    @pytest.mark.parametrize("rows", [50, 100, 500])
    def test_is_rare_without_drift(self, rows: int) -> None:
        p_values = [p_value for _, p_value in repeat(rows, 300)]
        assert all(p_value is not None for p_value in p_values)
        assert np.mean([(p_value or 0) < 0.05 for p_value in p_values]) <= 0.05

    def test_is_rare_without_drift_where_rows_depend_on_those_before(self) -> None:
        p_values = [p_value or 0 for _, p_value in repeat(1500, 100, correlation=0.9)]
        assert np.mean([p_value < 0.01 for p_value in p_values]) <= 0.05

    def test_finds_a_shift_of_half_a_standard_deviation_in_500_rows(self) -> None:
        assert np.mean([(p_value or 0) < 0.001 for _, p_value in repeat(500, 50, shift=0.5)]) > 0.9

    def test_is_unknown_where_rows_are_in_few_parts_of_the_window(self) -> None:
        parts = in_parts(COLUMN, TRAINING[:1000])
        parts[4:] = 0
        assert compare(parts, COLUMN.bins.counts).p_value is None

    def test_says_how_many_rows_say_as_much_as_one(self) -> None:
        repeated = np.repeat(np.random.default_rng(1).normal(size=200), 20)
        independent = np.random.default_rng(1).normal(size=4000)
        assert compare(in_parts(COLUMN, repeated), COLUMN.bins.counts).rows_per_independent > 8
        assert compare(in_parts(COLUMN, independent), COLUMN.bins.counts).rows_per_independent < 3

    def test_of_a_feature_that_is_constant_in_both(self) -> None:
        column = Column(np.full(1000, 3.0))
        change = compare(in_parts(column, np.full(500, 3.0)), column.bins.counts)
        assert (change.psi, change.p_value) == (pytest.approx(0, abs=1e-2), 1.0)

    def test_of_a_feature_that_is_mostly_constant(self) -> None:
        rng = np.random.default_rng(0)
        column = Column(np.where(rng.random(8000) < 0.97, 0.0, rng.random(8000)))
        without, late = (np.where(rng.random(1000) < share, 0.0, rng.random(1000)) for share in (0.97, 0.5))
        assert (compare(in_parts(column, without), column.bins.counts).p_value or 0) > 0.01
        assert (compare(in_parts(column, late), column.bins.counts).p_value or 1) < 1e-6


class TestWindowsBefore:
    @staticmethod
    def windows(levels: list[float]) -> np.ndarray:
        """Return the counts of windows of 400 rows whose values stay near a level."""
        rng = np.random.default_rng(2)
        return np.stack([COLUMN.count(rng.normal(level, 0.3, size=400)) for level in levels])

    def p_value(self, level: float, before: list[float] | None) -> float:
        parts = in_parts(COLUMN, np.random.default_rng(3).normal(level, 0.3, size=400))
        history = None if before is None else self.windows(before)
        p_value = compare(parts, COLUMN.bins.counts, history).p_value
        assert p_value is not None
        return p_value

    def test_show_that_a_value_moves_more_slowly_than_a_window_is_long(self) -> None:
        """Each window has its own level, so one more level is no drift."""
        levels = list(np.random.default_rng(4).normal(size=8))
        assert self.p_value(1.0, None) < 1e-6
        assert self.p_value(1.0, levels) > 0.01

    def test_do_not_hide_drift_that_began_in_one_of_them(self) -> None:
        for later in range(5):
            assert self.p_value(1.5, [0.0] * (8 - later) + [1.5] * later) < 0.01, later

    def test_that_drift_slowly_do_not_hide_it(self) -> None:
        assert self.p_value(1.6, [0.2 * number for number in range(8)]) < 0.01

    def test_that_are_fewer_than_five_say_nothing(self) -> None:
        assert self.p_value(1.0, [0.0, 1.0, 0.0, 1.0]) == self.p_value(1.0, None)
