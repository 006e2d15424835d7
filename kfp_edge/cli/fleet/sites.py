"""`kfp-edge fleet add-site`, `remove-site` and `add-model`."""

from pathlib import Path
from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, RepositoryFolder


def add_site(
    name: Annotated[str, typer.Argument(metavar="[SITE]", help="The name of the site, a DNS label.")] = "",
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="A table of sites in place of one; docs/fleet-owner.md."),
    ] = None,
    ring: Annotated[str, typer.Option("--ring", help="By default the first one.")] = "",
    delivery: Annotated[str, typer.Option("--delivery", help="hub, site or podman.")] = "",
    cluster: Annotated[str, typer.Option("--cluster", help="Its name in the hub, by default that of the site.")] = "",
    namespace: Annotated[str, typer.Option("--namespace", help="The namespace of the models.")] = "",
    model: Annotated[
        list[str] | None, typer.Option("--model", help="By default all of the ring; may be repeated.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="Of the site; may be repeated.")
    ] = None,
    window: Annotated[str, typer.Option("--window", metavar="CRON", help="When it may change.")] = "",
    duration: Annotated[str, typer.Option("--duration", help="Of the window, such as 4h.")] = "",
    time_zone: Annotated[str, typer.Option("--time-zone", help="Of the window, such as Europe/Berlin.")] = "",
    registry: Annotated[str, typer.Option("--registry", help="The registry at the site.")] = "",
    pull_secret: Annotated[str, typer.Option("--pull-secret", help="The Secret with its login.")] = "",
    repository: RepositoryFolder = HERE,
) -> None:
    """Write the files of a new site, or of a table of them, into a checkout, to be committed."""
    from kfp_edge.errors import ParameterError
    from kfp_edge.fleet.sites.changes import add_sites, read_table

    if bool(name) == (csv is not None):
        raise ParameterError("name a site, or a table of sites with --csv.")
    row = {
        "name": name,
        "ring": ring,
        "delivery": delivery,
        "cluster": cluster,
        "namespace": namespace,
        "models": " ".join(model or ()),
        "labels": " ".join(label or ()),
        "window": window,
        "duration": duration,
        "time_zone": time_zone,
        "registry": registry,
        "pull_secret": pull_secret,
    }
    if csv is not None and any(row.values()):
        raise ParameterError("--csv has a column for each option; give no other option with it.")
    for path in add_sites(repository, read_table(csv) if csv is not None else [(name, row)]):
        typer.echo(path)


def remove_site(
    names: Annotated[list[str], typer.Argument(metavar="SITE...", help="The names of the sites.")],
    repository: RepositoryFolder = HERE,
) -> None:
    """Delete the files of sites from a checkout, to be committed. What runs at the sites goes on running."""
    from kfp_edge.fleet.sites.changes import remove_sites

    for path in remove_sites(repository, names):
        typer.echo(path)


def add_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model that the ring of the sites has.")],
    ring: Annotated[str, typer.Option("--ring", help="All sites of this ring.")] = "",
    site: Annotated[list[str] | None, typer.Option("--site", help="This site; may be repeated.")] = None,
    repository: RepositoryFolder = HERE,
) -> None:
    """Let sites of a checkout run another model of their ring, to be committed."""
    from kfp_edge.errors import ParameterError
    from kfp_edge.fleet.sites.model_assignment import assign_to_sites

    if not ring and not site:
        raise ParameterError("name the sites that get the model: --ring RING, or --site SITE.")
    for path in assign_to_sites(repository, model, ring=ring, names=site or ()):
        typer.echo(path)
