"""`kfp-edge compile`."""

from pathlib import Path
from typing import Annotated

import typer


def compile_pipelines(
    pipelines: Annotated[list[str] | None, typer.Argument(metavar="PIPELINE", help="All when none is named.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 with a diff if a file is stale.")
    ] = False,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Write Pipeline and PipelineVersion manifests, for GitOps.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The folder of the YAML files: compiled, or compiled/kubernetes."
        ),
    ] = None,
) -> None:
    """Compile pipelines to YAML, the same bytes on every run."""
    from kfp_edge.spec import compilation

    chosen = pipelines or compilation.names()
    render = compilation.manifests_text if kubernetes else compilation.compile_text
    folder = output or Path("compiled", *(["kubernetes"] if kubernetes else []))
    if not check:
        for path in compilation.write(chosen, folder, render):
            typer.echo(f"wrote {path}")
        return
    if difference := compilation.check(chosen, folder, render):
        command = "kfp-edge compile --kubernetes" if kubernetes else "kfp-edge compile"
        typer.echo(difference, nl=False)
        typer.echo(f"error: {folder} is stale; run `{command}` and commit the result.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{folder} is up to date ({len(chosen)} compiled)")
