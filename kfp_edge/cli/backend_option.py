"""The options that several commands share: for which backend a pipeline is compiled, and the limits of its runs."""

from typing import Annotated

import typer

from kfp_edge.spec.backends.profiles import BACKEND_NAMES

_BACKENDS = f"The version of OpenShift AI or of KFP that runs it: {', '.join(BACKEND_NAMES)}."

BackendOption = Annotated[str, typer.Option("--backend", metavar="NAME", help=_BACKENDS)]
ServerBackend = Annotated[
    str,
    typer.Option("--backend", metavar="NAME", help=f"{_BACKENDS} By default what the cluster or the server reports."),
]
Deadline = Annotated[
    str,
    typer.Option("--deadline", metavar="TIME", help="How long a run may take, such as 6h; it fails when that is over."),
]
TimeToLive = Annotated[
    str,
    typer.Option(
        "--time-to-live", metavar="TIME", help="How long pods and logs of a run are kept after its end, such as 7d."
    ),
]
