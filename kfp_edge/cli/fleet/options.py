"""Options that the commands of a fleet share."""

from pathlib import Path
from typing import Annotated

import typer

#: The default of `RepositoryFolder`.
HERE = Path()
RepositoryFolder = Annotated[
    Path,
    typer.Option("--repository", "-C", metavar="DIR", help="The checkout of the fleet's repository, by default here."),
]
RepositoryUrl = Annotated[
    str,
    typer.Option(
        "--url",
        metavar="URL",
        help="The repository, where this machine reaches it otherwise than `repository` of fleet.yaml says.",
    ),
]
