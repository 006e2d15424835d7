"""What became of a rollout, for the log and the dashboard of a run."""

from kfp_edge.fleet.promotion.judgement import Judgement
from kfp_edge.fleet.promotion.promote import Rollout
from kfp_edge.fleet.promotion.proposals import ProposedDecision
from kfp_edge.forges import describe_change
from kfp_edge.reports.section import Section


def describe_proposal(proposed: ProposedDecision) -> str:
    """Return in one sentence where a decision waits for its reviewer."""
    if proposed.proposed is not None:
        return describe_change(proposed.proposed)
    change, decision = proposed.change, proposed.decision
    subject = f"the {'rollback' if decision.action == 'rollback' else 'promotion'} of {decision.model} in the ring"
    state = "was committed to" if change.committed else "is on"
    return f"{subject} {decision.ring} {state} the branch {change.branch}, commit {change.commit[:12]}."


def render_rollout(rollout: Rollout) -> str:
    """Return a rollout as Markdown: its verdict, all numbers that were looked at, and what was proposed."""
    blocks = [f"# Rollout: {rollout.verdict}", rollout.summary, *map(describe_proposal, rollout.proposed)]
    for judgement in rollout.judgements:
        title = f"Ring {judgement.ring}: {judgement.verdict}"
        blocks += Section(title, ("check", "met", "measured", "required"), _rows(judgement)).to_markdown()
    return "\n\n".join([*blocks, *(proposed.body.rstrip() for proposed in rollout.proposed)]) + "\n"


def render_rollback(proposed: ProposedDecision) -> str:
    """Return a rollback as Markdown: where it waits for its reviewer, and the text of its pull request."""
    return "\n\n".join([f"# Rollback of {proposed.decision.model}", describe_proposal(proposed), proposed.body])


def _rows(judgement: Judgement) -> list[tuple[str, ...]]:
    return [(each.name, "yes" if each.passed else "**no**", each.measured, each.required) for each in judgement.checks]
