"""`kfp-edge doctor`."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from kfp_edge.local.doctor import Diagnosis

_COLOURS = {"ok": "green", "warning": "yellow", "missing": "red", "optional": "dim"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check what this machine needs for a local run, with a remedy for whatever is missing."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from kfp_edge.local.doctor import Machine, run_checks

    diagnoses = run_checks(Machine())
    missing = [diagnosis.name for diagnosis in diagnoses if diagnosis.status == "missing"]
    if as_json:
        typer.echo(json.dumps({"ok": not missing, "checks": [asdict(diagnosis) for diagnosis in diagnoses]}, indent=2))
    else:
        Console().print(_table(diagnoses))
    if missing:
        typer.echo(f"error: this machine cannot do a local run yet; fix: {', '.join(missing)}.", err=True)
        raise typer.Exit(1)


def _table(diagnoses: "list[Diagnosis]") -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table("check", "details", "status", "remedy", box=box.SIMPLE_HEAD)
    for diagnosis in diagnoses:
        # Text, because a square bracket in the details is not markup
        status = Text(diagnosis.status, _COLOURS[diagnosis.status])
        table.add_row(Text(diagnosis.name), Text(diagnosis.details), status, Text(diagnosis.remedy))
    return table
