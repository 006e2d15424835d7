"""`kfp-edge compile`."""

from pathlib import Path
from typing import Annotated

import typer


def compile_pipelines(
    pipelines: Annotated[list[str] | None, typer.Argument(metavar="PIPELINE", help="All when none is named.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 with a diff if a file is stale.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder of the YAML files.")] = Path(
        "compiled"
    ),
) -> None:
    """Compile pipelines to YAML, the same bytes on every run."""
    from kfp_edge import compilation

    chosen = pipelines or compilation.names()
    if not check:
        for path in compilation.write(chosen, output):
            typer.echo(f"wrote {path}")
        return
    if difference := compilation.check(chosen, output):
        typer.echo(difference, nl=False)
        typer.echo(f"error: {output} is stale; run `kfp-edge compile` and commit the result.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{output} is up to date ({len(chosen)} compiled)")
