"""`kfp-edge fleet render`."""

from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, RepositoryFolder


def render(
    site: Annotated[str, typer.Argument(metavar="SITE", help="The name of the site.")],
    repository: RepositoryFolder = HERE,
) -> None:
    """Print the objects that a site gets, rendered by kustomize."""
    from kfp_edge.fleet.render import render_site

    typer.echo(render_site(repository, site), nl=False)
