"""`kfp-edge observe check-collector`."""

from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.cli.findings import report_findings


def check_collector(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="What the collector gets with --config, or an OpenTelemetryCollector."),
    ],
    distribution: Annotated[
        str, typer.Option("--distribution", help="Whose components there are: site or hub.")
    ] = "site",
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 on warnings, too.")] = False,
) -> None:
    """Check a collector's configuration: what does not start, what would be lost, what is not protected."""
    from kfp_edge.errors import ParameterError
    from kfp_edge.observability.site.collector import check
    from kfp_edge.observability.site.collector.components import Distribution
    from kfp_edge.suggestions import describe_unknown_choice

    if distribution not in tuple(Distribution):
        raise ParameterError(describe_unknown_choice("--distribution", distribution, tuple(Distribution)))
    report_findings(check.check_collector(files, Distribution(distribution)), strict=strict)
