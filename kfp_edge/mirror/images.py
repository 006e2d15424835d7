"""Which images a site needs, and the blobs that they consist of."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from kfp_edge.errors import ParameterError
from kfp_edge.fleet.contracts import Fleet, Site
from kfp_edge.fleet.documents import read_fleet, read_site
from kfp_edge.fleet.releases.history import RingHistory, RingRelease, find_previous, read_history
from kfp_edge.git.repository import GitRepository
from kfp_edge.gitops.changes import missing_branch_error
from kfp_edge.gitops.images import Image
from kfp_edge.gitops.tree import Commit
from kfp_edge.images.oci.documents import Descriptor, ImageManifest
from kfp_edge.images.oci.media_types import INDEX_TYPE, MANIFEST_TYPE

#: Takes a line about what is done, for a person who waits.
Report = Callable[[str], None]


@dataclass(frozen=True)
class SiteState:
    """What a fleet's repository says about a site, at the head of the branch that the sites follow."""

    fleet: Fleet
    site: Site
    commit: str
    #: What each model of the site runs, and what its ring ran before, as ring files name it.
    current: tuple[Image, ...]
    previous: tuple[Image, ...]
    #: A sentence for each of their versions that names no image.
    unreadable: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """The repositories of its images below a registry."""
        return sorted({image_path(image) for image in (*self.current, *self.previous)})


def read_state(repository: GitRepository, branch: str, site: str) -> SiteState:
    """Return what a site needs.

    Raises:
        GitError: there is no such branch, or a file of it cannot be read.
        DocumentError: `fleet.yaml` or `site.yaml` is missing or not valid.
    """
    head = repository.head(branch)
    if head is None:
        raise missing_branch_error(repository.remote, branch, repository.branches())
    tree = Commit(repository, head)
    fleet, described = read_fleet(tree), read_site(tree, site)
    histories = [read_history(repository, head, described.ring, model) for model in described.models]
    images = [needed_images(history.releases) for history in histories]
    current = tuple(pair[0] for pair in images if pair)
    previous = tuple(image for pair in images for image in pair[1:])
    unreadable = tuple(sentence for history in histories for sentence in list_unreadable(history))
    return SiteState(fleet, described, head, current, previous, unreadable)


def require_registry(site: str, stated: str, given: str) -> str:
    """Return the registry of a site as `HOST[:PORT]`, or this with a path.

    Args:
        site: The name of the site.
        stated: What its `site.yaml` says, perhaps nothing.
        given: What the user says, perhaps nothing.

    Raises:
        ParameterError: none is known.
    """
    if not (given or stated):
        raise ParameterError(f"site.yaml of {site} names no registry; name the site's own with --registry HOST[:PORT].")
    return (given or stated).removeprefix("docker://").rstrip("/")


def needed_images(releases: list[RingRelease]) -> list[Image]:
    """Return the image that a ring runs, and the one that a rollback goes back to; fewer where there are none.

    Args:
        releases: What the ring has had of a model, the newest first.
    """
    previous = find_previous(releases)
    return [release.image for release in (*releases[:1], *([previous] if previous else []))]


def list_unreadable(history: RingHistory) -> list[str]:
    """Return a sentence for each version of a ring that names no image, and is newer than all that are needed."""
    return history.unreadable(until=find_previous(history.releases))


def image_path(image: Image) -> str:
    """Return the name of an image below its registry: `team/press` of `quay.io/team/press`."""
    return image.new_name.partition("/")[2]


@dataclass
class ImageParts:
    """The manifests of an image, of an index with those of its entries, and the blobs that they name."""

    #: By digest; what an index names comes before it.
    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, Descriptor] = field(default_factory=dict)


def collect_parts(digest: str, read: Callable[[str], bytes | None]) -> ImageParts:
    """Return the parts of an image, as far as they are there.

    Args:
        digest: The digest of the image.
        read: Returns a manifest by its digest, None if there is none.
    """
    parts = ImageParts()
    data = read(digest)
    if data is None:
        return parts
    manifest: ImageManifest = json.loads(data)
    for entry in manifest.get("manifests", []):
        below = collect_parts(entry["digest"], read)
        parts.manifests |= below.manifests
        parts.blobs |= below.blobs
    for blob in (*([manifest["config"]] if "config" in manifest else []), *manifest.get("layers", [])):
        parts.blobs[blob["digest"]] = blob
    parts.manifests[digest] = data
    return parts


def media_type_of(manifest: bytes) -> str:
    """Return the media type of a manifest, which need not state that of OCI."""
    document: ImageManifest = json.loads(manifest)
    return document.get("mediaType") or (INDEX_TYPE if "manifests" in document else MANIFEST_TYPE)
