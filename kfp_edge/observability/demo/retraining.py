"""The model of the demo as a release, and its retraining on rows from before and after the drift."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kfp_edge import local
from kfp_edge.observability.demo.press import MODEL, TARGET, TIME, generate_rows, with_times
from kfp_edge.runtime.process import run
from kfp_edge.storage.files import write_file

_BRANCH = "main"
_OLD_ROWS, _RECENT_ROWS = 4000, 5000
_OLD_DAYS, _RECENT_DAYS = 90, 30


def old_rows(end: datetime) -> pd.DataFrame:
    """Return the rows that the model in use was trained on."""
    return with_times(generate_rows(np.random.default_rng(1), _OLD_ROWS), end, _OLD_DAYS)


def train(folder: Path, report: Callable[[str], None], *, delivers: bool) -> Path:
    """Train the model on generated rows; return the bundle that `verify` wrote.

    Args:
        folder: Where data, run, images and the GitOps repository go.
        report: Gets a line.
        delivers: Whether it is also delivered with `edge_mlops`, and its commit is merged.

    Raises:
        RunFailedError: the run failed.
        StorageError: the file system refuses.
    """
    pipeline = "edge_mlops" if delivers else "training"
    report(f"trains a model on generated rows of presses, with the pipeline {pipeline}")
    data = _write_rows(folder / "training.csv", old_rows(datetime.now(UTC) - timedelta(days=_RECENT_DAYS)))
    parameters = _parameters(data)
    if delivers:
        run(["git", "init", "--quiet", "--bare", f"--initial-branch={_BRANCH}", _repository(folder)])
        parameters |= _destinations(folder)
    finished = local.run(pipeline, parameters, out=folder / pipeline)
    if delivers:
        git = finished.summary["git"]
        update = ["git", "update-ref", f"refs/heads/{_BRANCH}", f"refs/heads/{git['branch']}"]
        run(update, cwd=_repository(folder))
        report(f"merged {git['branch']}: the model is in use")
    return finished.artifact("verify", "bundle")


def retrain(folder: Path, drift: Mapping[str, Any], report: Callable[[str], None]) -> local.LocalRun:
    """Run the pipeline `retraining` on rows from before and after the drift.

    Args:
        folder: That of `train`.
        drift: The parameters by which `drift` decides.
        report: Gets a line.

    Raises:
        RunFailedError: the run failed.
        StorageError: the file system refuses.
    """
    report("runs the pipeline retraining on rows from before and after the drift")
    now = datetime.now(UTC)
    recent = generate_rows(np.random.default_rng(2), _RECENT_ROWS, is_drifted=True)
    rows = pd.concat([old_rows(now - timedelta(days=_RECENT_DAYS)), with_times(recent, now, _RECENT_DAYS)])
    parameters = {
        **_parameters(_write_rows(folder / "recent.csv", rows)),
        **_destinations(folder),
        **drift,
        "retraining_state": str(folder / "retraining-state"),
        "time_range": {"recent": f"{_RECENT_DAYS}d"},
    }
    return local.run("retraining", parameters, out=folder / "retraining")


def _parameters(data: Path) -> dict[str, Any]:
    return {"data": str(data), "target": TARGET, "time_column": TIME, "model_name": MODEL}


def _destinations(folder: Path) -> dict[str, Any]:
    return {
        "registry": f"oci:{folder / 'registry'}",
        "gitops_repo": str(_repository(folder)),
        "gitops_branch": _BRANCH,
    }


def _repository(folder: Path) -> Path:
    return folder / "gitops.git"


def _write_rows(path: Path, rows: pd.DataFrame) -> Path:
    write_file(path, rows.to_csv(index=False).encode())
    return path
