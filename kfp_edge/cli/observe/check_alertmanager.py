"""`kfp-edge observe check-alertmanager`."""

from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.cli.findings import report_findings


def check_alertmanager(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration of Alertmanager.")],
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 on warnings, too.")] = False,
) -> None:
    """Check an Alertmanager configuration for what `amtool check-config` accepts, and what mutes a whole fleet."""
    from kfp_edge.observability.hub import alertmanager

    report_findings(alertmanager.check_alertmanager(file), strict=strict)
