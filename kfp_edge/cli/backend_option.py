"""The option that several commands share: for which backend."""

from typing import Annotated

import typer

from kfp_edge.spec.backends.profiles import BACKENDS

BackendOption = Annotated[
    str,
    typer.Option(
        "--backend", metavar="NAME", help=f"The version of OpenShift AI or of KFP that runs it: {', '.join(BACKENDS)}."
    ),
]
