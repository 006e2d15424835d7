"""`kfp-edge schedule`: add, list, pause, resume, delete."""

from typing import TYPE_CHECKING, Annotated

import typer

from kfp_edge.cli.parameters import ParameterOptions, ParametersFile, read_parameters
from kfp_edge.cli.server_options import CaFile, Experiment, Host, Namespace, PipelineName

if TYPE_CHECKING:
    from kfp_edge.client import Schedule

schedule = typer.Typer(no_args_is_help=True, help="Have pipelines run again and again on OpenShift AI.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the schedule.")]


@schedule.command("add")
def add(
    name: Name,
    pipeline: PipelineName,
    parameter: ParameterOptions = None,
    params: ParametersFile = None,
    cron: Annotated[str, typer.Option("--cron", help="Six fields, seconds first: '0 30 2 * * *' is 02:30.")] = "",
    every: Annotated[int, typer.Option("--every", metavar="SECONDS", help="An interval, instead of cron.")] = 0,
    concurrency: Annotated[int, typer.Option("--concurrency", help="Runs at the same time, 1 to 10.")] = 1,
    catch_up: Annotated[bool, typer.Option("--catch-up", help="Make up for runs that were missed.")] = False,
    experiment: Experiment = "kfp-edge",
    namespace: Namespace = "",
    host: Host = "",
    ca_file: CaFile = None,
) -> None:
    """Add a schedule. One of this name that is equal is left as it is, another one is replaced."""
    from kfp_edge.client import Client

    given = read_parameters(parameter, params)
    made = Client.connect(namespace, host, ca_file=ca_file).schedule(
        name,
        pipeline,
        given,
        cron=cron,
        every=every,
        concurrency=concurrency,
        catch_up=catch_up,
        experiment=experiment,
    )
    _show(made)


@schedule.command("list")
def list_schedules(namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """List the schedules with their next three times."""
    from kfp_edge.client import Client

    for found in Client.connect(namespace, host, ca_file=ca_file).schedules():
        _show(found)


@schedule.command("pause")
def pause(name: Name, namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """Have a schedule start no more runs."""
    from kfp_edge.client import Client

    Client.connect(namespace, host, ca_file=ca_file).pause(name)
    typer.echo(f"paused {name}")


@schedule.command("resume")
def resume(name: Name, namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """Let a paused schedule go on."""
    from kfp_edge.client import Client

    Client.connect(namespace, host, ca_file=ca_file).resume(name)
    typer.echo(f"resumed {name}")


@schedule.command("delete")
def delete(name: Name, namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """Delete a schedule; the runs that it started stay."""
    from kfp_edge.client import Client

    Client.connect(namespace, host, ca_file=ca_file).unschedule(name)
    typer.echo(f"deleted {name}")


def _show(found: "Schedule") -> None:
    when = found.cron or f"every {found.every} s"
    typer.echo(f"{found.name}: {when}, at most {found.concurrency} at a time{'' if found.enabled else ' (paused)'}")
    for moment in found.next_times:
        typer.echo(f"    {moment:%Y-%m-%d %H:%M:%S} UTC")
