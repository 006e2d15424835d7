"""`kfp-edge submit`."""

from typing import TYPE_CHECKING, Annotated

import typer

from kfp_edge.cli.parameters import ParameterOptions, ParametersFile, read_parameters
from kfp_edge.cli.server_options import CaFile, Experiment, Host, Namespace, PipelineName

if TYPE_CHECKING:
    from kfp_edge.client import Run, StageState

MARKS = {"succeeded": "✓", "failed": "✗", "canceled": "■", "canceling": "■", "skipped": "-", "running": "…"}


def submit(
    pipeline: PipelineName,
    parameter: ParameterOptions = None,
    params: ParametersFile = None,
    name: Annotated[str, typer.Option("--name", help="Of the run; the pipeline's and the time by default.")] = "",
    experiment: Experiment = "kfp-edge",
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Whether stages may answer from the cache.")] = True,
    wait: Annotated[bool, typer.Option("--wait", help="Show its progress until it has ended.")] = False,
    namespace: Namespace = "",
    host: Host = "",
    ca_file: CaFile = None,
) -> None:
    """Start a pipeline on OpenShift AI. The token is the cluster's, or that in KFP_EDGE_TOKEN."""
    from kfp_edge.client import Client

    given = read_parameters(parameter, params)
    client = Client.connect(namespace, host, ca_file=ca_file)
    run = client.submit(pipeline, given, name=name, experiment=experiment, cache=cache)
    typer.echo(f"run {run.id}\n    {run.url}")
    if wait:
        follow(run)


def follow(run: "Run") -> None:
    """Show a run's stages as they begin and end, and its metrics; exit 1 unless it succeeds."""
    shown: dict[str, str] = {}

    def show(stages: "tuple[StageState, ...]") -> None:
        for stage in stages:
            if shown.get(stage.name) != stage.state and stage.state in MARKS:
                typer.echo(line(stage))
            shown[stage.name] = stage.state

    outcome = run.wait(show)
    if outcome.state != "succeeded":
        typer.echo(f"error: {outcome.error}", err=True)
        raise typer.Exit(1)
    show_metrics(run)


def line(stage: "StageState") -> str:
    """Return a stage in a line: its mark, name, state and seconds."""
    seconds = f"{stage.seconds:8.0f} s" if stage.seconds else ""
    return f"{MARKS.get(stage.state, ' ')} {stage.name:<20}{stage.state:<10}{seconds}".rstrip()


def show_metrics(run: "Run") -> None:
    """Print the numbers that a run measured, one a line."""
    for name, value in sorted(run.metrics().items()):
        typer.echo(f"{name:<22}{value:.4g}")
