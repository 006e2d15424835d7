"""The pull request of a review branch, opened as `fleet.yaml` says."""

from dataclasses import dataclass

from kfp_edge.fleet.contracts import Fleet, PullRequests, ReviewSettings
from kfp_edge.fleet.promotion.model_metrics import read_body
from kfp_edge.fleet.releases.branches import review_branch
from kfp_edge.forges import Forge, Proposal, ProposedChange, open_forge
from kfp_edge.git.remote import GitRemote


@dataclass(frozen=True)
class PullRequestSettings:
    """The forge of a repository, and how the pull requests of one ring are opened there."""

    forge: PullRequests
    review: ReviewSettings

    @classmethod
    def of_ring(cls, fleet: Fleet, ring: str, remote: GitRemote) -> "PullRequestSettings | None":
        """Return the settings of a ring; None where `fleet.yaml` names no forge, or the repository is a folder here."""
        if fleet.pull_requests is None or remote.origin is None:
            return None
        return cls(fleet.pull_requests, fleet.review_settings(ring))

    @classmethod
    def of_parameter(cls, settings: PullRequests) -> "PullRequestSettings":
        """Return the settings that a parameter of a run has."""
        return cls(settings, settings)

    def open(self, remote: GitRemote) -> Forge:
        """Return the forge; nothing is sent.

        Raises:
            ParameterError: the address is none of that forge, or there is no token.
        """
        return open_forge(self.forge.forge, remote, api_url=self.forge.api_url)

    def propose(self, remote: GitRemote, branch: str, base: str, title: str, body: str) -> ProposedChange:
        """Open or update the pull request of a branch.

        Raises:
            ParameterError: the settings do not fit each other or the forge.
            ForgeError: the forge refuses.
        """
        review = self.review
        proposal = Proposal(
            branch,
            base,
            title,
            body,
            review.labels or (),
            review.reviewers or (),
            draft=bool(review.draft),
            auto_merge=bool(review.auto_merge),
        )
        return self.open(remote).propose(proposal)

    def find_source(self, remote: GitRemote, model: str, version: str, digest: str) -> str:
        """Return what the pull request of a release says about it, in the form of a commit message; empty without one.

        Where pull requests are squashed, a forge may keep no more of the commit than its title.

        Raises:
            ParameterError: the address is none of that forge, or there is no token.
            ForgeError: the forge refuses.
        """
        if not version:
            return ""
        pull_request = self.open(remote).find(review_branch(model, version))
        if pull_request is None or digest not in pull_request.body:
            return ""
        return read_body(pull_request.body)
