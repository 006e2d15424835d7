"""`kfp-edge fleet status`."""

from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, RepositoryFolder, RepositoryUrl


def status(
    repository: RepositoryFolder = HERE,
    url: RepositoryUrl = "",
    ring: Annotated[str, typer.Option("--ring", help="Only the sites of this ring.")] = "",
    within: Annotated[
        str, typer.Option("--within", metavar="DURATION", help="How far back to look for sites that are offline.")
    ] = "7d",
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page for the browser.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of the table.")] = False,
) -> None:
    """Compare what each site reports with what its ring should run, by the metrics of the sites."""
    import json
    from datetime import UTC, datetime

    from kfp_edge.cli.fleet.status_table import format_table
    from kfp_edge.errors import ParameterError
    from kfp_edge.fleet.releases.ring_images import select_ring
    from kfp_edge.fleet.remote import FleetRemote
    from kfp_edge.fleet.status.page import write_page
    from kfp_edge.fleet.status.presentation import summarize, to_json
    from kfp_edge.fleet.status.status import LONGEST_HORIZON, read_files, read_status
    from kfp_edge.fleet.units import format_duration, parse_duration

    try:
        horizon = parse_duration(within)
    except ValueError as error:
        raise ParameterError(f"--within {within} {error}.") from error
    if horizon > LONGEST_HORIZON:
        raise ParameterError(f"--within {within} is too long; give {format_duration(LONGEST_HORIZON)} at most.")
    fleet = FleetRemote.of_checkout(repository, url)
    with fleet.open() as clone:
        files = read_files(clone, fleet.branch)
    for sentence in files.broken:
        typer.echo(f"warning: {sentence}", err=True)
    result = read_status(files, datetime.now(UTC), horizon)
    if ring:
        select_ring(result.fleet, ring)
        result = result.select(ring)
    if html is not None:
        write_page(result, html)
    if as_json:
        typer.echo(json.dumps(to_json(result), indent=2))
        return
    if result.sites:
        typer.echo("\n".join(format_table(result)))
    typer.echo(summarize(result))
