"""The change for its reviewer."""

from collections.abc import Sequence

from kfp_edge.forges import ProposedChange, describe_change
from kfp_edge.gitops.changes import Change, fence_diff

#: Lines of the diff in the report; the first commit of a new repository, with all of its files, has some 500.
MAX_DIFF_LINES = 600


def render_report(
    change: Change, warnings: Sequence[str] = (), body: str = "", proposed: ProposedChange | None = None
) -> str:
    """Return the change for its reviewer, as Markdown; a long diff is truncated.

    Args:
        change: The commit.
        warnings: What the user should know, in sentences.
        body: The text of the pull request.
        proposed: The pull request; None where no forge is configured.
    """
    state = "new commit" if change.committed else "nothing to commit: the digest is there already"
    lines = [
        "# GitOps change",
        "",
        f"- Repository: `{change.repository}`",
        f"- Branch: `{change.branch}`",
        f"- Commit: `{change.commit}` ({state})",
        *([f"- Pull request: {describe_change(proposed)}"] if proposed else []),
        *(f"- Warning: {warning}" for warning in warnings),
        *(["", body.rstrip()] if body else []),
    ]
    if change.committed:
        diff = fence_diff(change.diff, MAX_DIFF_LINES, f"git show {change.commit}")
        lines += ["", *(["## Changed files", ""] if body else []), *diff]
    return "\n".join(lines) + "\n"
