"""A decision as a commit on a review branch and, where a forge is configured, a pull request."""

from collections.abc import Sequence
from dataclasses import dataclass

from kfp_edge.fleet.contracts import Fleet, Site
from kfp_edge.fleet.documents import read_fleet
from kfp_edge.fleet.promotion.audit import Decision
from kfp_edge.fleet.promotion.body import Evidence, render_body
from kfp_edge.fleet.promotion.image_facts import ImageFacts
from kfp_edge.fleet.promotion.manifests import diff_manifests
from kfp_edge.fleet.promotion.model_metrics import summary_of
from kfp_edge.fleet.promotion.pins import find_pinned_sites
from kfp_edge.fleet.promotion.pull_requests import PullRequestSettings
from kfp_edge.fleet.releases.ring_images import read_ring_image, set_ring_image
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.forges import ProposedChange
from kfp_edge.git.repository import GitRepository
from kfp_edge.gitops.changes import Change, PlannedCommit, propose_in
from kfp_edge.gitops.images import Image
from kfp_edge.gitops.tree import Commit, Tree


@dataclass(frozen=True)
class ProposedDecision:
    """A decision with the change that carries it out.

    Attributes:
        body: The text of the pull request.
        warnings: What the reviewer should look at first.
        proposed: The pull request; None where no forge is configured, or nothing had to be changed.
    """

    decision: Decision
    change: Change
    body: str
    warnings: tuple[str, ...]
    proposed: ProposedChange | None


@dataclass(frozen=True)
class Images:
    """The image that a ring is going to get and the one that it runs, as their registry describes them."""

    new: ImageFacts
    old: ImageFacts


def propose(
    target: FleetRemote,
    repository: GitRepository,
    head: str,
    decision: Decision,
    branch: str,
    images: Images,
    sites: Sequence[Site],
    warnings: Sequence[str] = (),
) -> ProposedDecision:
    """Commit a decision to its review branch, and open or update its pull request.

    What the branch has already is not committed again, so that the same decision twice is one commit.

    Args:
        target: The repository of the fleet.
        repository: A clone.
        head: The head of the branch that the sites follow, by which the decision was made.
        decision: What to do.
        branch: The review branch.
        images: What the registry says about the images.
        sites: The sites that the change reaches.
        warnings: What the reviewer should look at first.

    Raises:
        GitError: a file cannot be edited, or the push is refused.
        ForgeError: the forge refuses.
    """
    tree = Commit(repository, head)
    fleet = read_fleet(tree)
    pinned = find_pinned_sites(tree, sites, decision.after)
    all_warnings = (*warnings, *pinned)

    def plan(files: Tree) -> PlannedCommit:
        present = read_ring_image(files, decision.ring, decision.model)
        message = _message(decision)
        if present is not None and (present.new_name, present.digest) == (
            decision.after.new_name,
            decision.after.digest,
        ):
            return PlannedCommit(branch, message, {})
        return PlannedCommit(branch, message, _edit(files, fleet, decision) | {decision.path: decision.to_file()})

    manifests = diff_manifests(tree, _edit(tree, fleet, decision), sites)
    settings = PullRequestSettings.of_ring(fleet, decision.ring, target.remote)

    def find_source(image: Image | None, facts: ImageFacts) -> str:
        if image is None:
            return ""
        message = repository.find_message(head, image.digest)
        if summary_of(message) or settings is None:
            return message
        return settings.find_source(target.remote, decision.model, facts.version, image.digest)

    source, old_source = find_source(decision.after, images.new), find_source(decision.before, images.old)
    evidence = Evidence(
        branch, images.new, images.old, source, old_source, [site.name for site in sites], all_warnings, manifests
    )
    body = render_body(decision, evidence)
    change = propose_in(repository, target.branch, plan)
    proposed = None
    if settings is not None and change.branch == branch:
        title = _message(decision).partition("\n")[0]
        proposed = settings.propose(target.remote, branch, target.branch, title, body)
    return ProposedDecision(decision, change, body, all_warnings, proposed)


def _edit(tree: Tree, fleet: Fleet, decision: Decision) -> dict[str, bytes]:
    after = decision.after
    return set_ring_image(tree, fleet, decision.ring, decision.model, after.new_name, after.digest)


def _message(decision: Decision) -> str:
    """Return the commit message: a Conventional Commit with trailers."""
    after, version = decision.after, decision.version
    digest = after.digest.removeprefix("sha256:")[:12]
    label = f"{version} at {digest}" if version else digest
    if decision.action == "rollback":
        subject = f"revert({decision.ring}): {decision.model} back to {label}"
    else:
        subject = f"feat({decision.ring}): {decision.model} {label}"
    trailers = [f"Image: {after.new_name}@{after.digest}", *([f"Model-Version: {version}"] if version else [])]
    return "\n".join([subject, "", decision.reason, "", *trailers, ""])
