"""Statistics of rolling windows: exact, and the same bits whether one window is computed or all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kfp_edge_serving.features.rolling_windows import STATISTICS, compute_last_window, compute_windows

VALUES = st.just(np.nan) | st.floats(-(2.0**40), 2.0**40, width=32, allow_subnormal=False)
SERIES = arrays.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 80)), elements=VALUES)
WIDTHS = st.lists(st.integers(1, 40), min_size=1, max_size=3, unique=True)


def bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.uint32)


@given(series=SERIES, widths=WIDTHS)
def test_one_window_has_the_bits_that_it_has_among_all_windows(series, widths):
    windows = compute_windows(series, widths)
    longest = max(widths)
    before = np.full((len(series), longest - 1), np.nan, np.float32)
    padded = np.concatenate([before, series], axis=1)
    for row in range(series.shape[1]):
        one = compute_last_window(padded[:, row : row + longest], widths)
        assert (bits(one) == bits(windows[..., row])).all()


@given(series=SERIES, width=st.integers(1, 40))
def test_statistics_are_those_of_the_rows_of_the_window(series, width):
    windows = dict(zip(STATISTICS, np.moveaxis(compute_windows(series, [width])[:, 0], 1, 0), strict=True))
    for column, values in enumerate(series.astype(np.float64)):
        for row in range(len(values)):
            window = values[max(0, row - width + 1) : row + 1]
            known = window[~np.isnan(window)]
            got = {name: windows[name][column, row] for name in STATISTICS}
            if not len(known):
                assert np.isnan(list(got.values())).all()
                continue
            assert (got["min"], got["max"]) == (known.min(), known.max())
            scale = np.abs(known).max()
            assert got["mean"] == pytest.approx(known.mean(), rel=1e-6, abs=1e-12 * scale + 1e-44)
            deviation = known.std(ddof=1) if len(known) > 1 else 0.0
            assert got["std"] == pytest.approx(deviation, rel=1e-6, abs=1e-7 * scale + 1e-44)
            assert got["diff"] == pytest.approx(
                values[row] - known.mean(), rel=1e-6, abs=1e-7 * scale + 1e-44, nan_ok=True
            )


def test_a_spike_that_has_left_the_window_leaves_no_trace():
    series = np.random.default_rng(0).normal(50, 1, (1, 200)).astype(np.float32)
    clean = compute_windows(series, [10])
    series[0, 50] = 1e30
    windows = compute_windows(series, [10])
    assert (windows[..., 60:] == clean[..., 60:]).all()
    assert (windows[0, 0, STATISTICS.index("std"), 60:] > 0.1).all()


def test_a_constant_has_no_deviation():
    windows = compute_windows(np.full((1, 500), 0.1, np.float32), [7, 100])
    assert (windows[0, :, STATISTICS.index("std")] == 0).all()
    assert (windows[0, :, STATISTICS.index("diff")] == 0).all()


def test_long_series_are_computed_in_parts_without_a_seam():
    series = np.random.default_rng(0).normal(size=(3, 60_000)).astype(np.float32)
    windows = compute_windows(series, [6, 288])
    for row in np.linspace(287, 59_999, 200).astype(int):
        assert (windows[..., row] == compute_last_window(series[:, row - 287 : row + 1], [6, 288])).all()
