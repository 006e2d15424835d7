"""What became of a promotion or a rollback."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from kfp_edge.fleet.promotion.proposals import ProposedDecision


def print_proposal(proposed: "ProposedDecision") -> None:
    """Print commit, branch and pull request of a decision, and its warnings."""
    from kfp_edge.forges import describe_change

    change, decision = proposed.change, proposed.decision
    for warning in proposed.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if proposed.proposed is not None:
        typer.echo(describe_change(proposed.proposed))
        return
    state = "committed" if change.committed else "nothing to commit: it is there already"
    typer.echo(f"{decision.action} of {decision.model} in the ring {decision.ring}: {state}")
    typer.echo(f"branch {change.branch}, commit {change.commit}")
    if change.committed:
        typer.echo(f"\n{proposed.body}", nl=False)
