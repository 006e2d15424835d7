"""What a run leaves for people and programs: `summary.json`, and the reports where they are easily found."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kfp_edge.images.oci import ImageRef
from kfp_edge.local.runner import RunProgress
from kfp_edge.spec.compiled_pipeline import CompiledPipeline, Stage
from kfp_edge.storage.files import canonical_json, write_file

_SUFFIXES = {"system.HTML": "html", "system.Markdown": "md"}
_GIT = ("git_repository", "git_branch", "git_commit", "git_committed")


def summarize(pipeline: CompiledPipeline, found: RunProgress, folder: Path) -> dict[str, Any]:
    """Copy the reports to `folder/reports`, write `folder/summary.json` and return what is in it.

    What stages say of `image`, `git_repository`, `git_branch` and `git_commit` becomes `image` and `git`.
    `metrics` are those of all stages, a later stage's above an earlier one's; `report` is the first HTML report.
    """
    reports: dict[str, str] = {}
    metrics: dict[str, float] = {}
    said: dict[str, Any] = {}
    for stage in pipeline.stages:
        task = next(iter(folder.glob(f"artifacts/*/{stage.name}")), None)
        if task is not None:
            reports |= _reports(stage, task, folder / "reports")
            metrics |= _metrics(stage, task)
            said |= _executed(task).get("parameterValues", {})
    image = said.get("image")
    summary = {
        "pipeline": found.pipeline,
        "status": found.status,
        "error": found.error,
        "seconds": found.seconds,
        "stages": [asdict(stage) for stage in found.stages],
        "image": {"reference": image, "digest": ImageRef.parse(image).digest} if image else None,
        "git": {name.removeprefix("git_"): said[name] for name in _GIT if name in said} or None,
        "metrics": metrics,
        "report": next((path for path in reports.values() if path.endswith(".html")), None),
        "reports": reports,
        "log": str(folder / "logs" / "run.log"),
    }
    write_file(folder / "summary.json", canonical_json(summary))
    return summary


def _reports(stage: Stage, task: Path, folder: Path) -> dict[str, str]:
    found = {}
    for name, kind in stage.artifacts.items():
        source = task / name
        if kind in _SUFFIXES and source.is_file():
            folder.mkdir(exist_ok=True)
            target = folder / f"{stage.name}.{_SUFFIXES[kind]}"
            shutil.copyfile(source, target)
            found[stage.name] = str(target)
    return found


def _metrics(stage: Stage, task: Path) -> dict[str, float]:
    names = [name for name, kind in stage.artifacts.items() if kind == "system.Metrics"]
    artifacts = _executed(task).get("artifacts", {})
    return {
        metric: value
        for name in names
        for artifact in artifacts.get(name, {}).get("artifacts", ())
        for metric, value in artifact.get("metadata", {}).items()
    }


def _executed(task: Path) -> dict[str, Any]:
    """Return what a task gave back (KFP's `ExecutorOutput`)."""
    output = task / "executor_output.json"
    found: dict[str, Any] = json.loads(output.read_text()) if output.is_file() else {}
    return found
