"""`kfp-edge schedule`: add, list, pause, resume, delete."""

from typing import TYPE_CHECKING, Annotated

import typer

from kfp_edge.cli.parameters import ParameterOptions, ParametersFile, read_parameters
from kfp_edge.cli.server_options import CaFile, Experiment, Host, Namespace, PipelineName

if TYPE_CHECKING:
    from kfp_edge.client import Schedule

schedule = typer.Typer(no_args_is_help=True, help="Run pipelines on a schedule on OpenShift AI.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the schedule.")]


@schedule.command("add")
def add(
    name: Name,
    pipeline: PipelineName,
    parameter: ParameterOptions = None,
    params: ParametersFile = None,
    cron: Annotated[str, typer.Option("--cron", help="Six fields, seconds first: '0 30 2 * * *' is 02:30.")] = "",
    every: Annotated[int, typer.Option("--every", metavar="SECONDS", help="An interval, instead of cron.")] = 0,
    concurrency: Annotated[int, typer.Option("--concurrency", help="Maximum number of parallel runs, 1 to 10.")] = 1,
    catch_up: Annotated[bool, typer.Option("--catch-up", help="Start runs that were missed during a pause.")] = False,
    experiment: Experiment = "kfp-edge",
    namespace: Namespace = "",
    host: Host = "",
    ca_file: CaFile = None,
) -> None:
    """Add a schedule. An equal one of this name is left unchanged, a different one is replaced."""
    from kfp_edge.client import Client

    parameters = read_parameters(parameter, params)
    added = Client.connect(namespace, host, ca_file=ca_file).schedule(
        name,
        pipeline,
        parameters,
        cron=cron,
        every=every,
        concurrency=concurrency,
        catch_up=catch_up,
        experiment=experiment,
    )
    _print_schedule(added)


@schedule.command("list")
def list_schedules(namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """List the schedules with their next three times."""
    from kfp_edge.client import Client

    for each in Client.connect(namespace, host, ca_file=ca_file).schedules():
        _print_schedule(each)


@schedule.command("pause")
def pause(name: Name, namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """Pause a schedule: it starts no more runs until it is resumed."""
    from kfp_edge.client import Client

    Client.connect(namespace, host, ca_file=ca_file).pause(name)
    typer.echo(f"paused {name}")


@schedule.command("resume")
def resume(name: Name, namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """Resume a paused schedule."""
    from kfp_edge.client import Client

    Client.connect(namespace, host, ca_file=ca_file).resume(name)
    typer.echo(f"resumed {name}")


@schedule.command("delete")
def delete(name: Name, namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """Delete a schedule; the runs that it started remain."""
    from kfp_edge.client import Client

    Client.connect(namespace, host, ca_file=ca_file).unschedule(name)
    typer.echo(f"deleted {name}")


def _print_schedule(item: "Schedule") -> None:
    timing = item.cron or f"every {item.every} s"
    typer.echo(f"{item.name}: {timing}, at most {item.concurrency} at a time{'' if item.enabled else ' (paused)'}")
    for moment in item.next_times:
        typer.echo(f"    {moment:%Y-%m-%d %H:%M:%S} UTC")
