"""`kfp-edge run`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kfp_edge.cli.parameters import ParameterOptions, ParametersFile, read_parameters
from kfp_edge.cli.server_options import PipelineName
from kfp_edge.wording import count_of

if TYPE_CHECKING:
    from kfp_edge.local import LocalRun, RunProgress

#: Lines of the GitOps diff that are printed; the report has all of it.
_DIFF_LINES = 24
_MARKS = {"succeeded": "[green]✓[/]", "failed": "[red]✗[/]", "interrupted": "[yellow]■[/]"}


def run(
    pipeline: PipelineName,
    parameter: ParameterOptions = None,
    params: ParametersFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="The folder for the run's files: a new one in .kfp-edge/runs if not given."
        ),
    ] = None,
) -> None:
    """Run a pipeline on this machine and show its progress, stage by stage.

    The pipelines are training, fleet_training, delivery, edge_mlops, promote, rollback, drift and retraining;
    docs/parameters.md lists their parameters.
    """
    from kfp_edge import local
    from kfp_edge.runtime.mounts import set_environment_from_mounts

    set_environment_from_mounts()
    parameters = read_parameters(parameter, params)
    try:
        with _ProgressDisplay() as display:
            local_run = local.run(pipeline, parameters, out=out, on_progress=display.update)
    except local.RunFailedError as error:
        _print_run(error.run)
        if error.run.status == "interrupted":
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(130) from None
        raise
    _print_run(local_run)


class _ProgressDisplay:
    """A line for each stage: a spinner with its step while it runs, its duration when it has ended.

    Where nothing can be overwritten, the steps of a long stage are printed now and then.
    """

    def __init__(self) -> None:
        from rich.console import Console

        from kfp_edge.local.steps import StepLines

        self._steps = StepLines()
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("starting")
        self._printed = 0

    def __enter__(self) -> "_ProgressDisplay":
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def update(self, progress: "RunProgress") -> None:
        from rich.markup import escape

        for stage in progress.stages[self._printed :]:
            if stage.status == "running":
                number = f"{stage.name}  ({self._printed + 1} of {progress.stage_count})"
                self._status.update(f"{number}  {escape(progress.step)}")
                break
            self._console.print(f"{_MARKS[stage.status]} {stage.name:<16}{stage.seconds:7.1f} s")
            self._printed += 1
        if not self._console.is_terminal and (line := self._steps.take(progress)):
            self._console.print(f"  {line}", markup=False, soft_wrap=True)


def _print_run(local_run: "LocalRun") -> None:
    summary = local_run.summary
    lines = _summary_lines(summary, local_run.folder)
    typer.echo("\n" + "\n".join(f"{name:<22}{value}" for name, value in lines))
    if diff := _gitops_diff(summary["reports"].get("gitops-commit")):
        typer.echo(f"\n{diff}")


def _summary_lines(summary: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    from kfp_edge.local.summary import select_warnings
    from kfp_edge.metrics.selection import select_metrics

    stages = len(summary["stages"])
    yield summary["pipeline"], f"{summary['status']} in {summary['seconds']:.1f} s, {count_of(stages, 'stage')}"
    if summary["decision"]:
        yield "decision", summary["decision"]
    yield from (("warning", warning) for warning in select_warnings(summary["warnings"]))
    if summary["metrics"]:
        from kfp_edge.metrics.catalog import format_metric

        printed = select_metrics(summary["metrics"])
        more = "; the others are in the reports" if len(printed) < len(summary["metrics"]) else ""
        yield "metrics", ", ".join(f"{name} {format_metric(name, value)}" for name, value in printed.items()) + more
    if summary["image"]:
        yield "image", summary["image"]["reference"]
        yield "size", _image_size(summary["image"]["reference"])
    if summary["git"]:
        note = "" if summary["git"]["committed"] else " (no new commit: the branch already has the digest)"
        yield "commit", "{commit} on {branch} of {repository}".format(**summary["git"]) + note
        if url := summary["git"].get("pull_request"):
            yield "pull request", url
    yield from ((f"{stage} report", path) for stage, path in summary["reports"].items())
    yield "summary", str(folder / "summary.json")


def _image_size(reference: str) -> str:
    from kfp_edge.images.oci.references import ImageRef
    from kfp_edge.images.registry import pull_size

    return f"{pull_size(ImageRef.parse(reference)) / 1e6:.1f} MB compressed"


def _gitops_diff(report: str | None) -> str:
    """Return the first lines of the diff in the GitOps report's fenced code block."""
    if report is None:
        return ""
    lines = Path(report).read_text(encoding="utf-8").rpartition("```diff\n")[2].partition("```")[0].splitlines()
    more = [f"… {len(lines) - _DIFF_LINES} more lines in {report}"] if len(lines) > _DIFF_LINES else []
    return "\n".join(lines[:_DIFF_LINES] + more)
