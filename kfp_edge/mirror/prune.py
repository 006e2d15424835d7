"""Removes images from a site's registry that no rollback needs."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from kfp_edge.fleet.releases.history import read_history
from kfp_edge.git.remote import GitRemote
from kfp_edge.git.repository import GitRepository, open_repository
from kfp_edge.gitops.layout import RINGS, parse_ring_kustomization
from kfp_edge.images.blobs import delete_manifest
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry_session import RegistrySession, open_session
from kfp_edge.mirror.images import Report, image_path, list_unreadable, needed_images, read_state, require_registry
from kfp_edge.mirror.inventory import collect_present, list_kept
from kfp_edge.mirror.site_lock import locked_site


@dataclass(frozen=True)
class PrunedRepository:
    """What a repository keeps, and what it loses."""

    repository: ImageRepository
    kept: tuple[str, ...]
    removed: tuple[str, ...]


def prune_registry(
    remote: GitRemote, branch: str, site: str, report: Report, *, registry: str = "", is_rehearsal: bool = False
) -> list[PrunedRepository]:
    """Remove the images that imports brought and that no ring runs, or ran before its present one.

    All rings count, since sites may share a registry, and all repositories that a ring ever had images of, since a
    model may have been removed, or be built to another one now. Only manifests are removed: the registry's own garbage
    collection frees the space. An import at the same site waits until it ends, and it waits for one.

    Args:
        remote: The git repository of the site.
        branch: The branch that the site follows.
        site: The name of the site.
        report: Takes lines about what cannot be known.
        registry: The registry of the site; by default what `site.yaml` says.
        is_rehearsal: Whether nothing is removed.

    Returns:
        The repositories in which imports have put images.

    Raises:
        GitError: the repository cannot be read.
        ImageError: the registry refuses, or cannot be reached.
        ParameterError: no registry is known.
        StorageError: the site cannot be locked.
    """
    with nullcontext() if is_rehearsal else locked_site(remote, report):
        with open_repository(remote) as repository:
            state = read_state(repository, branch, site)
            needed = _list_needed(repository, state.commit, report)
        host = require_registry(site, state.site.registry, registry)
        return _prune(host, needed, is_rehearsal)


def _prune(host: str, needed: Mapping[str, set[str]], is_rehearsal: bool) -> list[PrunedRepository]:
    pruned = []
    for path, digests in sorted(needed.items()):
        with open_session(ImageRepository("docker", f"{host}/{path}")) as session:
            compared = _compare(session, digests)
            for digest in compared.removed if not is_rehearsal else ():
                delete_manifest(session, digest)
        if compared.kept or compared.removed:
            pruned.append(compared)
    return pruned


def _list_needed(repository: GitRepository, head: str, report: Report) -> dict[str, set[str]]:
    """Return the digests that any ring runs or ran before, by the repositories that any ring ever had images of.

    An unreadable version of the file of a ring is reported: its image is removed if nothing else needs it.
    """
    needed: dict[str, set[str]] = {}
    present = set(repository.list_files(head, RINGS))
    for path in repository.list_past_files(head, RINGS):
        if (parsed := parse_ring_kustomization(path)) is None:
            continue
        history = read_history(repository, head, *parsed)
        for release in history.releases:
            needed.setdefault(image_path(release.image), set())
        if path not in present:
            continue
        for sentence in list_unreadable(history):
            report(f"warning: {sentence}")
        for image in needed_images(history.releases):
            needed[image_path(image)].add(image.digest)
    return needed


def _compare(session: RegistrySession, needed: set[str]) -> PrunedRepository:
    kept: set[str] = set()
    for digest in sorted(needed):  # an index needs its entries, too
        kept |= set(collect_present(session, digest).manifests)
    tagged = list_kept(session)
    here: dict[str, bytes] = {}
    for digest in tagged:
        here |= collect_present(session, digest).manifests
    # an index goes before what it names: a registry may refuse it the other way round
    removed = [digest for digest in reversed(here) if digest in tagged and digest not in kept]
    return PrunedRepository(session.repository, tuple(sorted(kept)), tuple(removed))
