"""The line on tables like those that people have, generated here."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.line import Line


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_measurements_in_full_precision_give_a_bundle(line: Line, tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    wear = np.sin(np.arange(20_000) / 150)
    table = pd.DataFrame(
        {
            "temp": 300 + wear + 0.3 * random.normal(size=20_000),
            "pressure": 1013 + 5 * random.normal(size=20_000),
            "failed": (wear + 0.2 * random.normal(size=20_000) > 0.7).astype(int),
        }
    )
    table.to_csv(tmp_path / "data.csv", index=False)
    assert line.run(tmp_path / "data.csv", target="failed").bundle.manifest.metrics["roc_auc"] > 0.7


def test_rows_before_a_rolling_window_is_full_do_not_hide_failures(line: Line, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    runs = []
    for run in range(12):
        values = 3 * np.sin(np.arange(300)[:, None] / 5) + 0.3 * random.normal(size=(300, 2))
        odd = np.zeros(300, dtype=int)
        if run >= 6:
            odd[200:240] = 1
        at = pd.Timestamp("2024-01-01") + pd.to_timedelta(run * 86_400 + np.arange(300), unit="s")
        rows = pd.DataFrame((values + 2 * odd[:, None]).round(3), columns=["a", "b"])
        runs.append(rows.assign(at=at, run=f"r{run:02}", odd=odd))
    pd.concat(runs).to_csv(tmp_path / "data.csv", index=False)
    result = line.run(
        tmp_path / "data.csv",
        task="anomaly",
        target="odd",
        time_column="at",
        group_column="run",
        rolling_windows=[60],
        false_alarm_rate=0.01,
    )
    metrics = result.bundle.manifest.metrics
    assert metrics["event_recall"] == 1
    assert metrics["recall"] > 0.8
    assert metrics["false_alarm_rate"] < 0.02


def _make_table(rows: int = 1000) -> pd.DataFrame:
    """Return three normal features; `failed` follows the first one."""
    random = np.random.default_rng(0)
    values = random.normal(size=(rows, 3)).round(4)
    table = pd.DataFrame(values, columns=["a", "b", "c"])
    return table.assign(failed=(table["a"] + 0.3 * random.normal(size=rows) > 1).astype(int))


def test_more_categories_than_the_model_encodes_give_a_bundle_whose_signature_lists_them_all(
    line: Line, tmp_path: Path
) -> None:
    table = _make_table().assign(part=[f"P{row % 150:04d}" for row in range(1000)])
    table.to_csv(tmp_path / "data.csv", index=False)
    result = line.run(tmp_path / "data.csv", target="failed")
    columns = {column.name: column for tensor in result.bundle.signature.inputs for column in tensor.columns}
    assert len(columns["part"].categories or ()) == 150


def test_a_column_whose_held_out_values_are_all_new_is_named_with_the_remedy(line: Line, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    folder = tmp_path / "runs"
    folder.mkdir()
    for run in range(6):
        rows = pd.DataFrame(random.normal(size=(60, 2)), columns=["a", "b"])
        rows.assign(file=f"run{run}", failed=(rows["a"] > 1).astype(int)).to_csv(folder / f"{run}.csv", index=False)
    refused = line.run(folder, target="failed")
    assert refused.stage == "verify"
    assert "column 'file' has no value in any of them that training had; put it in drop" in refused.error
    assert line.run(folder, target="failed", drop=["file"]).bundle
