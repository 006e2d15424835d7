"""`kfp-edge observe charts`."""

from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.cli.observe.queue_options import read_duration


def charts(
    prometheus: Annotated[
        str, typer.Option("--prometheus", metavar="URL", help="The Prometheus of the hub, without /api/v1.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The HTML page.")],
    model: Annotated[
        str | None, typer.Option("--model", help="The model of its dashboards; by default the first one.")
    ] = None,
    site: Annotated[
        str | None, typer.Option("--site", help="The site of its dashboard; by default the first one of the model.")
    ] = None,
    last: Annotated[str, typer.Option("--last", metavar="DURATION", help="The time range until now.")] = "6h",
) -> None:
    """Draw what the dashboards show as one page, without Grafana."""
    from datetime import UTC, datetime

    from kfp_edge.observability.dashboards.page import write_page
    from kfp_edge.observability.dashboards.queries import choose
    from kfp_edge.prometheus import Prometheus

    server = Prometheus(prometheus, "--prometheus")
    write_page(server, choose(server, model, site, datetime.now(UTC), read_duration(last, "--last")), output)
    typer.echo(f"wrote {output}")
