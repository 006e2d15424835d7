"""`kfp-edge fleet check`."""

from typing import Annotated

import typer

from kfp_edge.cli.findings import report_findings
from kfp_edge.cli.fleet.options import HERE, RepositoryFolder


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
    report_findings(check_repository(repository), strict=strict)
