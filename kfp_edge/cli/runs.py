"""`kfp-edge runs`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kfp_edge.cli.server_options import CaFile, Host, Namespace
from kfp_edge.cli.submit import follow_run, print_metrics, print_waiting
from kfp_edge.errors import ParameterError
from kfp_edge.storage.files import write_file
from kfp_edge.wording import repeat_command

if TYPE_CHECKING:
    from kfp_edge.client import Run

_LIMIT = 10


def runs(
    run_id: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Run ID; without it, the latest runs are listed.")
    ] = "",
    limit: Annotated[
        int | None, typer.Option("--limit", help="How many runs are listed; 10 by default.", min=1, max=200)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show the run's progress until it has ended.")] = False,
    report: Annotated[str, typer.Option("--report", metavar="STAGE", help="Write the report of this stage.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file for the report; stdout by default.")
    ] = None,
    namespace: Namespace = "",
    host: Host = "",
    ca_file: CaFile = None,
) -> None:
    """List the latest runs on OpenShift AI, or show one: its stages, metrics and reports."""
    from kfp_edge.client import Client

    _refuse_unused(run_id, limit, wait, report, output)
    client = Client.connect(namespace, host, ca_file=ca_file)
    if not run_id:
        latest = client.runs(limit or _LIMIT)
        typer.echo(f"{'ID':<38}{'STATE':<10}{'CREATED (UTC)':<18}NAME" if latest else "no runs", err=True)
        for run in latest:
            typer.echo(f"{run.id}  {run.state:<10}{run.created_at:%Y-%m-%d %H:%M}  {run.name}{_remarks(run)}")
            print_waiting(run.waits_for())
        return
    run = client.run(run_id)
    if report:
        _write_report(run.report(report), output)
    elif wait:
        follow_run(run, lambda command: repeat_command(command, namespace, host, ca_file))
    else:
        _print_run(run)


def _refuse_unused(run_id: str, limit: int | None, wait: bool, report: str, output: Path | None) -> None:
    """Refuse options that would have no effect.

    Raises:
        ParameterError: with one of them.
    """
    for option, is_given in (("--report", report), ("--output", output), ("--wait", wait)):
        if is_given and not run_id:
            raise ParameterError(f"{option} is for one run: name it, as in `kfp-edge runs RUN {option}`.")
    if limit is not None and run_id:
        raise ParameterError("--limit is for the list of runs; leave it out, or the RUN.")
    if output and not report:
        raise ParameterError("--output is the file for a report: name its stage with --report.")
    if report and wait:
        raise ParameterError("give --report or --wait, not both.")


def _print_run(run: "Run") -> None:
    from kfp_edge.client.runs.snapshot import format_stage

    error = run.error()
    typer.echo(f"{run.name}: {run.state}{_remarks(run)}\n    {run.url}")
    for stage in run.stages():
        typer.echo(format_stage(stage))
    print_waiting(run.waits_for())
    if error:
        typer.echo(error)
    print_metrics(run)


def _remarks(run: "Run") -> str:
    remarks = [*(["retried"] if run.is_retried else []), *(["archived"] if run.is_archived else [])]
    return f" ({', '.join(remarks)})" if remarks else ""


def _write_report(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text)
        return
    write_file(output, text.encode())
    typer.echo(f"wrote {output}")
