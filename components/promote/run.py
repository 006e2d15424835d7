"""Judge a rollout, and propose what follows for it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kfp_edge.fleet.promotion.judgement import Verdict
from kfp_edge.fleet.promotion.promote import promote
from kfp_edge.fleet.promotion.report import describe_proposal, render_rollout
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.git.remote import GitRemote
from kfp_edge.storage.files import write_file


@dataclass(frozen=True)
class Result:
    """The outputs of the component, and what the user should know."""

    verdict: str
    branches: list[str]
    pull_requests: list[str]
    warnings: list[str]


def run(model: str, repository: str, branch: str, ring: str, registry: str, report: Path) -> Result:
    """Judge the rings that run a release, propose it to the next one or take it back, and write the report.

    Args:
        model: The name of the model.
        repository: The address of the fleet's repository.
        branch: The branch that the sites follow.
        ring: The ring that is to get the release; without it, the first one that does not have it.
        registry: Where this run finds the images; without it, where the sites do.
        report: Where the Markdown report is written.

    Raises:
        KfpEdgeError: what `kfp_edge.fleet.promotion.promote.promote` raises.
    """
    target = FleetRemote(GitRemote.parse(repository), branch)
    rollout = promote(target, model, datetime.now(UTC), ring=ring, registry=registry)
    write_file(report, render_rollout(rollout).encode())
    print(rollout.summary, *map(describe_proposal, rollout.proposed), sep="\n", flush=True)
    stopped = [rollout.summary] if rollout.verdict is Verdict.ABORT else []
    return Result(
        rollout.verdict,
        [each.change.branch for each in rollout.proposed],
        [each.proposed.pull_request.url for each in rollout.proposed if each.proposed is not None],
        [*stopped, *(warning for each in rollout.proposed for warning in each.warnings)],
    )
