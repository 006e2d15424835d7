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
ImageRegistryOption = Annotated[
    str,
    typer.Option(
        "--registry",
        metavar="REGISTRY",
        help="Where this machine finds the images, docker://HOST/REPO or oci:FOLDER, if not where the sites do.",
    ),
]
