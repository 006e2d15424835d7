"""`kfp-edge observe rules`."""

from pathlib import Path
from typing import Annotated

import typer


def rules(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of the two files, by default here.")
    ] = Path(),
    settings: Annotated[
        Path | None,
        typer.Option("--settings", metavar="FILE", help="Objectives and limits (docs/observability-hub.md), in YAML."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if the files are not what would be written.")
    ] = False,
) -> None:
    """Write the recording and alert rules of the hub: a rule file of Prometheus, and a PrometheusRule."""
    from kfp_edge.errors import RequirementsNotMetError
    from kfp_edge.observability.hub.rules.rule_files import outdated_files, write_rules
    from kfp_edge.observability.hub.rules.settings import AlertSettings, read_settings

    chosen = read_settings(settings) if settings else AlertSettings()
    if not check:
        for path in write_rules(chosen, output):
            typer.echo(f"wrote {path}")
        return
    outdated = ", ".join(str(path) for path in outdated_files(chosen, output))
    if outdated:
        raise RequirementsNotMetError(f"not up to date: {outdated}; run `kfp-edge observe rules --output {output}`.")
    typer.echo("the rules are up to date")
