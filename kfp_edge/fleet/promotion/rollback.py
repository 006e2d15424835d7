"""Takes a ring back to the image that it ran before."""

from collections.abc import Sequence
from datetime import datetime

from kfp_edge.errors import GitError, ImageError, ParameterError
from kfp_edge.fleet.contracts import Site
from kfp_edge.fleet.promotion.audit import Decision
from kfp_edge.fleet.promotion.image_facts import ImageFacts, find_image, locate_image, require_image
from kfp_edge.fleet.promotion.proposals import Images, ProposedDecision, propose
from kfp_edge.fleet.releases.branches import rollback_branch
from kfp_edge.fleet.releases.history import RingRelease, find_previous, read_history
from kfp_edge.fleet.releases.ring_images import select_ring
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.fleet.sites.files import mirror_name
from kfp_edge.fleet.status.presentation import format_digest
from kfp_edge.fleet.status.status import FleetFiles, read_files
from kfp_edge.git.repository import GitRepository
from kfp_edge.gitops.images import Image
from kfp_edge.images.registry import is_complete
from kfp_edge.reports.check import Check
from kfp_edge.suggestions import did_you_mean


def roll_back(
    target: FleetRemote,
    ring: str,
    model: str,
    now: datetime,
    *,
    digest: str = "",
    registry: str = "",
    reason: str = "",
) -> ProposedDecision:
    """Propose that a ring runs an earlier image again, by what the branch says now; see `propose_rollback`."""
    with target.open() as repository:
        files = read_files(repository, target.branch)
        return propose_rollback(
            target, repository, files, ring, model, now, digest=digest, registry=registry, reason=reason
        )


def propose_rollback(
    target: FleetRemote,
    repository: GitRepository,
    files: FleetFiles,
    ring: str,
    model: str,
    now: datetime,
    *,
    digest: str = "",
    registry: str = "",
    reason: str = "",
    checks: Sequence[Check] = (),
) -> ProposedDecision:
    """Propose that a ring runs an earlier image again.

    Args:
        target: The repository of the fleet.
        repository: A clone.
        files: What the branch says that the sites follow.
        ring: The name of a ring; empty for the first one.
        model: The name of a model.
        now: The time of the decision.
        digest: Which image, or the first digits of its digest; without it, the one that the ring ran before.
        registry: Where this machine finds the images, if not where the sites do.
        reason: Why, in one sentence.
        checks: What was measured.

    Raises:
        GitError: there is no earlier image, or the change cannot be committed.
        ImageError: the registry does not have it any more.
        ParameterError: there is no such ring, model or image.
        ForgeError: the forge refuses.
    """
    ring = select_ring(files.fleet, ring)
    current = require_release(files, ring, model)
    history = read_history(repository, files.commit, ring, model)
    releases = history.releases
    previous = _select(releases, digest) if digest else find_previous(releases)
    if previous is None:
        raise GitError(
            f"the ring {ring} had no other image of {model} before {format_digest(current.image.digest)} that it was "
            "not taken back from; there is nothing to roll back to."
        )
    if previous.image.digest == current.image.digest:
        raise ParameterError(
            f"the ring {ring} runs {format_digest(current.image.digest)} already; name another digest."
        )
    sites = sites_with(files, ring, model)
    facts, warnings = _require_image(previous.image, sites, registry)
    decision = Decision(
        "rollback",
        model,
        ring,
        current.image,
        previous.image,
        facts.version,
        reason or f"A person asked for {format_digest(previous.image.digest)}, which the ring {ring} ran before.",
        tuple(checks),
        now,
    )
    branch = rollback_branch(model, current.image.digest, ring)
    images = Images(facts, find_image(current.image, registry))
    problems = dict.fromkeys([*files.broken, *history.unreadable(until=previous)])
    return propose(target, repository, files.commit, decision, branch, images, sites, [*problems, *warnings])


def require_release(files: FleetFiles, ring: str, model: str) -> RingRelease:
    """Return what a ring has of a model.

    Raises:
        ParameterError: it has no such model.
    """
    release = files.releases.get((ring, model))
    if release is None:
        models = sorted(name for each, name in files.releases if each == ring)
        if not models:
            raise ParameterError(f"the ring {ring} has no model yet; a release or a promotion brings the first one.")
        hint = did_you_mean(model, models)
        raise ParameterError(f"the ring {ring} has no model {model}; {hint}it has {', '.join(models)}.")
    return release


def sites_with(files: FleetFiles, ring: str, model: str) -> list[Site]:
    """Return the sites that run a model of a ring."""
    return [site for site in files.sites if site.ring == ring and model in site.models]


def _select(releases: Sequence[RingRelease], digest: str) -> RingRelease:
    wanted = digest.removeprefix("sha256:")
    matching = {r.image.digest: r for r in releases if r.image.digest.removeprefix("sha256:").startswith(wanted)}
    if len(matching) != 1:
        had = ", ".join(dict.fromkeys(format_digest(release.image.digest) for release in releases[:10]))
        raise ParameterError(
            f"{len(matching) or 'none'} of the images that the ring had begins with {wanted}; it had {had}."
        )
    return next(iter(matching.values()))


def _require_image(image: Image, sites: Sequence[Site], registry: str) -> tuple[ImageFacts, list[str]]:
    """Return the facts of an image that the sites can pull, from the registry or from all of their mirrors."""
    try:
        return require_image(image, registry), []
    except ImageError as error:
        mirrors = {mirror_name(image.new_name, site.registry) for site in sites if site.registry}
        if registry or not sites or not all(site.registry for site in sites):
            raise
        for mirror in sorted(mirrors):
            if not is_complete(locate_image(Image(image.name, mirror, image.digest))):
                raise ImageError(f"{error} Of the registries of its sites, {mirror} lacks it, too.") from error
        facts = find_image(Image(image.name, min(mirrors), image.digest))
        return facts, [f"{error} The registries of all sites of the ring still have it."]
