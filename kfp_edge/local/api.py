"""Running a pipeline on this machine from Python: `kfp_edge.local.run("training", {"seed": 1})`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from kfp_edge.errors import KfpEdgeError, RunFailedError
from kfp_edge.local import runner, summary, workspace
from kfp_edge.local.runner import RunProgress, StageRun, Status
from kfp_edge.spec.compiled_pipeline import CompiledPipeline, PipelineLike, text_of

#: Pixels of a report in a notebook; a longer one scrolls.
_HEIGHT = 640


class StageReport(str):
    """The report of a stage, an HTML page or Markdown, which a notebook shows as it is meant to look."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """Return an HTML page in a frame of its own, so that neither its style nor a script reaches the notebook."""
        if not self.startswith("<!doctype html"):
            return None
        page = escape(self)
        return f'<div><iframe sandbox srcdoc="{page}" width="100%" height="{_HEIGHT}" style="border:0"></iframe></div>'

    def _repr_markdown_(self) -> str:
        return str(self)


@dataclass(frozen=True)
class LocalRun:
    """A run that has ended, with all that it left in `folder`."""

    folder: Path
    #: What stands in `folder/summary.json`.
    summary: Mapping[str, Any]

    @property
    def status(self) -> Status:
        status: Status = self.summary["status"]
        return status

    @property
    def image(self) -> str | None:
        """The released image by digest; None where the pipeline releases none."""
        image = self.summary["image"]
        return str(image["reference"]) if image else None

    def stages(self) -> list[StageRun]:
        """Return the stages in the order in which they began, each with its seconds."""
        return [StageRun(**stage) for stage in self.summary["stages"]]

    def metrics(self) -> dict[str, float]:
        """Return the metrics of all stages by name; a later stage's stand above an earlier one's."""
        return dict(self.summary["metrics"])

    def report(self, stage: str) -> StageReport:
        """Return the report of a stage.

        Raises:
            KfpEdgeError: the stage made none.
        """
        reports = self.summary["reports"]
        if stage not in reports:
            raise KfpEdgeError(f"there is no report of {stage!r} in {self.folder}; reports: {', '.join(reports)}.")
        return StageReport(Path(reports[stage]).read_text(encoding="utf-8"))

    def artifact(self, stage: str, name: str) -> Path:
        """Return the file or folder of an artifact that a stage made.

        Raises:
            KfpEdgeError: there is no such artifact.
        """
        found = next(self.folder.glob(f"artifacts/*/{stage}/{name}"), None)
        if found is None:
            made = sorted(f"{path.parent.name}/{path.name}" for path in self.folder.glob("artifacts/*/*/*"))
            raise KfpEdgeError(f"there is no {stage}/{name} in {self.folder}; it has: {', '.join(made)}.")
        return found


def run(
    pipeline: PipelineLike,
    parameters: Mapping[str, Any] | None = None,
    *,
    out: Path | str | None = None,
    show: Callable[[RunProgress], None] | None = None,
) -> LocalRun:
    """Run a pipeline on this machine to its end.

    Args:
        pipeline: The name of one of ours, a compiled YAML file, or a function with `@dsl.pipeline`.
        parameters: Values by name; those that are left out keep the pipeline's default.
        out: Folder for what the run leaves; a new one in `.kfp-edge/runs` when not given.
        show: Called whenever a stage has begun or ended; prints a line for each that ended when not given.

    Raises:
        RunFailedError: a stage failed, or the run was interrupted.
        KfpEdgeError: the pipeline or a parameter is not as it should be, or `out` holds an earlier run.
    """
    compiled = CompiledPipeline(text_of(pipeline))
    arguments = compiled.arguments(parameters or {})
    folder = Path(out) if out else workspace.new_run_folder(compiled.name)
    if (folder / "summary.json").exists():
        raise KfpEdgeError(f"{folder} holds an earlier run; give another folder, or remove it.")
    arguments = workspace.prepare(arguments, compiled.parameters)
    found = runner.run(compiled, arguments, folder, show or _Lines().show)
    ended = LocalRun(folder, summary.summarize(compiled, found, folder))
    try:
        runner.refuse_failed(found)
    except KfpEdgeError as error:
        raise RunFailedError(str(error), ended) from None
    return ended


class _Lines:
    """Prints a line for each stage that has ended."""

    def __init__(self) -> None:
        self._told = 0

    def show(self, found: RunProgress) -> None:
        for stage in found.stages[self._told :]:
            if stage.status == "running":
                break
            print(f"{stage.name:<16}{stage.seconds:7.1f} s  {stage.status}", flush=True)
            self._told += 1
