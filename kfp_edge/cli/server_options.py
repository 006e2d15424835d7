"""Options for the server of Data Science Pipelines. A token is never an option, because other users could see it."""

from pathlib import Path
from typing import Annotated

import typer

Namespace = Annotated[
    str, typer.Option("--namespace", "-n", help="The project; by default this pod's or the kubeconfig's.")
]
Host = Annotated[str, typer.Option("--host", metavar="URL", help="The API server; by default that of the project.")]
CaFile = Annotated[
    Path | None,
    typer.Option("--ca-file", metavar="FILE", help="CA of the server; by default the cluster's."),
]
Image = Annotated[
    str,
    typer.Option("--image", help="The image of the stages; by default KFP_EDGE_RUNTIME_IMAGE, else the project's."),
]
Experiment = Annotated[str, typer.Option("--experiment", help="The group of runs that it belongs to.")]
Cache = Annotated[bool, typer.Option("--cache/--no-cache", help="Whether stages may reuse cached results.")]
JoinStages = Annotated[
    bool, typer.Option("--join-stages", help="Join stages that may share a pod into one task, for shorter runs.")
]
PipelineName = Annotated[
    str,
    typer.Argument(metavar="PIPELINE", help="A pipeline of kfp-edge by name, or a compiled YAML or JSON file."),
]
