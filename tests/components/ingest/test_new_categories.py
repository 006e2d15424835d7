"""Warnings about held-out rows whose categories training never had."""

import numpy as np
import pandas as pd

from support.ingest import IngestRunner


def _make_table(machines: np.ndarray) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    load = rng.normal(size=400)
    failed = (load + 0.3 * rng.normal(size=400) > 0.5).astype(int)
    at = pd.date_range("2024-01-01", periods=400, freq="min").astype(str)
    return pd.DataFrame({"at": at, "load": load, "mode": machines, "failed": failed})


def _find_warnings(runner: IngestRunner, modes: np.ndarray) -> tuple[str, ...]:
    data = runner.write(_make_table(modes))
    return runner.run(data, drop=(), time_column="at").train.preparation.warnings


def test_a_category_that_only_the_last_rows_have_is_named_with_the_share_of_the_rows(runner: IngestRunner) -> None:
    modes = np.where(np.arange(400) < 340, np.where(np.arange(400) % 2 == 0, "auto", "hand"), "remote")
    (warning,) = _find_warnings(runner, modes)
    assert "60 of 80 held-out rows have a category in column 'mode' that no training row has ('remote')" in warning
    assert "drop" in warning


def test_a_rare_category_in_one_held_out_row_is_no_warning(runner: IngestRunner) -> None:
    modes = np.where(np.arange(400) == 390, "remote", np.where(np.arange(400) % 2 == 0, "auto", "hand"))
    assert _find_warnings(runner, modes) == ()
