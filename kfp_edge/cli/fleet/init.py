"""`kfp-edge fleet init`."""

from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, RepositoryFolder


def init(
    url: Annotated[str, typer.Argument(metavar="URL", help="The repository, as Argo CD and the sites reach it.")],
    name: Annotated[str, typer.Option("--name", help="The name of the fleet, a DNS label.")] = "fleet",
    branch: Annotated[str, typer.Option("--branch", help="The branch that the sites follow.")] = "main",
    ring: Annotated[
        list[str] | None,
        typer.Option("--ring", metavar="NAME", help="A ring, in the order of releases; may be repeated."),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            "--agent",
            metavar="AGENT",
            help="What delivers: hub (default), acm, site or podman; may be repeated.",
        ),
    ] = None,
    serving: Annotated[
        str, typer.Option("--serving", metavar="HOW", help="How models are served: deployment, or kserve.")
    ] = "deployment",
    repository: RepositoryFolder = HERE,
) -> None:
    """Write the files of a new fleet into a checkout, to be committed."""
    from kfp_edge.fleet.repository.new_repository import create_repository

    for path in create_repository(repository, url, name, branch, ring or (), agent or (), serving):
        typer.echo(path)
