"""`kfp-edge schedule`: add, list, pause, resume, delete."""

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from kfp_edge.cli.backend_option import Deadline, ServerBackend, TimeToLive
from kfp_edge.cli.parameters import ParameterOptions, ParametersFile, read_parameters
from kfp_edge.cli.printed_warnings import printed_warnings
from kfp_edge.cli.server_options import Cache, CaFile, Experiment, Host, Image, JoinStages, Namespace, PipelineName

if TYPE_CHECKING:
    from kfp_edge.client import Schedule

schedule = typer.Typer(no_args_is_help=True, help="Run pipelines on a schedule on OpenShift AI.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the schedule.")]
NameOrId = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of the schedule or, if several have that name, the ID of one.")
]


@schedule.command("add")
def add(
    name: Name,
    pipeline: PipelineName,
    parameter: ParameterOptions = None,
    params: ParametersFile = None,
    cron: Annotated[
        str, typer.Option("--cron", help="Six fields, seconds first, in UTC: '0 30 2 * * *' is 02:30 UTC.")
    ] = "",
    every: Annotated[
        str, typer.Option("--every", metavar="TIME", help="An interval such as 90m or 6h, instead of cron.")
    ] = "",
    concurrency: Annotated[int, typer.Option("--concurrency", help="Maximum number of parallel runs, 1 to 10.")] = 1,
    catch_up: Annotated[bool, typer.Option("--catch-up", help="Start runs that were missed during a pause.")] = False,
    image: Image = "",
    experiment: Experiment = "kfp-edge",
    cache: Cache = True,
    join_stages: JoinStages = False,
    backend: ServerBackend = "",
    deadline: Deadline = "",
    time_to_live: TimeToLive = "",
    namespace: Namespace = "",
    host: Host = "",
    ca_file: CaFile = None,
) -> None:
    """Add a schedule. An equal one of this name is left unchanged, a different one is replaced; its runs go on."""
    from kfp_edge.client import Client

    parameters = read_parameters(parameter, params)
    client = Client.connect(namespace, host, ca_file=ca_file)
    with printed_warnings():
        added = client.schedule(
            name,
            pipeline,
            parameters,
            cron=cron,
            every=_parse_interval(every),
            concurrency=concurrency,
            catch_up=catch_up,
            experiment=experiment,
            cache=cache,
            image=image,
            join_stages=join_stages,
            backend=backend,
            deadline=deadline,
            time_to_live=time_to_live,
        )
    typer.echo(f"{name} is unchanged" if added.change == "unchanged" else f"{added.change} {name}")
    _print_schedule(added)
    if not added.enabled:
        typer.echo(f"    paused, as it was before; `kfp-edge schedule resume {name}` starts its runs")
    if added.unfinished_runs:
        typer.echo(
            f"the schedule that it replaces is paused until its runs have ended: {', '.join(added.unfinished_runs)}; "
            f"the next `kfp-edge schedule add {name}` deletes it"
        )


@schedule.command("list")
def list_schedules(namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """List the schedules, also those of others, with their next three times."""
    from kfp_edge.client import Client

    schedules = Client.connect(namespace, host, ca_file=ca_file).schedules()
    if not schedules:
        typer.echo("no schedules", err=True)
    names = Counter(each.name for each in schedules)
    for each in schedules:
        _print_schedule(each, with_id=names[each.name] > 1)


@schedule.command("pause")
def pause(name: NameOrId, namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """Pause a schedule: it starts no more runs until it is resumed."""
    from kfp_edge.client import Client

    Client.connect(namespace, host, ca_file=ca_file).pause(name)
    typer.echo(f"paused {name}")


@schedule.command("resume")
def resume(name: NameOrId, namespace: Namespace = "", host: Host = "", ca_file: CaFile = None) -> None:
    """Resume a paused schedule. If a time was missed, a run starts at once; with --catch-up, all missed runs do."""
    from kfp_edge.client import Client

    for resumed in Client.connect(namespace, host, ca_file=ca_file).resume(name):
        typer.echo(f"resumed {name}")
        if resumed.missed is not None:
            typer.echo(f"    times were missed since {_format_time(resumed.missed)}: {_starting_runs(resumed)}")


@schedule.command("delete")
def delete(
    name: NameOrId,
    force: Annotated[
        bool,
        typer.Option("--force", help="Delete it even if runs have not ended; a server before KFP 2.16 kills them."),
    ] = False,
    namespace: Namespace = "",
    host: Host = "",
    ca_file: CaFile = None,
) -> None:
    """Delete a schedule. While runs that it started have not ended, it is only paused."""
    from kfp_edge.client import Client

    unfinished = Client.connect(namespace, host, ca_file=ca_file).unschedule(name, force=force)
    typer.echo(f"deleted {name}")
    if unfinished:
        typer.echo(f"    runs had not ended, and a server before KFP 2.16 has killed them: {', '.join(unfinished)}")


def _parse_interval(text: str) -> int:
    """Return an interval in seconds, 0 if none is given; a number without a unit is seconds."""
    from kfp_edge.spec.compiling.target import parse_seconds

    return int(text) if text.isdecimal() else parse_seconds("interval of the schedule", text)


def _starting_runs(resumed: "Schedule") -> str:
    """Return which runs start, and when, because times were missed."""
    starting = "the runs that were missed start one by one, the first" if resumed.catch_up else "a run starts"
    if len(resumed.unfinished_runs) < resumed.concurrency:
        return f"{starting} now"
    return f"{starting} when one of these has ended: {', '.join(resumed.unfinished_runs)}"


def _print_schedule(item: "Schedule", with_id: bool = False) -> None:
    timing = item.cron or (f"every {item.every} s" if item.every else "once")
    limits = [
        f"{word} {_format_time(moment)}" for word, moment in (("from", item.start), ("until", item.end)) if moment
    ]
    state = " (replaced)" if item.replaced else "" if item.enabled else " (paused)"
    name = f"{item.name} ({item.id})" if with_id else item.name
    typer.echo(f"{name}: {' '.join([timing, *limits])}, at most {item.concurrency} at a time{state}")
    if item.error:
        typer.echo(f"    {item.error}")
    elif item.enabled and not item.next_times:
        typer.echo("    no more times")
    for moment in item.next_times:
        typer.echo(f"    {_format_time(moment)}")


def _format_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
