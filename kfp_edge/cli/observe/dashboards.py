"""`kfp-edge observe dashboards`."""

from pathlib import Path
from typing import Annotated

import typer


def dashboards(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of the files, by default here.")
    ] = Path(),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the files are not what would be written.")
    ] = False,
) -> None:
    """Write the dashboards of the hub for Grafana: as JSON, and as GrafanaDashboards of its operator."""
    from kfp_edge.errors import RequirementsNotMetError
    from kfp_edge.observability.dashboards.files import outdated_files, write_dashboards

    if not check:
        for path in write_dashboards(output):
            typer.echo(f"wrote {path}")
        return
    outdated = ", ".join(map(str, outdated_files(output)))
    if outdated:
        raise RequirementsNotMetError(
            f"not up to date: {outdated}; run `kfp-edge observe dashboards --output {output}`."
        )
    typer.echo("the dashboards are up to date")
