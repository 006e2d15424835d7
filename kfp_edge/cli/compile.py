"""`kfp-edge compile`."""

from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.errors import PipelineError


def compile_pipelines(
    pipelines: Annotated[list[str] | None, typer.Argument(metavar="PIPELINE", help="All if none is named.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 with a diff if a file is out of date.")
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
    from kfp_edge.spec import compiler

    names = pipelines or compiler.pipeline_names()
    compile_pipeline = compiler.compile_to_manifests if kubernetes else compiler.compile_to_yaml
    folder = output or Path("compiled", *(["kubernetes"] if kubernetes else []))
    if not check:
        for path in compiler.write_compiled(names, folder, compile_pipeline):
            typer.echo(f"wrote {path}")
        return
    if not folder.is_dir():
        raise PipelineError(f"there is no folder {folder} to check; run kfp-edge compile, or name it with --output.")
    if diff := compiler.diff_compiled(names, folder, compile_pipeline):
        command = "kfp-edge compile --kubernetes" if kubernetes else "kfp-edge compile"
        typer.echo(diff, nl=False)
        typer.echo(f"error: {folder} is out of date; run `{command}` and commit the result.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{folder} is up to date ({len(names)} compiled)")
