"""The reference counts training data so that drift is seen: values that fill the data have bins of their own."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kfp_edge.components.verify.histograms import compute_histogram
from kfp_edge.components.verify.reference import compute_reference
from kfp_edge.ml.bundle import Datatype, Histogram
from kfp_edge.ml.dataset import Dataset
from support.tables import failures, mark_training_failures


def _with_heat(values: npt.NDArray[np.floating]) -> Dataset:
    data = failures(len(values))
    return replace(data, frame=data.frame.assign(**{"heat [K]": values}))


def _histogram(values: npt.NDArray[np.floating]) -> Histogram:
    heat = compute_reference(_with_heat(values)).features["heat [K]"]
    assert isinstance(heat, Histogram)
    return heat


def _count_of_bin(histogram: Histogram, value: float) -> int:
    """Return the number of training rows in the bin of a value, 0 outside of all bins."""
    index = int(np.searchsorted(np.array(histogram.edges, np.float32), np.float32(value), side="right")) - 1
    return histogram.counts[index] if 0 <= index < len(histogram.counts) else 0


def test_every_training_row_is_counted() -> None:
    values = np.random.default_rng(0).normal(300, 2, 2000)
    values[::5] = np.nan
    reference = compute_reference(_with_heat(values))
    heat, kind = reference.features["heat [K]"], reference.features["type"]
    assert sum(heat.counts) + heat.missing == sum(kind.counts.values()) == reference.rows == 2000  # type: ignore[union-attr]


def test_numbers_without_a_frequent_value_are_counted_by_deciles() -> None:
    assert set(_histogram(np.random.default_rng(0).normal(300, 2, 2000)).counts) <= {199, 200, 201}


def test_a_constant_feature_has_a_histogram() -> None:
    assert _histogram(np.full(2000, 300.0)).counts == (2000,)


@pytest.mark.parametrize("share", [0.2, 1])
def test_the_largest_number_may_fill_the_data(share: float) -> None:
    values = np.arange(100, dtype=np.float32)
    values[: int(100 * share)] = np.finfo(np.float32).max
    histogram = _histogram(values)
    assert sum(histogram.counts) == 100
    assert np.isfinite(histogram.edges).all()


def test_a_feature_without_any_value_has_an_empty_histogram() -> None:
    assert _histogram(np.full(20, np.nan)) == Histogram(edges=(), counts=(), missing=20)


@pytest.mark.parametrize("constant", [300.0, 0.0, -1e30, 1e-45, 16_777_217.0])
def test_a_value_that_fills_the_data_has_a_bin_of_its_own(constant: float) -> None:
    values = np.random.default_rng(0).normal(constant, 1 + abs(constant) / 10, 2000)
    values[100:] = constant
    histogram = _histogram(values)
    assert _count_of_bin(histogram, constant) == 1900
    assert _count_of_bin(histogram, float(np.nextafter(np.float32(constant), np.float32(np.inf)))) < 100


def test_a_flag_has_a_bin_for_each_of_its_values() -> None:
    histogram = _histogram((np.arange(1000) % 4 == 0).astype(float))
    assert [_count_of_bin(histogram, value) for value in (0, 0.5, 1)] == [750, 0, 250]


@given(arrays(np.float32, st.integers(1, 60), elements=st.sampled_from([0.0, -0.0, 1.0, 2.5, np.nan, 1e-45, 3e38])))
def test_edges_are_increasing_numbers_of_the_model_and_no_row_is_lost(values: npt.NDArray[np.float32]) -> None:
    histogram = _histogram(values)
    edges = np.array(histogram.edges, np.float32)
    assert edges.tolist() == list(histogram.edges)
    assert (np.diff(edges) > 0).all()
    assert len(histogram.counts) == max(0, len(edges) - 1)
    assert sum(histogram.counts) + histogram.missing == len(values)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_values_are_counted_as_the_model_gets_them(datatype: Datatype) -> None:
    dtype: Any = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}[datatype]
    values = np.concatenate([np.full(60, 0.1), np.linspace(-1, 1, 40), [np.nan]])
    histogram = compute_histogram(values, datatype)
    edges = np.array(histogram.edges, dtype)
    assert edges.tolist() == list(histogram.edges)
    start = int(np.searchsorted(edges, dtype(0.1)))
    assert (edges[start], edges[start + 1]) == (dtype(0.1), np.nextafter(dtype(0.1), dtype(1)))
    assert histogram.counts[start] == 60
    assert (sum(histogram.counts), histogram.missing) == (100, 1)


def test_large_integers_are_not_rounded_to_float32() -> None:
    values = np.array([16_777_219] * 60 + list(range(16_777_220, 16_777_260)), np.float64)
    assert _count_of(compute_histogram(values, "INT64"), 16_777_219) == 60


def _count_of(histogram: Histogram, value: int) -> int:
    return histogram.counts[int(np.searchsorted(histogram.edges, value, side="right")) - 1]


def test_answers_that_are_infinite_or_missing_are_counted() -> None:
    histogram = compute_histogram(np.array([np.inf, -np.inf, np.nan, *range(20)]), "FP32")
    assert (sum(histogram.counts), histogram.missing) == (22, 1)
    assert np.isfinite(histogram.edges).all()


def test_failures_among_the_training_rows_of_a_detector_are_not_counted() -> None:
    reference = compute_reference(mark_training_failures())
    heat = reference.features["temperature"]
    assert isinstance(heat, Histogram)
    assert reference.rows == sum(heat.counts) == 570
    assert max(heat.edges) < 1.01
