"""The summary of a run for people and programs: `summary.json`, and the reports in one folder."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from kfp_edge.images.oci.references import ImageRef
from kfp_edge.local.runner import RunProgress
from kfp_edge.runtime.joined_stages import SEPARATOR
from kfp_edge.spec.compiled_pipeline import CompiledPipeline, Stage
from kfp_edge.storage.files import JsonObject, canonical_json, write_file

_SUFFIXES = {"system.HTML": "html", "system.Markdown": "md"}
#: Lines of warnings that are printed; `summary.json` and the reports have all warnings.
_MAX_WARNING_LINES = 5
_GIT_OUTPUTS = ("git_repository", "git_branch", "git_commit", "git_committed", "git_pull_request")


def write_summary(pipeline: CompiledPipeline, progress: RunProgress, folder: Path) -> JsonObject:
    """Copy the reports to `folder/reports`, write `folder/summary.json` and return its contents.

    The stages' output parameters `image` and `git_repository`, `git_branch`, ... become `image` and `git`, and that of
    the drift is `decision`.
    `metrics` are those of all stages; a later stage's value replaces an earlier one's of the same name. `warnings` are
    those of all stages, such as what looks like a leak. `report` is the first HTML report.
    """
    reports: dict[str, str] = {}
    metrics: dict[str, float] = {}
    outputs: JsonObject = {}
    for stage in pipeline.stages:
        task_folder = next(iter(folder.glob(f"artifacts/*/{stage.name}")), None)
        if task_folder is not None:
            reports |= _copy_reports(stage, task_folder, folder / "reports")
            metrics |= _read_metrics(stage, task_folder)
            values = _read_executor_output(task_folder).get("parameterValues", {})
            # of stages that share a process, an output is named STAGE--OUTPUT
            outputs |= {name.rpartition(SEPARATOR)[2]: value for name, value in values.items()}
    image = outputs.get("image")
    summary = {
        "pipeline": progress.pipeline,
        "status": progress.status,
        "error": progress.error,
        "seconds": progress.seconds,
        "stages": [asdict(stage) for stage in progress.stages],
        "image": {"reference": image, "digest": ImageRef.parse(image).digest} if image else None,
        "git": {name.removeprefix("git_"): outputs[name] for name in _GIT_OUTPUTS if name in outputs} or None,
        "decision": outputs.get("decision"),
        "metrics": metrics,
        "warnings": progress.warnings,
        "report": next((path for path in reports.values() if path.endswith(".html")), None),
        "reports": reports,
        "log": str(folder / "logs" / "run.log"),
    }
    write_file(folder / "summary.json", canonical_json(summary))
    return summary


def select_warnings(warnings: Sequence[str]) -> list[str]:
    """Return the warnings to print: all of them, or the first ones and a line that counts the others."""
    if len(warnings) <= _MAX_WARNING_LINES:
        return list(warnings)
    printed = warnings[: _MAX_WARNING_LINES - 1]
    return [*printed, f"{len(warnings) - len(printed)} more in the reports and in summary.json"]


def _copy_reports(stage: Stage, task_folder: Path, reports_folder: Path) -> dict[str, str]:
    """Copy the reports of a stage and return their paths by stage name."""
    reports = {}
    for name, artifact_type in stage.artifacts.items():
        source = task_folder / name
        if artifact_type in _SUFFIXES and source.is_file():
            reports_folder.mkdir(exist_ok=True)
            producer = stage.producer_of(name)
            target = reports_folder / f"{producer}.{_SUFFIXES[artifact_type]}"
            shutil.copyfile(source, target)
            reports[producer] = str(target)
    return reports


def _read_metrics(stage: Stage, task_folder: Path) -> dict[str, float]:
    names = [name for name, artifact_type in stage.artifacts.items() if artifact_type == "system.Metrics"]
    artifacts = _read_executor_output(task_folder).get("artifacts", {})
    return {
        metric: value
        for name in names
        for artifact in artifacts.get(name, {}).get("artifacts", ())
        for metric, value in artifact.get("metadata", {}).items()
    }


def _read_executor_output(task_folder: Path) -> JsonObject:
    """Return the `ExecutorOutput` that KFP wrote for a task."""
    path = task_folder / "executor_output.json"
    executor_output: JsonObject = json.loads(path.read_text()) if path.is_file() else {}
    return executor_output
