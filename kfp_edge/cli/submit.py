"""`kfp-edge submit`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from kfp_edge.cli.backend_option import Deadline, ServerBackend, TimeToLive
from kfp_edge.cli.parameters import ParameterOptions, ParametersFile, read_parameters
from kfp_edge.cli.printed_warnings import printed_warnings
from kfp_edge.cli.server_options import (
    Cache,
    CaFile,
    Experiment,
    Host,
    Image,
    JoinStages,
    Namespace,
    PipelineName,
)
from kfp_edge.errors import KfpEdgeError
from kfp_edge.wording import repeat_command

if TYPE_CHECKING:
    from kfp_edge.client import Run, StageState


def submit(
    pipeline: PipelineName,
    parameter: ParameterOptions = None,
    params: ParametersFile = None,
    name: Annotated[str, typer.Option("--name", help="The run's name; by default pipeline and time.")] = "",
    experiment: Experiment = "kfp-edge",
    image: Image = "",
    cache: Cache = True,
    join_stages: JoinStages = False,
    backend: ServerBackend = "",
    deadline: Deadline = "",
    time_to_live: TimeToLive = "",
    wait: Annotated[bool, typer.Option("--wait", help="Show its progress until it has ended.")] = False,
    namespace: Namespace = "",
    host: Host = "",
    ca_file: CaFile = None,
) -> None:
    """Start a pipeline on OpenShift AI. The token is that in KFP_EDGE_TOKEN, or the cluster's."""
    from kfp_edge.client import Client

    parameters = read_parameters(parameter, params)
    client = Client.connect(namespace, host, ca_file=ca_file)
    with printed_warnings():
        run = client.submit(
            pipeline,
            parameters,
            name=name,
            experiment=experiment,
            cache=cache,
            image=image,
            join_stages=join_stages,
            backend=backend,
            deadline=deadline,
            time_to_live=time_to_live,
        )
    typer.echo(f"run {run.id}\n    {run.url}")
    if wait:
        follow_run(run, lambda command: repeat_command(command, namespace, host, ca_file))


def follow_run(run: "Run", repeat: Callable[[str], str]) -> None:
    """Print a run's stages as they start, wait and end, then its metrics; exit 1 unless it succeeds.

    Ctrl-C ends only this program: it prints the commands that follow and cancel the run.

    Args:
        run: The run.
        repeat: Returns a command of `kfp-edge` for the same server.
    """
    from kfp_edge.client.runs.snapshot import MARKS, WAITING_MARK, format_stage

    printed: dict[str, str] = {}

    def print_changes(stages: "tuple[StageState, ...]") -> None:
        for stage in stages:
            if printed.get(stage.name) != stage.state and stage.state in MARKS:
                typer.echo(format_stage(stage))
            printed[stage.name] = stage.state

    if run.state == "pending":
        typer.echo(f"{WAITING_MARK} waiting for the first stage to start")
    try:
        result = run.wait(print_changes, on_waiting=print_waiting)
    except KeyboardInterrupt:
        follow, cancel = repeat(f"runs {run.id} --wait"), repeat(f"cancel {run.id}")
        typer.echo(f"\nthe run {run.name} continues; `{follow}` follows it, `{cancel}` cancels it", err=True)
        raise typer.Exit(130) from None
    if result.state != "succeeded":
        typer.echo(f"error: {result.error}", err=True)
        raise typer.Exit(1)
    print_metrics(run)


def print_waiting(texts: tuple[str, ...]) -> None:
    """Print what a run waits for."""
    from kfp_edge.client.runs.snapshot import WAITING_MARK

    for text in texts:
        typer.echo(f"{WAITING_MARK} {text}")


def print_metrics(run: "Run") -> None:
    """Print the metrics of a run, one per line, or why they cannot be read: that does not make the run a failure."""
    from kfp_edge.metrics.selection import select_metrics

    try:
        metrics = run.metrics()
    except KfpEdgeError as error:
        typer.echo(f"note: the metrics cannot be read: {error}", err=True)
        return
    for name, value in select_metrics(metrics).items():
        typer.echo(f"{name:<22}{value:.4g}")
