"""The folder `.kfp-edge` in the current folder: the default output folders and GitOps repository of local runs."""

import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp_edge.errors import ParameterError
from kfp_edge.runtime.process import run

WORKSPACE = Path(".kfp-edge")
_RUN_FOLDERS = ("artifacts", "logs", "reports")
_RUN_FILES = ("pipeline.yaml", "parameters.json", "outputs.json", "summary.json")


def new_run_folder(pipeline: str) -> Path:
    """Return an unused folder for a run, named by the time (UTC) and the pipeline."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    folder = WORKSPACE / "runs" / f"{stamp}-{pipeline}-{os.getpid()}"
    alternatives = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(path for path in itertools.chain([folder], alternatives) if not path.exists())


def clear_run_folder(folder: Path) -> None:
    """Remove an earlier run from its folder if it failed before its first report, as one with a mistyped column does.

    Raises:
        ParameterError: the earlier run has results.
    """
    summary = folder / "summary.json"
    if not summary.exists():
        return
    earlier = json.loads(summary.read_text())
    if earlier["status"] == "succeeded" or earlier["reports"]:
        raise ParameterError(f"{folder} holds an earlier run; name another folder with out (--out), or remove it.")
    for name in _RUN_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in _RUN_FILES:
        (folder / name).unlink(missing_ok=True)


def prepare(arguments: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Create what the defaults of a pipeline need, and return its arguments with the commit of the code filled in.

    The default GitOps repository inside the workspace is created as an empty bare one. `revision`, where the pipeline
    has it and no value is given, becomes the commit of the current folder, if that is in a git checkout.
    """
    repository = arguments.get("gitops_repo", parameters.get("gitops_repo", {}).get("defaultValue", ""))
    if repository.startswith(f"{WORKSPACE}/") and not Path(repository).exists():
        run(["git", "init", "--quiet", "--bare", "--initial-branch=main", repository])
    if "revision" in parameters and not arguments.get("revision"):
        return {**arguments, "revision": _head_commit("%H")}
    return dict(arguments)


def source_date_epoch() -> str:
    """Return SOURCE_DATE_EPOCH (reproducible-builds.org): the variable, the time of the current commit, or 0."""
    return os.environ.get("SOURCE_DATE_EPOCH") or _head_commit("%ct") or "0"


def _head_commit(log_format: str) -> str:
    done = subprocess.run(["git", "log", "-1", f"--format={log_format}"], capture_output=True, text=True, check=False)
    return done.stdout.strip()
