"""Rolling windows at the edge: raw rows, one after the other, get the features and answers of the training data."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.line import Line
from support.paths import SHARED
from support.raw_rows import compare_row_by_row, list_rows

CASES = SHARED / "cases"
NO_GATES = {
    "gates": dict.fromkeys(("roc_auc", "recall", "balanced_accuracy", "event_recall", "false_alarm_rate"), "off")
}


def make_fleet(rows: int = 300) -> pd.DataFrame:
    """Return rows of three machines that take turns, with missing cells and a category."""
    rng = np.random.default_rng(0)
    pressure, load = rng.normal(50, 2, rows), rng.integers(0, 9, rows).astype(float)
    load[rng.random(rows) < 0.3] = np.nan
    pressure[60:64] = 500
    return pd.DataFrame(
        {
            "at": pd.date_range("2024-01-01", periods=rows, freq="1500ms"),
            "machine": rng.choice(["press 1", "press 2", "press 3"], rows),
            "pressure": pressure,
            "load": load,
            "mode": rng.choice(["auto", "hand"], rows),
            "failed": (pressure + rng.normal(0, 1, rows) > 51).astype(int),
        }
    )


def compare(line: Line, path: Path, frame: pd.DataFrame, **parameters: Any) -> None:
    """Run the line on a file, and send its rows, which are those of `frame`, to the server one by one."""
    result = line.run(path, **{**NO_GATES, **parameters})
    bundle, parts = result.bundle, [result.train_data, result.test_data]
    roles = parts[0].roles
    measured = [name for name in parts[0].preparation.rolling_windows.sources if name in frame]
    columns = [name for name in (roles.time, roles.group, *measured, *roles.categorical) if name]
    frame = frame.sort_values(roles.time, kind="stable")
    groups = frame[roles.group].tolist() if roles.group else [""] * len(frame)
    keys = list(zip(groups, frame[roles.time].tolist(), strict=True))
    done = compare_row_by_row(bundle, parts, list_rows(frame[columns]), keys)
    widest = max(parameters["rolling_windows"])
    assert done.compared == sum(len(part.frame) for part in parts)
    assert done.answered == sum(max(0, count - widest + 1) for count in pd.Series(groups).value_counts())


def test_rows_of_several_machines_get_the_features_of_the_training_data(line: Line, tmp_path: Path) -> None:
    make_fleet().to_csv(tmp_path / "fleet.csv", index=False)
    frame = make_fleet()
    options = {"target": "failed", "time_column": "at", "group_column": "machine", "rolling_windows": [3, 20]}
    compare(line, tmp_path / "fleet.csv", frame, **options, split="time")


def test_rows_with_numbers_as_time_and_without_groups_do_too(line: Line, tmp_path: Path) -> None:
    frame = make_fleet().drop(columns=["machine", "mode"]).assign(at=lambda table: np.arange(len(table)) * 0.25)
    frame.to_csv(tmp_path / "series.csv", index=False)
    compare(line, tmp_path / "series.csv", frame, target="failed", time_column="at", rolling_windows=[7])


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with all tables, as the generator writes them."""
    folder = tmp_path_factory.mktemp("cases")
    subprocess.run([sys.executable, CASES / "make_tables.py", folder], check=True, capture_output=True)
    return folder


def read_times(texts: pd.Series, how: str) -> pd.Series:
    """Return the times of a table, in UTC where they are local."""
    if how == "local":
        return pd.to_datetime(texts).dt.tz_localize("Europe/Berlin", ambiguous="infer").dt.tz_convert(None)
    return pd.to_datetime(texts, format=how or None)


ANOMALY = {"task": "anomaly", "target": "anomaly", "time_column": "at", "false_alarm_rate": 0.01}
TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "rolling.csv": ("", {"rolling_windows": [5, 20]}),
    "missing_anomaly.csv": ("", {"time_column": "t", "rolling_windows": [3, 12]}),
    "no_failure_in_the_last_third.csv": ("", {"test_fraction": 0.4, "rolling_windows": [8]}),
    "runs_with_warm_up.csv": ("", {**ANOMALY, "group_column": "run", "rolling_windows": [10, 60]}),
    "three_machines_one_event.csv": ("", {**ANOMALY, "group_column": "machine", "rolling_windows": [6, 36]}),
    "dates_german.csv": ("%d.%m.%Y %H:%M", {"rolling_windows": [4]}),
    "dates_american.csv": ("%m/%d/%Y %H:%M", {"rolling_windows": [4]}),
    "local_time_doubled_hour.csv": ("local", {"time_zone": "Europe/Berlin", "rolling_windows": [2]}),
    "awkward_types.parquet": ("utc", {"rolling_windows": [6]}),
}


@pytest.mark.slow
@pytest.mark.skipif(not CASES.exists(), reason="the folder of shared data is not beside this checkout")
@pytest.mark.parametrize("name", TABLES)
def test_the_rows_of_every_table_with_times_get_the_features_of_the_training_data(
    line: Line, cases: Path, name: str
) -> None:
    how, parameters = TABLES[name]
    options = {"target": "failed", "time_column": "at"} | parameters
    if name.endswith(".parquet"):
        frame = pd.read_parquet(cases / name)
        frame["at"] = frame["at"].dt.tz_convert(None)
    else:
        frame = pd.read_csv(cases / name)
        frame[options["time_column"]] = read_times(frame[options["time_column"]], how)
    compare(line, cases / name, frame, **options)
