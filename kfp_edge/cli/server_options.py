"""How the command line names the server of Data Science Pipelines. A token is never an option: others could see it."""

from pathlib import Path
from typing import Annotated

import typer

Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="The project; this pod's or the kubeconfig's by default.")
]
Host = Annotated[str, typer.Option("--host", metavar="URL", help="The API server; found from the project by default.")]
CaFile = Annotated[
    Path | None, typer.Option("--ca-file", metavar="FILE", help="CA of the server; the cluster's by default.")
]
Experiment = Annotated[str, typer.Option("--experiment", help="The group that the runs belong to.")]
PipelineName = Annotated[str, typer.Argument(metavar="PIPELINE", help="One of ours by name, or a compiled YAML file.")]
