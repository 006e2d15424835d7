"""`kfp-edge compile`."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kfp_edge.cli.backend_option import BackendOption, Deadline, TimeToLive
from kfp_edge.cli.server_options import JoinStages
from kfp_edge.errors import PipelineError
from kfp_edge.spec.backends.profiles import DEFAULT_BACKEND, find_backend, knows

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent

    from kfp_edge.spec.compiling.target import CompileTarget


def compile_pipelines(
    pipelines: Annotated[list[str] | None, typer.Argument(metavar="PIPELINE", help="All if none is named.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 with a diff if a file is out of date.")
    ] = False,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Write Pipeline and PipelineVersion manifests, for GitOps.")
    ] = False,
    backend: BackendOption = DEFAULT_BACKEND.name,
    deadline: Deadline = "",
    time_to_live: TimeToLive = "",
    join_stages: JoinStages = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The folder of the YAML files: compiled, or compiled/kubernetes."
        ),
    ] = None,
) -> None:
    """Compile pipelines to YAML, the same bytes on every run."""
    from kfp_edge.spec.compiling import compiler
    from kfp_edge.spec.compiling.target import CompileTarget, RunLimits
    from kfp_edge.spec.validation.validate import check_accepted

    names = pipelines or compiler.pipeline_names()
    target = CompileTarget(find_backend(backend), RunLimits.parse(deadline, time_to_live), join_stages)
    compile_to = compiler.compile_to_manifests if kubernetes else compiler.compile_to_yaml

    def compile_pipeline(pipeline: "BaseComponent") -> str:
        text = compile_to(pipeline, target)
        check_accepted(text, f"the pipeline {pipeline.name}", target.backend)
        return text

    folder = output or Path("compiled", *(["kubernetes"] if kubernetes else []))
    if not knows(target.backend, "SecretAsEnv", "optional"):
        typer.echo(
            f"note: with {target.backend.title}, the Secret of the parameter data_connection has to exist, with every "
            "key of a data connection; elsewhere it need not.",
            err=True,
        )
    if not check:
        for path in compiler.write_compiled(names, folder, compile_pipeline):
            typer.echo(f"wrote {path}")
        return
    if not folder.is_dir():
        raise PipelineError(f"there is no folder {folder} to check; run kfp-edge compile, or name it with --output.")
    if diff := compiler.diff_compiled(names, folder, compile_pipeline):
        command = shlex.join(_command_line(kubernetes, target, deadline, time_to_live))
        typer.echo(diff, nl=False)
        typer.echo(f"error: {folder} is out of date; run `{command}` and commit the result.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{folder} is up to date ({len(names)} compiled)")


def _command_line(kubernetes: bool, target: "CompileTarget", deadline: str, time_to_live: str) -> Iterator[str]:
    """Yield the arguments that write what `--check` compares."""
    yield from ("kfp-edge", "compile")
    if kubernetes:
        yield "--kubernetes"
    if target.is_joined:
        yield "--join-stages"
    options = {"backend": target.backend.name, "deadline": deadline, "time-to-live": time_to_live}
    for name, value in options.items():
        if value and value != DEFAULT_BACKEND.name:
            yield from (f"--{name}", value)
