"""Numbers are counted in the bins of training, and the bounds that Prometheus gets say "at most"."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfp_edge_serving.models.bundle import TensorSpec
from kfp_edge_serving.telemetry.bin_counts import BinCounts, TableCounts

FLOATS = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}
INTEGERS = {"INT8": np.int8, "UINT8": np.uint8, "INT32": np.int32, "INT64": np.int64, "UINT64": np.uint64}
DATATYPES = FLOATS | INTEGERS


def spec(datatype: str) -> TensorSpec:
    return TensorSpec("x", datatype, (-1, 1))


def count(edges: list[float], values: Any, datatype: str) -> BinCounts:
    table = TableCounts(spec(datatype), [edges])
    table.add(np.array(values, DATATYPES[datatype]).reshape(-1, 1))
    table.update()
    return table.bins[0]


def check(bins: BinCounts, values: Any) -> None:
    """Check the running totals against what numpy counts of the values at most each bound."""
    bounds = [float(bound) for bound in bins.upper_bounds]
    assert (np.diff(bounds) > 0).all()
    expected = [int((values <= bound).sum()) for bound in bounds]
    assert bins.cumulative.tolist() == [*expected, len(values)]


EDGES = [-5.0, -2.5, 0.0, 0.1, 1.0, 7.0, 100.0]


@pytest.mark.parametrize("datatype", FLOATS)
@given(data=st.data())
def test_values_at_the_edges_and_just_beside_them_are_at_most_their_bound(datatype: str, data: st.DataObject) -> None:
    dtype: Any = FLOATS[datatype]
    edges = np.array(EDGES, dtype)
    near = [*edges, *np.nextafter(edges, dtype(-np.inf)), *np.nextafter(edges, dtype(np.inf))]
    values = np.array(data.draw(st.lists(st.sampled_from(near), max_size=30)), dtype)
    bins = count(EDGES, values, datatype)
    check(bins, values)
    assert bins.counts[1:-1].tolist() == np.histogram(values, edges)[0].tolist()


@pytest.mark.parametrize("datatype", INTEGERS)
@given(values=st.lists(st.integers(0, 101), max_size=30))
def test_integers_are_at_most_their_bound(datatype: str, values: list[int]) -> None:
    edges = [0.0, 1.0, 7.0, float(np.nextafter(7, 8)), 100.0]
    bins = count(edges, values, datatype)
    check(bins, np.array(values))
    assert bins.upper_bounds == ("-1", "0", "6", "7", "100")


@pytest.mark.parametrize("datatype", FLOATS)
def test_a_value_with_a_bin_of_its_own_has_bounds_on_both_sides(datatype: str) -> None:
    dtype: Any = FLOATS[datatype]
    edges = [-1.0, 0.0, float(np.nextafter(dtype(0), dtype(1))), 1.0]
    values = np.array([-1, 0, 0, -0.0, edges[2], 0.5, 1], dtype)
    bins = count(edges, values, datatype)
    check(bins, values)
    assert bins.counts.tolist() == [0, 1, 3, 3, 0]
    assert float(bins.upper_bounds[2]) == 0


def test_edges_that_a_datatype_does_not_tell_apart_are_one_bound() -> None:
    values = np.array([1, 1.0001, 2], np.float16)
    bins = count([0.0, 1.0, 1.0001, 2.0], values, "FP16")
    assert bins.is_used.tolist() == [True, False, True, True]
    check(bins, values)
    assert bins.counts.tolist() == [0, 0, 3, 0]


def test_edges_beyond_a_datatype_become_its_largest_number() -> None:
    bins = count([0.0, 1e30], [60_000], "FP16")
    assert bins.counts.tolist() == [0, 1, 0]
    assert bins.upper_bounds[-1] == "65504"


def test_bounds_of_large_integers_are_numbers_that_prometheus_has() -> None:
    edges = [2.0**60, 2.0**61]
    bins = count(edges, [2**60 - 1000, 2**60, 2**61], "INT64")
    assert bins.counts.tolist() == [1, 2, 0]
    assert [float(bound) for bound in bins.upper_bounds] == [float(np.nextafter(2.0**60, 0)), 2.0**61]


@pytest.mark.parametrize("edge", [300.0, -0.0, 1e-45, 3.4e38, 0.1])
def test_bounds_are_written_without_an_exponent(edge: float) -> None:
    (*_, last) = BinCounts([edge - 1, edge], spec("FP64")).upper_bounds
    assert set(last) <= set("-.0123456789")
    assert float(last) == edge


def test_without_a_histogram_there_is_one_bin_of_all_values() -> None:
    bins = count([], [1, 2, 3], "FP32")
    assert (bins.counts.tolist(), bins.upper_bounds) == ([3], ())


@pytest.mark.parametrize("rows", [0, 1, 255, 256, 1000])
def test_all_columns_of_a_table_are_counted(rows: int) -> None:
    edges = [[0.0, 1.0], [-1.0, -0.5, 0.0, 0.5, 1.0], []]
    values = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
    values[::7, 1] = np.nan
    table = TableCounts(TensorSpec("x", "FP32", (-1, 3)), edges, [(-1.0, 1.0), None, (0.0, 0.5)])
    table.add(values[: rows // 3])
    table.add(values[rows // 3 :])
    table.update()
    assert table.missing.tolist() == np.isnan(values).sum(axis=0).tolist()
    assert table.out_of_range.tolist() == [
        int((abs(values[:, 0]) > 1).sum()),
        0,
        int(((values[:, 2] < 0) | (values[:, 2] > 0.5)).sum()),
    ]
    for bins, column in zip(table.bins, values.T, strict=True):
        check(bins, column[~np.isnan(column)])


def test_infinite_answers_are_counted_beyond_the_edges() -> None:
    assert count([0.0, 1.0, 2.0], [np.inf, -np.inf, 0.5], "FP32").counts.tolist() == [1, 1, 0, 1]
