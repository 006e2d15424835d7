"""Columns that float32 cannot hold are refused with the remedy, and no others."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.ingest import IngestRunner

ROWS = 400


def make_table(values: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    load = rng.normal(size=ROWS)
    return pd.DataFrame({"load": load, "x": values, "failed": (load > 1).astype(int)})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (1_700_000_001 + np.arange(ROWS), "1700000064 becomes 1700000000"),
        (1e9 + 0.5 * np.arange(ROWS), "such as its first value, 1000000000, or put it in drop"),
        (np.where(np.arange(ROWS) % 10 == 0, 1_700_000_040, 1_700_000_000), "needs more digits"),
        (np.random.default_rng(0).normal(size=ROWS) * 1e39, "beyond the range of float32"),
        (np.random.default_rng(0).normal(size=ROWS) * 1e-46, "too small for float32"),
    ],
    ids=["epoch seconds", "half steps", "rare steps", "huge", "tiny"],
)
def test_a_column_that_float32_cannot_hold_is_refused_with_an_example(
    runner: IngestRunner, values: Any, message: str
) -> None:
    runner.assert_refused(runner.write(make_table(values)), "column 'x'", message, "drop", drop=())


def test_subtracting_the_offset_helps_as_the_refusal_advises(runner: IngestRunner) -> None:
    assert runner.run(runner.write(make_table(np.arange(ROWS))), drop=()).train.frame["x"].nunique() > 300


@pytest.mark.parametrize(
    "values",
    [
        20_000_000 + np.random.default_rng(0).integers(0, 2000, ROWS),
        250_000 + 0.01 * np.arange(ROWS) * 10,
        np.full(ROWS, 1_700_000_001),
        1_700_000_000 // 128 * 128 + 128 * np.arange(ROWS),
        np.where(np.arange(ROWS) % 50 == 0, 1_700_000_001, 0.1),
        np.exp(np.random.default_rng(0).normal(size=ROWS) * 6),
        np.where(np.arange(ROWS) % 3 == 0, np.nan, 1013.25),
    ],
    ids=["position", "operating hours", "constant", "multiples", "mostly constant", "decades", "missing"],
)
def test_a_column_that_float32_holds_well_enough_is_taken(runner: IngestRunner, values: Any) -> None:
    assert "x" in runner.run(runner.write(make_table(values)), drop=()).train.roles.numeric


def test_a_column_with_another_role_may_have_any_number_of_digits(runner: IngestRunner) -> None:
    frame = make_table(1_700_000_001 + np.arange(ROWS))
    parts = runner.run(runner.write(frame), drop=(), time_column="x")
    assert parts.train.frame["x"].iloc[0] == 1_700_000_001
