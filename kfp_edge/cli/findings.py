"""What the checks print, and how they end."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from kfp_edge.wording import count_of

if TYPE_CHECKING:
    from kfp_edge.fleet.check.findings import Finding


def report_findings(findings: "Sequence[Finding]", *, strict: bool) -> None:
    """Print findings and how many there are; exit with 1 on an error, or with `strict` on any."""
    for finding in findings:
        typer.echo(f"{finding.severity}: {finding}")
    counts = [(sum(each.severity == severity for each in findings), severity) for severity in ("error", "warning")]
    typer.echo(", ".join(count_of(count, severity) for count, severity in counts if count) or "OK")
    if any(each.severity == "error" or strict for each in findings):
        raise typer.Exit(1)
