"""`kfp-edge doctor`."""

from typing import TYPE_CHECKING, Annotated

import typer

from kfp_edge.cli.parameters import ParameterOptions, ParametersFile, read_parameters
from kfp_edge.cli.server_options import Namespace
from kfp_edge.errors import ParameterError

if TYPE_CHECKING:
    from rich.table import Table

    from kfp_edge.diagnosis import Diagnosis

#: Wider than any table of ours.
_UNFOLDED = 100_000
_COLOURS = {"ok": "green", "warning": "yellow", "missing": "red", "optional": "dim", "unchecked": "dim"}


def doctor(
    pipeline: Annotated[
        str | None,
        typer.Argument(
            metavar="PIPELINE",
            help="A pipeline of kfp-edge by name, or a compiled YAML file: what does a cluster lack for a run of it?",
        ),
    ] = None,
    parameter: ParameterOptions = None,
    params: ParametersFile = None,
    namespace: Namespace = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check what this machine needs for a local run, or a cluster for a run of PIPELINE, with a remedy for each gap.

    In a cluster these are Secrets, ConfigMaps, claims, service accounts, image pull secrets, quotas, limit ranges and
    network policies, in the namespace of the run and in that of the staging test. Nothing is changed.
    """
    if pipeline is None and (parameter or params or namespace):
        raise ParameterError("doctor checks a cluster for one pipeline: name it, such as `kfp-edge doctor training`.")
    if pipeline is None:
        from kfp_edge.local.doctor import Machine, run_checks

        _report(run_checks(Machine()), "this machine cannot do a local run yet", as_json)
        return
    from kfp_edge.client import diagnose_cluster

    diagnoses = diagnose_cluster(pipeline, read_parameters(parameter, params), namespace)
    _report(diagnoses, f"the cluster cannot run {pipeline} yet", as_json)


def _report(diagnoses: "list[Diagnosis]", failure: str, as_json: bool) -> None:
    """Print the diagnoses; exit 1 if something is missing."""
    import json
    from dataclasses import asdict

    from rich.console import Console

    missing = [diagnosis.name for diagnosis in diagnoses if diagnosis.status == "missing"]
    if as_json:
        typer.echo(json.dumps({"ok": not missing, "checks": [asdict(diagnosis) for diagnosis in diagnoses]}, indent=2))
    else:
        # what is not a terminal has no width in which a table could be folded
        console = Console() if Console().is_terminal else Console(width=_UNFOLDED)
        console.print(_table(diagnoses))
    if missing:
        typer.echo(f"error: {failure}; fix: {', '.join(missing)}.", err=True)
        raise typer.Exit(1)


def _table(diagnoses: "list[Diagnosis]") -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("check", "details", "status", "remedy"):
        table.add_column(heading, overflow="fold")
    for diagnosis in diagnoses:
        # Text, because a square bracket in the details is not markup
        status = Text(diagnosis.status, _COLOURS[diagnosis.status])
        table.add_row(Text(diagnosis.name), Text(diagnosis.details), status, Text(diagnosis.remedy))
    return table
