"""What a forge does for us: pull requests, whatever GitHub, GitLab or Gitea call them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from kfp_edge.errors import ParameterError
from kfp_edge.git.remote import check_branch


@dataclass(frozen=True)
class Proposal:
    """What a pull request should be.

    Attributes:
        branch: The head branch, in the same repository.
        base: The branch into which it is to be merged.
        title: One line.
        body: Markdown; what exceeds the limit of the forge is cut off, and the body says so.
        labels: Names; those that the repository lacks are created.
        reviewers: Names of users; a team is `ORGANIZATION/TEAM`.
        draft: Whether it is opened as a draft. An open pull request keeps what people have made of it since.
        auto_merge: Whether the forge merges it as soon as the rules of the base branch allow.
    """

    branch: str
    base: str
    title: str
    body: str
    labels: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    draft: bool = False
    auto_merge: bool = False

    def __post_init__(self) -> None:
        check_branch(self.branch)
        check_branch(self.base)
        if self.branch == self.base:
            raise ParameterError(f"a pull request from {self.base} into itself is not possible; name another branch.")
        if not self.title.strip():
            raise ParameterError(f"the pull request for {self.branch} needs a title.")
        if self.draft and self.auto_merge:
            raise ParameterError("no forge merges a draft; set either draft or auto_merge.")


class PullRequestState(StrEnum):
    """Where a pull request is in its life; `CLOSED` means closed without being merged."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True)
class PullRequest:
    """A pull request as the forge has it.

    Attributes:
        number: As in its URL, and what people call it.
        title: Without the prefix by which some forges mark a draft.
        head_commit: The commit that it proposes; of one that was merged or closed, the last one that it proposed.
        merged_at: When it was merged; None if it was not.
    """

    number: int
    url: str
    branch: str
    base: str
    state: PullRequestState
    title: str
    body: str
    labels: tuple[str, ...]
    draft: bool
    head_commit: str
    merged_at: datetime | None = None


class Outcome(StrEnum):
    """What became of a proposal. After the last two nothing was changed, and no pull request is open."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True)
class ProposedChange:
    """What became of a proposal, and the pull request that it ended with.

    Attributes:
        warnings: What the forge refused although the pull request is there: a reviewer, a label, auto-merge; a
            sentence each.
    """

    outcome: Outcome
    pull_request: PullRequest
    warnings: tuple[str, ...] = ()


class Forge(Protocol):
    """The pull requests of one repository. Every method raises a ForgeError if the forge refuses or fails."""

    def find(self, branch: str) -> PullRequest | None:
        """Return the pull request of a head branch: the open one, else the newest one; None if there was none."""

    def propose(self, proposal: Proposal) -> ProposedChange:
        """Open a pull request, or update the open one of its head branch; there are never two.

        One that a person closed is neither reopened nor opened again; one that was merged is opened again only for
        commits that the branch has got since.
        """

    def comment(self, number: int, body: str) -> None:
        """Write a comment."""

    def merge(self, number: int, head_commit: str = "") -> None:
        """Merge a pull request, in the way that the repository prefers; one that is merged already stays as it is.

        Args:
            number: Of the pull request.
            head_commit: The commit that was reviewed: if the branch has another one by now, nothing is merged.
        """

    def close(self, number: int, comment: str = "") -> None:
        """Close an open pull request without merging it, in a way that lets `propose` open another one later."""

    def check_access(self) -> None:
        """Check, without a change, that the token may open pull requests."""


def describe_change(change: ProposedChange) -> str:
    """Return what became of a proposal for a log or a report: one sentence, and one more for each warning."""
    request = change.pull_request
    name = f"pull request {request.number} ({request.url})"
    direction = f"merge {request.branch} into {request.base}"
    match change.outcome:
        case Outcome.CREATED:
            sentence = f"opened {name} to {direction}{', as a draft' if request.draft else ''}."
        case Outcome.UPDATED:
            sentence = f"updated {name} to {direction}."
        case Outcome.UNCHANGED:
            sentence = f"{name} to {direction} is open and up to date."
        case Outcome.MERGED:
            sentence = f"{name} was merged, and {request.branch} has no new commit, so there is nothing to propose."
        case Outcome.CLOSED:
            sentence = (
                f"{name} to {direction} was closed by a person without being merged, so nothing was proposed again; "
                "if the change is wanted after all, reopen it or propose another branch."
            )
    return " ".join([sentence, *change.warnings])
