"""`kfp-edge runs`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kfp_edge.cli.server_options import CaFile, Host, Namespace
from kfp_edge.cli.submit import follow, line, show_metrics
from kfp_edge.storage.files import write_file

if TYPE_CHECKING:
    from kfp_edge.client import Run


def runs(
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="The id of a run; none: the latest ones.")] = "",
    limit: Annotated[int, typer.Option("--limit", help="How many runs are listed.", min=1, max=200)] = 10,
    wait: Annotated[bool, typer.Option("--wait", help="Show the run's progress until it has ended.")] = False,
    report: Annotated[str, typer.Option("--report", metavar="STAGE", help="Write the report of this stage.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where the report goes; stdout by default.")
    ] = None,
    namespace: Namespace = "",
    host: Host = "",
    ca_file: CaFile = None,
) -> None:
    """List the latest runs on OpenShift AI, or look at one: its stages, metrics and reports."""
    from kfp_edge.client import Client

    client = Client.connect(namespace, host, ca_file=ca_file)
    if not run:
        for found in client.runs(limit):
            typer.echo(f"{found.id}  {found.state:<10}{found.created_at:%Y-%m-%d %H:%M}  {found.name}")
        return
    found = client.run(run)
    if report:
        _write(found.report(report), output)
    elif wait:
        follow(found)
    else:
        _show(found)


def _show(found: "Run") -> None:
    typer.echo(f"{found.name}: {found.state}\n    {found.url}")
    for stage in found.stages():
        typer.echo(line(stage))
    show_metrics(found)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text)
        return
    write_file(output, text.encode())
    typer.echo(f"wrote {output}")
