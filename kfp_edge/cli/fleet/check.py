"""`kfp-edge fleet check`."""

from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, RepositoryFolder
from kfp_edge.wording import count_of


def check(
    repository: RepositoryFolder = HERE,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 on warnings, too.")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Write the files that are made of the sites, such as sync windows, first.")
    ] = False,
) -> None:
    """Check the files of a fleet's repository: run this on every pull request."""
    from kfp_edge.fleet.check.check import check_repository
    from kfp_edge.fleet.repository.made_files import write_made_files

    for path in write_made_files(repository) if write else ():
        typer.echo(f"wrote {path}")
    findings = check_repository(repository)
    for finding in findings:
        typer.echo(f"{finding.severity}: {finding}")
    counts = [(sum(each.severity == severity for each in findings), severity) for severity in ("error", "warning")]
    typer.echo(", ".join(count_of(count, severity) for count, severity in counts if count) or "OK")
    if any(each.severity == "error" or strict for each in findings):
        raise typer.Exit(1)
