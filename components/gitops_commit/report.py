"""The change for its reviewer."""

from kfp_edge.gitops.changes import Change, fence_diff

#: Lines of the diff in the report; the first commit of a new repository, with all of its files, has some 500.
MAX_DIFF_LINES = 600


def render_report(change: Change, summary: str = "") -> str:
    """Return the change for its reviewer, as Markdown, with the summary of the model; a long diff is truncated."""
    state = "new commit" if change.committed else "nothing to commit: the digest is there already"
    lines = [
        "# GitOps change",
        "",
        f"- Repository: `{change.repository}`",
        f"- Branch: `{change.branch}`",
        f"- Commit: `{change.commit}` ({state})",
        *(f"- Warning: {warning}" for warning in change.warnings),
        *(["", summary] if summary else []),
    ]
    if change.committed:
        lines += ["", *fence_diff(change.diff, MAX_DIFF_LINES, change.commit)]
    return "\n".join(lines) + "\n"
