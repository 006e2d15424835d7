"""`kfp-edge fleet render`."""

from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, RepositoryFolder
from kfp_edge.wording import count_of


def render(
    site: Annotated[str, typer.Argument(metavar="[SITE]", help="The name of the site.", show_default=False)] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Render all sites, each into a file of this folder."),
    ] = None,
    repository: RepositoryFolder = HERE,
) -> None:
    """Print the objects that a site gets, rendered by kustomize; or write those of all sites."""
    from kfp_edge.fleet.rendering.render import render_site
    from kfp_edge.fleet.rendering.render_all import render_sites
    from kfp_edge.storage.files import write_file

    if (output is None) == (not site):
        raise typer.BadParameter("name a SITE, or a folder for all sites with --output.")
    if output is None:
        text = render_site(repository, site)
        typer.echo(text, nl=False)
        if not text.strip():
            typer.echo(f"{site} gets nothing yet: its site.yaml names no model.", err=True)
        return
    count = 0
    for name, text in render_sites(repository):
        write_file(output / f"{name}.yaml", text.encode())
        count += 1
    typer.echo(f"wrote {count_of(count, 'site')} to {output}")
