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
    """Tell what this machine has and lacks for a local run, each with the remedy."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    from kfp_edge.local.doctor import Machine, examine

    checks = examine(Machine())
    lacking = [check.name for check in checks if check.verdict == "missing"]
    if as_json:
        typer.echo(json.dumps({"ok": not lacking, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        Console().print(_table(checks))
    if lacking:
        typer.echo(f"error: this machine cannot do a local run yet; see to: {', '.join(lacking)}.", err=True)
        raise typer.Exit(1)


def _table(checks: "list[Diagnosis]") -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table("check", "found", "verdict", "remedy", box=box.SIMPLE_HEAD)
    for check in checks:
        # Text, because a square bracket in what was found is no markup
        verdict = Text(check.verdict, _COLOURS[check.verdict])
        table.add_row(Text(check.name), Text(check.found), verdict, Text(check.remedy))
    return table
