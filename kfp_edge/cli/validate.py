"""`kfp-edge validate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kfp_edge.validation import Report


def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Compiled pipelines (KFP v2 YAML).")],
) -> None:
    """Check compiled pipelines, ours or not, against the KFP 2.16 pipeline spec."""
    from kfp_edge.validation import validate_file

    reports = {path: validate_file(path) for path in files}
    for path, report in reports.items():
        typer.echo("\n".join(_lines(path, report)))
    if not all(report.ok for report in reports.values()):
        raise typer.Exit(1)


def _lines(path: Path, report: "Report") -> list[str]:
    found = len(report.findings)
    lines = [f"{path}: " + ("OK" if report.ok else f"{found} error{'s' if found != 1 else ''}")]
    for pipeline in report.pipelines:
        lines.append(f"  pipeline {pipeline.name or '(no name)'}, {pipeline.tasks} tasks")
        lines += [f"  image {image}" for image in pipeline.images]
    lines += [f"  error: {place}{finding.message}" for finding in report.findings for place in [_place(finding.path)]]
    return lines


def _place(path: str) -> str:
    return f"{path}: " if path else ""
