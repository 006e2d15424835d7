"""Drift at the sites becomes a new model: compared with the one in use, tested, and proposed as a reviewed change."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from support.counting_servers import CountingServer
from support.documents import list_commands
from support.git_repositories import git
from support.paths import ROOT
from support.prometheus import NOW, prometheus_with

#: All sites of `pump` see hotter machines than training had; those of `valve` see what training had.
SERVERS = [
    CountingServer(f"{model}-{number}", (400, 0), heat=heat, model=model, ring="all")
    for model, heat in (("pump", (0, 0, 1, 2, 0)), ("valve", (0, 1, 1, 1, 0)))
    for number in range(1, 4)
]
OLD, RECENT = 3000, 1500
PAGE = ROOT / "docs" / "retraining.md"
BEFORE = ["preflight", "drift", "claim-retraining"]
TRAINING = ["fetch-champion", "ingest", "train", "export", "verify", "compare-models"]
DELIVERY = ["containerize", "staging-test", "release", "gitops-commit"]

pytestmark = [pytest.mark.containers, pytest.mark.xdist_group("retraining")]


def write_readings(path: Path, rows: int, *, changes_at: int, learns_nothing: bool = False) -> None:
    """Write readings of every hour: from a row on, machines fail for another reason, or for none that can be seen."""
    generator = np.random.default_rng(7)
    load, heat, noise = generator.normal(size=(3, rows))
    weight = np.where(np.arange(rows) < changes_at, 0.0, -3.0)
    cause = load + weight * heat
    if learns_nothing:
        cause = np.where(np.arange(rows) < changes_at, cause, 0)
    at = pd.date_range("2026-01-01", periods=rows, freq="h")
    frame = pd.DataFrame({"at": at, "load": load, "heat": heat, "failed": (cause + 0.5 * noise > 1).astype(int)})
    frame.to_csv(path, index=False)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), SERVERS) as url:
        yield url


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first model was released, and is in use."""
    folder = tmp_path_factory.mktemp("plant")
    write_readings(folder / "old.csv", OLD, changes_at=OLD)
    summary = run(folder, "edge_mlops", "first", data="old.csv", **MODEL)
    merge(folder, summary["git"]["branch"])
    return folder


MODEL: dict[str, Any] = {"target": "failed", "time_column": "at", "model_name": "pump", "model_version": "1.4.0"}


def run(folder: Path, pipeline: str, out: str, **parameters: Any) -> dict[str, Any]:
    """Run a pipeline in a folder; return its summary."""
    (folder / f"{out}.yaml").write_text(yaml.safe_dump(parameters))
    command = [
        str(Path(sys.executable).with_name("kfp-edge")),
        "run",
        pipeline,
        "--params",
        f"{out}.yaml",
        "--out",
        out,
    ]
    done = subprocess.run(command, cwd=folder, env=os.environ, text=True, capture_output=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    summary: dict[str, Any] = json.loads((folder / out / "summary.json").read_text())
    return summary


def retrain(folder: Path, out: str, prometheus: str, **parameters: Any) -> dict[str, Any]:
    values = {
        "data": "all.csv",
        "prometheus": prometheus,
        "drift_window": "280m",
        "drift_until": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        "season": "",
        "time_range": {"recent": f"{RECENT}h"},
        "champion_margin": 0.3,
        **MODEL,
    }
    return run(folder, "retraining", out, **{**values, **parameters})


def merge(folder: Path, branch: str) -> None:
    repository = folder / ".kfp-edge" / "gitops.git"
    git(repository, "update-ref", "refs/heads/main", f"refs/heads/{branch}")


def stages(summary: dict[str, Any]) -> set[str]:
    return {stage["name"] for stage in summary["stages"]}


def test_drift_ends_in_a_commit_of_a_better_model_and_the_next_run_waits(plant: Path, prometheus: str) -> None:
    write_readings(plant / "all.csv", OLD + RECENT, changes_at=OLD)
    summary = retrain(plant, "retrained", prometheus)
    assert stages(summary) == {*BEFORE, *TRAINING, *DELIVERY, "clean-up"}
    assert summary["git"]["branch"] == "kfp-edge/pump/1.4.1"
    assert summary["git"]["committed"]
    assert any(warning.startswith("The whole fleet drifts in heat.") for warning in summary["warnings"])
    assert "roc_auc(recent, gain)" in summary["metrics"]

    again = retrain(plant, "again", prometheus)
    assert stages(again) == {*BEFORE, "clean-up"}
    assert any("and the cool-down lasts until" in warning for warning in again["warnings"])


def test_a_model_that_is_not_better_is_not_delivered(plant: Path, prometheus: str) -> None:
    write_readings(plant / "noise.csv", OLD + RECENT, changes_at=OLD, learns_nothing=True)
    summary = retrain(plant, "refused", prometheus, data="noise.csv", retraining_state="other", gates={"roc_auc": 0.3})
    assert stages(summary) == {*BEFORE, *TRAINING, "clean-up"}
    (warning,) = [text for text in summary["warnings"] if text.startswith("the new model is not delivered")]
    assert "is not surely better than the one in use" in warning


def test_the_command_of_the_page_works_as_written(plant: Path, prometheus: str) -> None:
    write_readings(plant / "presses.csv", OLD, changes_at=OLD)
    commands = [command for command in list_commands([PAGE]) if command.startswith("kfp-edge run retraining")]
    assert len(commands) == 1
    assert "-p prometheus=https://thanos.example" in commands[0]
    command = commands[0].replace("https://thanos.example", prometheus).replace("press-failure", "valve")
    at_that_time = ["-p", "drift_window=280m", "-p", f"drift_until={NOW:%Y-%m-%dT%H:%M:%SZ}", "-p", "season="]
    program = str(Path(sys.executable).with_name("kfp-edge"))
    subprocess.run([program, *shlex.split(command)[1:], *at_that_time], cwd=plant, check=True, timeout=600)
    assert (plant / "retraining" / "summary.json").exists()


def test_without_drift_nothing_is_trained(plant: Path, prometheus: str) -> None:
    summary = retrain(plant, "stable", prometheus, model_name="valve", data="old.csv", time_range={})
    assert stages(summary) == {"preflight", "drift", "clean-up"}
