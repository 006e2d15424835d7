"""A release as a commit and, where a forge is configured, its pull request."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from kfp_edge.components.gitops_commit.gitops_commit import Destination, Release, commit_in, plan_release
from kfp_edge.errors import ImageError
from kfp_edge.fleet.contracts import PullRequests
from kfp_edge.fleet.documents import parse_settings, read_fleet
from kfp_edge.fleet.promotion.audit import Decision
from kfp_edge.fleet.promotion.body import Evidence, render_body
from kfp_edge.fleet.promotion.image_facts import ImageFacts, find_image, read_facts, read_if_there
from kfp_edge.fleet.promotion.manifests import ManifestDiff, diff_manifests
from kfp_edge.fleet.promotion.model_metrics import summary_of
from kfp_edge.fleet.promotion.pins import find_pinned_sites
from kfp_edge.fleet.promotion.proposals import Images
from kfp_edge.fleet.promotion.pull_requests import PullRequestSettings
from kfp_edge.fleet.releases.ring_images import read_ring_image, select_ring
from kfp_edge.fleet.sites.sites import find_sites
from kfp_edge.forges import ProposedChange
from kfp_edge.git.repository import GitRepository, open_repository
from kfp_edge.gitops.changes import Change, missing_branch_error
from kfp_edge.gitops.images import Image
from kfp_edge.gitops.layout import FLEET
from kfp_edge.gitops.tree import Commit, Edited
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.registry import is_complete
from kfp_edge.reports.check import Check
from kfp_edge.wording import count_of


@dataclass(frozen=True)
class ProposedRelease:
    """What became of a release.

    Attributes:
        body: The text of the pull request; empty if the base branch has the release already.
        proposed: The pull request; None where no forge is configured, or the base branch has the release.
        warnings: What the user should know, in sentences.
    """

    change: Change
    body: str = ""
    proposed: ProposedChange | None = None
    warnings: tuple[str, ...] = ()


def parse_pull_requests(value: object) -> PullRequests | None:
    """Return the parameter `pull_requests`; None if it is empty.

    Raises:
        ParameterError: it is not as `pullRequests` of `fleet.yaml` has to be.
    """
    return parse_settings(PullRequests, value, "pull_requests") if value else None


def propose_release(
    release: Release, destination: Destination, image: ImageRef, checks: Sequence[Check]
) -> ProposedRelease:
    """Commit a release to its review branch, at most once, and open or update its pull request.

    Args:
        release: What is released.
        destination: Where to.
        image: The image as this run finds it.
        checks: What it had to pass.

    Raises:
        ImageError: the registry does not have the image.
        GitError: the repository cannot be read, refuses the push, or the image in a file cannot be edited.
        ForgeError: the forge refuses.
        ParameterError: there is no such ring, or a setting or an environment variable is not valid.
    """
    facts, warnings = _read_image(image)
    with open_repository(destination.remote) as repository:
        change = commit_in(repository, release, destination)
        warnings = (*change.warnings, *warnings)
        if change.branch == destination.branch:
            return ProposedRelease(change, warnings=warnings)
        repository.fetch()
        goal = _inspect(repository, release, destination)
    warnings += goal.warnings
    old = _read_old_image(goal.before, image)
    if goal.before is not None and goal.settings is not None and not summary_of(goal.old_source):
        where = (destination.remote, release.model, old.version, goal.before.digest)
        goal = replace(goal, old_source=goal.settings.find_source(*where))
    body = _render(release, goal, change.branch, checks, warnings, Images(facts, old))
    if goal.settings is None:
        return ProposedRelease(change, body, warnings=warnings)
    title = release.message(goal.ring or release.model).partition("\n")[0]
    proposed = goal.settings.propose(destination.remote, change.branch, destination.branch, title, body)
    return ProposedRelease(change, body, proposed, warnings)


def check_pull_requests(destination: Destination) -> None:
    """Check, without a change, that the pull request of a release could be opened.

    Raises:
        GitError: the repository or its `fleet.yaml` cannot be read.
        ForgeError: the forge refuses.
        ParameterError: a setting or an environment variable is not valid.
    """
    settings = destination.pull_requests
    if settings is None and destination.target is None and destination.remote.origin is not None:
        with open_repository(destination.remote) as repository:
            head = repository.head(destination.branch)
            tree = Commit(repository, head) if head else None
            if tree is not None and tree.read(FLEET) is not None:
                settings = read_fleet(tree).pull_requests
    if settings is not None:
        PullRequestSettings.of_parameter(settings).open(destination.remote).check_access()


@dataclass(frozen=True)
class _Goal:
    """What the repository says about where a release goes; one of another layout has no rings and no sites."""

    settings: PullRequestSettings | None
    manifests: ManifestDiff
    ring: str = ""
    before: Image | None = None
    sites: tuple[str, ...] = ()
    old_source: str = ""
    warnings: tuple[str, ...] = ()


def _inspect(repository: GitRepository, release: Release, destination: Destination) -> _Goal:
    head = repository.head(destination.branch)
    if head is None:
        raise missing_branch_error(destination.remote, destination.branch, repository.branches())
    tree = Commit(repository, head)
    files = plan_release(tree, release, destination).files
    given = destination.pull_requests
    settings = None if given is None else PullRequestSettings.of_parameter(given)
    if destination.target is not None:
        return _Goal(settings, diff_manifests(tree, files, ()))
    after = Edited(tree, files)
    fleet = read_fleet(after)
    ring = select_ring(fleet, destination.ring)
    before = read_ring_image(tree, ring, release.model)
    readable = find_sites(after, ring)
    sites = [site for site in readable.sites if release.model in site.models]
    return _Goal(
        settings or PullRequestSettings.of_ring(fleet, ring, destination.remote),
        diff_manifests(tree, files, sites),
        ring,
        before,
        tuple(site.name for site in sites),
        repository.find_message(head, before.digest) if before else "",
        (*readable.broken, *find_pinned_sites(after, sites, _image_of(release))),
    )


def _render(
    release: Release, goal: _Goal, branch: str, checks: Sequence[Check], warnings: Sequence[str], images: Images
) -> str:
    to = f"the ring {goal.ring}" if goal.ring else "the sites"
    passed = f"it passed {count_of(len(checks), 'check')}" if checks else "nothing is known of its checks"
    reason = f"{release.model} {release.version} is proposed to {to}; {passed}."
    after, now = _image_of(release), datetime.now(UTC)
    decision = Decision(
        "release", release.model, goal.ring, goal.before, after, release.version, reason, tuple(checks), now
    )
    source = release.message(goal.ring)
    evidence = Evidence(branch, images.new, images.old, source, goal.old_source, goal.sites, warnings, goal.manifests)
    return render_body(decision, evidence)


def _image_of(release: Release) -> Image:
    return Image(release.model, release.image_name, release.digest)


def _read_image(image: ImageRef) -> tuple[ImageFacts, tuple[str, ...]]:
    """Return the facts of an image, or why they are not known.

    Raises:
        ImageError: the registry does not have the image.
    """
    try:
        if is_complete(image):
            return read_facts(image), ()
    except ImageError as error:
        return ImageFacts(), (f"size and labels of the image are not known: {error}",)
    raise ImageError(f"{image.home} does not have {image.digest}, so that no site could pull it; release it first.")


def _read_old_image(before: Image | None, image: ImageRef) -> ImageFacts:
    """Return what is known of the image that the ring runs; one in a folder is looked for beside the new one."""
    if before is None or not before.digest:
        return ImageFacts()
    beside = before.new_name.startswith("localhost/") and image.transport == "oci"
    return read_if_there(image.home.image(before.digest)) if beside else find_image(before)
