"""Propose the rollback of a ring."""

from datetime import UTC, datetime
from pathlib import Path

from kfp_edge.fleet.promotion.proposals import ProposedDecision
from kfp_edge.fleet.promotion.report import describe_proposal, render_rollback
from kfp_edge.fleet.promotion.rollback import roll_back
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.git.remote import GitRemote
from kfp_edge.storage.files import write_file


def run(
    model: str, repository: str, branch: str, ring: str, digest: str, reason: str, registry: str, report: Path
) -> ProposedDecision:
    """Propose that a ring runs an earlier image again, and write the report.

    Args:
        model: The name of the model.
        repository: The address of the fleet's repository.
        branch: The branch that the sites follow.
        ring: The ring that goes back; empty for the first one.
        digest: Which image, or the first digits of its digest; without it, the one that the ring ran before.
        reason: Why, in one sentence.
        registry: Where this run finds the images; without it, where the sites do.
        report: Where the Markdown report is written.

    Raises:
        KfpEdgeError: what `kfp_edge.fleet.promotion.rollback.roll_back` raises.
    """
    target = FleetRemote(GitRemote.parse(repository), branch)
    proposed = roll_back(target, ring, model, datetime.now(UTC), digest=digest, reason=reason, registry=registry)
    write_file(report, render_rollback(proposed).encode())
    print(describe_proposal(proposed), flush=True)
    return proposed
