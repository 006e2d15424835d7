"""`kfp-edge run`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kfp_edge.cli.parameters import ParameterOptions, ParametersFile, read_parameters
from kfp_edge.errors import KfpEdgeError

if TYPE_CHECKING:
    from kfp_edge.local.runner import RunProgress

#: Lines of the GitOps diff that are shown; the whole stands in the report.
_DIFF_LINES = 24
_MARKS = {"succeeded": "[green]✓[/]", "failed": "[red]✗[/]", "interrupted": "[yellow]■[/]"}


def run(
    pipeline: Annotated[str, typer.Argument(help="training, delivery or edge_mlops, by name.")],
    parameter: ParameterOptions = None,
    params: ParametersFile = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where the run leaves its files.")] = None,
) -> None:
    """Run a pipeline on this machine and show its progress, stage by stage."""
    import os

    from kfp_edge.local import runner, summary, workspace
    from kfp_edge.runtime.mounts import set_environment_from_mounts
    from kfp_edge.spec import compilation
    from kfp_edge.spec.compiled_pipeline import CompiledPipeline

    set_environment_from_mounts()
    compiled = CompiledPipeline(compilation.compile_text(compilation.load(pipeline)))
    arguments = compiled.arguments(read_parameters(parameter, params))
    folder = out or workspace.new_run_folder(pipeline)
    if (folder / "summary.json").exists():
        raise KfpEdgeError(f"{folder} holds an earlier run; give --out another folder, or remove it.")
    os.environ["SOURCE_DATE_EPOCH"] = workspace.source_date_epoch()
    arguments = workspace.prepare(arguments, compiled.parameters)
    with _Progress(len(compiled.stages)) as progress:
        found = runner.run(compiled, arguments, folder, progress.show)
    told = summary.summarize(compiled, found, folder)
    _print(told, folder)
    if found.status == "interrupted":
        typer.echo(f"error: {found.error}", err=True)
        raise typer.Exit(130)
    runner.refuse_failed(found)


class _Progress:
    """A line for each stage: a spinner while it runs, its seconds when it is done."""

    def __init__(self, total: int) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("starting")
        self._total = total
        self._told = 0

    def __enter__(self) -> "_Progress":
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def show(self, found: "RunProgress") -> None:
        for stage in found.stages[self._told :]:
            if stage.status == "running":
                self._status.update(f"{stage.name}  ({self._told + 1} of {self._total})")
                break
            self._console.print(f"{_MARKS[stage.status]} {stage.name:<16}{stage.seconds:7.1f} s")
            self._told += 1


def _print(told: dict[str, Any], folder: Path) -> None:
    typer.echo("\n" + "\n".join(f"{name:<22}{value}" for name, value in _lines(told, folder)))
    if diff := _diff(told["reports"].get("gitops-commit")):
        typer.echo(f"\n{diff}")


def _lines(told: dict[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    yield told["pipeline"], f"{told['status']} in {told['seconds']:.1f} s, {len(told['stages'])} stages"
    if told["metrics"]:
        yield "metrics", ", ".join(f"{name} {value:.4g}" for name, value in sorted(told["metrics"].items()))
    if told["image"]:
        yield "image", told["image"]["reference"]
        yield "size", _size(told["image"]["reference"])
    if told["git"]:
        state = "" if told["git"]["committed"] else " (no new commit: the digest is there already)"
        yield "commit", "{commit} on {branch} of {repository}".format(**told["git"]) + state
    yield from ((f"{stage} report", path) for stage, path in told["reports"].items())
    yield "summary", str(folder / "summary.json")


def _size(reference: str) -> str:
    from kfp_edge.images import oci

    return f"{oci.image_size(oci.ImageRef.parse(reference)) / 1e6:.1f} MB compressed"


def _diff(report: str | None) -> str:
    """The diff inside the fenced block of the GitOps report, cut to what a person reads at a glance."""
    if report is None:
        return ""
    lines = Path(report).read_text(encoding="utf-8").partition("```diff\n")[2].partition("```")[0].splitlines()
    more = [f"… {len(lines) - _DIFF_LINES} more lines in {report}"] if len(lines) > _DIFF_LINES else []
    return "\n".join(lines[:_DIFF_LINES] + more)
