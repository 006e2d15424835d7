"""`kfp-edge fleet rollback`."""

from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, ImageRegistryOption, RepositoryFolder, RepositoryUrl


def rollback(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The name of the model.")],
    ring: Annotated[str, typer.Option("--ring", metavar="RING", help="The ring that goes back.")],
    digest: Annotated[
        str, typer.Option("--digest", help="An image that the ring had; by default the one before the present one.")
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why, for the reviewer: one sentence.")] = "",
    repository: RepositoryFolder = HERE,
    url: RepositoryUrl = "",
    registry: ImageRegistryOption = "",
) -> None:
    """Propose that a ring runs the image again that it ran before, by the history of its file."""
    from datetime import UTC, datetime

    from kfp_edge.cli.fleet.proposal_text import print_proposal
    from kfp_edge.fleet.promotion.rollback import roll_back
    from kfp_edge.fleet.remote import FleetRemote

    target = FleetRemote.of_checkout(repository, url)
    now = datetime.now(UTC)
    print_proposal(roll_back(target, ring, model, now, digest=digest, registry=registry, reason=reason))
