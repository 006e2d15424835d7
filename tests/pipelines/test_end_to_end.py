"""The whole pipeline with real tools: from a table to a commit that proposes an image by digest."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.registry import find_digest
from kfp_edge.ml.bundle import Bundle
from support.git_repositories import bare, git, hook
from support.images import left_behind
from support.ingest import needs_data
from support.paths import SHARED
from support.registry import PASSWORD, write_auth_file
from support.tables import read_sklearn_table, write_sklearn_sensor

DATA = SHARED / "data"
AI4I = {
    "data": str(DATA / "ai4i2020.csv"),
    "target": "Machine failure",
    "drop": ["UDI", "Product ID", "TWF", "HDF", "PWF", "OSF", "RNF"],
}
SENSOR = {
    "data": str(DATA / "machine_temperature_system_failure.csv"),
    "task": "anomaly",
    "time_column": "timestamp",
    "windows": str(DATA / "machine_temperature_windows.json"),
    "rolling_windows": [6, 36, 288],
    "model_name": "temperature",
}
SMALL = {"data": "synthetic:ai4i?rows=2000&seed=0"}
STAGES = [
    "preflight",
    "ingest",
    "train",
    "export",
    "verify",
    "containerize",
    "staging-test",
    "release",
    "gitops-commit",
]
#: The exit task, which runs in any case.
LAST = "clean-up"

pytestmark = pytest.mark.containers


def _start(folder: Path, pipeline: str, parameters: Mapping[str, Any], out: str, env: Mapping[str, str] | None = None):
    (folder / f"{out}.yaml").write_text(yaml.safe_dump(dict(parameters)))
    program = Path(sys.executable).with_name("kfp-edge")
    command = [program, "run", pipeline, "--params", f"{out}.yaml", "--out", out]
    environ = {**os.environ, **(env or {})}
    return subprocess.Popen(command, cwd=folder, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _run(folder: Path, pipeline: str, parameters: Mapping[str, Any], out: str = "out", **env: str):
    """Run a pipeline in `folder`; return its exit code, its stderr and its summary."""
    with _start(folder, pipeline, parameters, out, env) as process:
        _, error = process.communicate(timeout=600)
    return process.returncode, error, json.loads((folder / out / "summary.json").read_text())


def _left_over(folder: Path) -> list[str]:
    """Return the containers and images in the storage that were made from the runs in `folder`."""
    bundles = folder.glob("*/artifacts/*/verify/bundle")
    return [name for bundle in bundles for name in left_behind(Bundle.load(bundle))]


def _branches(folder: Path) -> list[str]:
    return git(folder / ".kfp-edge/gitops.git", "branch", "--format=%(refname:short)").split()


@pytest.fixture(params=["breast_cancer", pytest.param("ai4i", marks=needs_data)])
def real_table(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, Any], float]:
    """Return the parameters for a table of real rows, and the ROC AUC that a model reaches on it."""
    if request.param == "ai4i":
        return AI4I, 0.96
    read_sklearn_table("breast_cancer").to_csv(tmp_path / "data.csv", index=False)
    return {"data": "data.csv", "target": "target", "model_name": "tumour"}, 0.97


@pytest.fixture(params=["breast_cancer", pytest.param("nab", marks=needs_data)])
def real_series(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, Any], int, float]:
    """Return the parameters for a series, its number of failure windows, and the share of them that raises alarms."""
    if request.param == "nab":
        return SENSOR, 4, 0.75
    data, windows = write_sklearn_sensor(tmp_path)
    columns = {"time_column": "at", "windows": str(windows), "rolling_windows": [6]}
    return {"data": str(data), "task": "anomaly", "model_name": "temperature", **columns}, 2, 1.0


def test_the_pipeline_ends_in_a_commit_and_the_same_run_again_makes_none(tmp_path, real_table):
    parameters, roc_auc = real_table
    code, error, first = _run(tmp_path, "edge_mlops", parameters, "first")
    assert code == 0, error
    assert [stage["name"] for stage in first["stages"]] == [*STAGES, LAST]
    assert first["metrics"]["roc_auc"] >= roc_auc
    image = ImageRef.parse(first["image"]["reference"])
    assert find_digest(image.home, "0.1.0") == first["image"]["digest"] == image.digest
    repository = tmp_path / ".kfp-edge/gitops.git"
    assert image.digest in git(repository, "show", first["git"]["commit"])

    code, error, second = _run(tmp_path, "edge_mlops", parameters, "second")
    assert code == 0, error
    assert second["image"] == first["image"]
    assert first["git"]["committed"]
    assert second["git"] == {**first["git"], "committed": False}
    for artifact in ("train/model", "export/onnx_model", "verify/bundle/manifest.json"):
        paths = [next((tmp_path / run).glob(f"artifacts/*/{artifact}")) for run in ("first", "second")]
        assert paths[0].read_bytes() == paths[1].read_bytes(), artifact
    assert _left_over(tmp_path) == []


def test_a_detector_in_the_pipeline_raises_alarms_in_the_failure_windows(tmp_path, real_series):
    parameters, windows, event_recall = real_series
    code, error, summary = _run(tmp_path, "edge_mlops", parameters)
    assert code == 0, error
    assert summary["metrics"]["events"] == windows
    assert summary["metrics"]["event_recall"] >= event_recall
    assert summary["metrics"]["false_alarm_rate"] < 0.01
    assert summary["git"]["branch"] == "kfp-edge/temperature/0.1.0"


def test_a_saved_model_is_delivered_without_training(tmp_path):
    code, error, summary = _run(tmp_path, "delivery", SMALL)
    assert code == 0, error
    assert [stage["name"] for stage in summary["stages"]][-5:] == [*STAGES[-4:], LAST]
    assert summary["git"]["commit"]


def test_a_gate_that_is_not_met_pushes_and_commits_nothing(tmp_path):
    code, error, summary = _run(tmp_path, "edge_mlops", {**SMALL, "gates": {"log_loss": 0}})
    assert code == 1
    assert "error: verify: the model was refused: gate log_loss was not met: measured" in error
    assert "Traceback" not in error
    assert summary["status"] == "failed"
    assert not (tmp_path / ".kfp-edge/registry").exists()
    assert _branches(tmp_path) == []


def test_a_registry_that_refuses_the_credentials_is_found_before_anything_is_trained(tmp_path, registry):
    write_auth_file(tmp_path / "auth.json", registry.host, "not the password")
    login = {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    code, error, summary = _run(tmp_path, "edge_mlops", {**SMALL, "registry": registry.url}, **login)
    assert code == 1
    assert "error: preflight: " in error
    assert "refused the credentials" in error
    assert [stage["name"] for stage in summary["stages"]] == ["preflight", LAST]
    assert "not the password" not in error + (tmp_path / "out/logs/run.log").read_text()
    assert _branches(tmp_path) == []
    assert _left_over(tmp_path) == []


def test_with_a_registry_that_has_tls_and_a_login_the_password_appears_nowhere(tmp_path, registry):
    code, error, summary = _run(tmp_path, "edge_mlops", {**SMALL, "registry": registry.url})
    assert code == 0, error
    assert summary["image"]["reference"] == f"{registry.url}/machine-failure@{summary['image']['digest']}"
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert all(PASSWORD.encode() not in path.read_bytes() for path in written)


def test_a_push_that_git_refuses_is_reported_with_the_servers_reason(tmp_path):
    hook(bare(tmp_path / "site.git"), "pre-receive", "echo 'only the release team may push'; exit 1")
    code, error, summary = _run(tmp_path, "edge_mlops", {**SMALL, "gitops_repo": "site.git"})
    assert code == 1
    assert "error: gitops-commit: " in error
    assert "only the release team may push" in error
    assert {stage["name"]: stage["status"] for stage in summary["stages"]}["release"] == "succeeded"
    assert git(tmp_path / "site.git", "branch") == ""


# ingest, export and verify keep as little outside the run's folder as train does
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in ("ingest", "export", "verify")])
def test_a_run_interrupted_in_a_stage_leaves_nothing_running_and_nothing_committed(tmp_path, stage):
    # a push that takes its time, so that the interrupt arrives before it has ended
    hook(bare(tmp_path / ".kfp-edge" / "gitops.git"), "pre-receive", "sleep 10")
    process = _start(tmp_path, "edge_mlops", SMALL, "out")
    log = tmp_path / "out/logs/run.log"
    while not (log.exists() and f"Executing task '{stage}'" in log.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert process.returncode == 130
    assert "Traceback" not in error
    assert summary["status"] == "interrupted"
    assert stage in [run["name"] for run in summary["stages"] if run["status"] == "interrupted"]
    assert _left_over(tmp_path) == []
    assert [branch for branch in _branches(tmp_path) if branch.startswith("kfp-edge/")] == []
