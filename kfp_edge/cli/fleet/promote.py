"""`kfp-edge fleet promote`."""

from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, ImageRegistryOption, RepositoryFolder, RepositoryUrl


def promote(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The name of the model.")],
    to: Annotated[
        str, typer.Option("--to", metavar="RING", help="By default the first ring without the release.")
    ] = "",
    repository: RepositoryFolder = HERE,
    url: RepositoryUrl = "",
    registry: ImageRegistryOption = "",
) -> None:
    """Bring a release to the next ring if the rings before it are healthy, or take it back where it is not.

    Exits with 0 if the release goes on or waits, and with 1 if the rollout was stopped.
    """
    from datetime import UTC, datetime

    from kfp_edge.cli.fleet.proposal_text import print_proposal
    from kfp_edge.fleet.promotion.judgement import Verdict
    from kfp_edge.fleet.promotion.promote import promote as promote_model
    from kfp_edge.fleet.remote import FleetRemote

    target = FleetRemote.of_checkout(repository, url)
    rollout = promote_model(target, model, datetime.now(UTC), ring=to, registry=registry)
    for judgement in rollout.judgements:
        typer.echo(f"ring {judgement.ring}: {judgement.verdict}")
        for check in judgement.checks:
            state = "met" if check.passed else "NOT MET"
            typer.echo(f"  {state:<8}{check.name}: {check.measured}; required {check.required}")
    typer.echo(rollout.summary)
    for proposed in rollout.proposed:
        print_proposal(proposed)
    if rollout.verdict is Verdict.ABORT:
        raise typer.Exit(1)
