"""Running a pipeline on this machine: `kfp_edge.local.run("training", {"seed": 1})`."""

import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp_edge.errors import KfpEdgeError, StorageError
from kfp_edge.local import runner, summary, workspace
from kfp_edge.local.fork_client import STAGE_IMPORT, start_fork_server
from kfp_edge.local.runner import RunProgress, StageRun, Status
from kfp_edge.local.steps import StepLines
from kfp_edge.reports.stage_report import StageReport
from kfp_edge.spec.compiled_pipeline import CompiledPipeline, PipelineLike, is_pipeline_name, read_or_compile


@dataclass(frozen=True)
class LocalRun:
    """A finished run; everything that it left is in `folder`."""

    folder: Path
    #: The contents of `folder/summary.json`.
    summary: Mapping[str, Any]

    @property
    def status(self) -> Status:
        """succeeded, failed or interrupted."""
        status: Status = self.summary["status"]
        return status

    @property
    def image(self) -> str | None:
        """The released image by digest; None where the pipeline releases none."""
        image = self.summary["image"]
        return str(image["reference"]) if image else None

    def stages(self) -> list[StageRun]:
        """Return the stages in the order in which they started, each with its duration."""
        return [StageRun(**stage) for stage in self.summary["stages"]]

    def metrics(self) -> dict[str, float]:
        """Return the metrics of all stages; a later stage's value replaces an earlier one's of the same name."""
        return dict(self.summary["metrics"])

    def report(self, stage: str) -> StageReport:
        """Return the report of a stage.

        Raises:
            StorageError: the stage wrote none.
        """
        reports = self.summary["reports"]
        if stage not in reports:
            raise StorageError(f"there is no report of {stage!r} in {self.folder}; reports: {', '.join(reports)}.")
        return StageReport(Path(reports[stage]).read_text(encoding="utf-8"))

    def artifact(self, stage: str, name: str) -> Path:
        """Return the file or folder of an artifact that a stage produced.

        Raises:
            StorageError: there is no such artifact.
        """
        artifact = next(self.folder.glob(f"artifacts/*/{stage}/{name}"), None)
        if artifact is None:
            existing = sorted(f"{path.parent.name}/{path.name}" for path in self.folder.glob("artifacts/*/*/*"))
            raise StorageError(f"there is no {stage}/{name} in {self.folder}; it has: {', '.join(existing)}.")
        return artifact


class RunFailedError(KfpEdgeError):
    """A local run failed or was interrupted.

    Attributes:
        run: what the run left, its reports included.
    """

    def __init__(self, message: str, run: LocalRun) -> None:
        super().__init__(message)
        self.run = run


def run(
    pipeline: PipelineLike,
    parameters: Mapping[str, Any] | None = None,
    *,
    out: Path | str | None = None,
    on_progress: Callable[[RunProgress], None] | None = None,
) -> LocalRun:
    """Run a pipeline on this machine to its end.

    Args:
        pipeline: The name of a pipeline of kfp-edge, a compiled YAML or JSON file, or a function with
            `@dsl.pipeline`.
        parameters: Values by name; for the others the pipeline's defaults apply.
        out: The folder for what the run leaves; a new one in `.kfp-edge/runs` if not given. A run there that failed
            before its first report is replaced.
        on_progress: Called whenever a stage has started, has logged a step, or has ended; if not given, a line is
            printed for each that ended, for the steps of a long one every 30 seconds, and the warnings at the end.

    Raises:
        RunFailedError: a stage failed, or the run was interrupted (SIGINT or SIGTERM); its `run` is what the run left.
        ParameterError: a parameter is unknown, missing or has the wrong type, or `out` holds the results of an earlier
            run.
        PipelineError: there is no such pipeline, or it cannot run on this machine.
    """
    with ExitStack() as stack:
        fork_server: socket.socket | None = None
        if is_pipeline_name(pipeline):  # all of ours need it; it imports libraries while the pipeline is compiled
            fork_server = stack.enter_context(start_fork_server())
        compiled = CompiledPipeline(read_or_compile(pipeline))
        arguments = compiled.arguments(parameters or {})
        folder = Path(out) if out else workspace.new_run_folder(compiled.name)
        workspace.clear_run_folder(folder)
        arguments = workspace.prepare(arguments, compiled.parameters)
        if fork_server is None and STAGE_IMPORT in compiled.text:
            fork_server = stack.enter_context(start_fork_server())
        progress = runner.run(compiled, arguments, folder, on_progress or _LinePrinter().update, fork_server)
    local_run = LocalRun(folder, summary.write_summary(compiled, progress, folder))
    if progress.status != "succeeded":
        raise RunFailedError(_failure_message(progress), local_run)
    return local_run


def _failure_message(progress: RunProgress) -> str:
    """Return the error of a run that did not succeed, with the name of the stage that failed first."""
    failed = [stage.name for stage in progress.stages if stage.status == "failed"]
    return f"{failed[0] if failed else progress.pipeline}: {progress.error}"


class _LinePrinter:
    """Prints a line for each stage that has ended, the steps of a long one, and the warnings of a run at its end."""

    def __init__(self) -> None:
        self._printed = 0
        self._steps = StepLines()

    def update(self, progress: RunProgress) -> None:
        for stage in progress.stages[self._printed :]:
            if stage.status == "running":
                break
            print(f"{stage.name:<16}{stage.seconds:7.1f} s  {stage.status}", flush=True)
            self._printed += 1
        if line := self._steps.take(progress):
            print(line, flush=True)
        if progress.status != "running":
            for warning in summary.select_warnings(progress.warnings):
                print(f"warning: {warning}", flush=True)
