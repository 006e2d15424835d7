"""What a ring has run, from the git history of its file: versions are never ordered by their names here."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from kfp_edge.errors import GitError
from kfp_edge.fleet.releases.ring_images import parse_ring_image
from kfp_edge.git.repository import GitRepository
from kfp_edge.gitops.images import Image
from kfp_edge.gitops.layout import ring_kustomization


@dataclass(frozen=True)
class RingRelease:
    """An image that a ring got, and the commit of the branch that brought it.

    Attributes:
        since: The date of that commit. It is the one of the merge only if the commit `is_merge`: a fast-forward brings
            commits that may be days older.
    """

    image: Image
    commit: str
    since: datetime
    is_merge: bool = False


@dataclass(frozen=True)
class UnreadableVersion:
    """A version of the file of a ring that names no image."""

    commit: str
    reason: str

    def __str__(self) -> str:
        return f"The commit {self.commit[:12]} is left out of the history of the ring: {self.reason}"


@dataclass(frozen=True)
class RingHistory:
    """The versions of the file of a ring, the newest first."""

    versions: tuple[RingRelease | UnreadableVersion, ...]

    @property
    def releases(self) -> list[RingRelease]:
        """The images that the ring has had, the newest first; one that it had again later is there twice."""
        releases: list[RingRelease] = []
        for version in reversed(self.versions):
            if isinstance(version, RingRelease) and (not releases or releases[-1].image.digest != version.image.digest):
                releases.append(version)
        return releases[::-1]

    def unreadable(self, until: RingRelease | None = None) -> list[str]:
        """Return a sentence for each version that names no image, back to a release or to the first one."""
        newer = takewhile(lambda version: until is None or version.commit != until.commit, self.versions)
        return [str(version) for version in newer if isinstance(version, UnreadableVersion)]


def read_history(repository: GitRepository, head: str, ring: str, model: str) -> RingHistory:
    """Return what a ring has had of a model.

    Args:
        repository: A clone.
        head: The head of the branch that the sites follow.
        ring: The name of a ring.
        model: The name of a model.
    """
    return RingHistory(tuple(_read_versions(repository, head, ring, model)))


def read_releases(repository: GitRepository, head: str, ring: str, model: str) -> list[RingRelease]:
    """Return the images that a ring has had, as `read_history` does."""
    return read_history(repository, head, ring, model).releases


def find_previous(releases: list[RingRelease]) -> RingRelease | None:
    """Return what a rollback goes back to: the image before the present one.

    An image that the ring was taken back from does not count. After A, B and the rollback to A, the one before A is
    what it was before B, so that a second rollback does not bring B again.

    Args:
        releases: What a ring has had, the newest first.
    """
    kept = _keep(releases)
    return kept[-2] if len(kept) > 1 else None


def was_taken_back(releases: list[RingRelease], digest: str) -> bool:
    """Whether a ring had an image, and went back to one that it had before that.

    Args:
        releases: What a ring has had, the newest first.
        digest: The digest of an image.
    """
    had = any(each.image.digest == digest for each in releases)
    return had and all(each.image.digest != digest for each in _keep(releases))


def _keep(releases: list[RingRelease]) -> list[RingRelease]:
    """Return the images that the ring was not taken back from, the oldest first."""
    kept: list[RingRelease] = []
    for release in reversed(releases):
        digests = [each.image.digest for each in kept]
        if release.image.digest in digests:
            kept = kept[: digests.index(release.image.digest) + 1]
        else:
            kept.append(release)
    return kept


def _read_versions(
    repository: GitRepository, head: str, ring: str, model: str
) -> Iterator[RingRelease | UnreadableVersion]:
    path = ring_kustomization(ring, model)
    for version in repository.read_history(head, path):
        try:
            image = parse_ring_image(version.data, ring, model)
        except GitError as error:
            yield UnreadableVersion(version.commit, str(error))
            continue
        if image is None:
            continue
        if not image.digest:
            yield UnreadableVersion(version.commit, f"{path} has no digest.")
        else:
            yield RingRelease(image, version.commit, version.since, version.is_merge)


def read_current(
    repository: GitRepository, head: str, ring: str, model: str
) -> tuple[RingRelease | None, list[UnreadableVersion]]:
    """Return the image that a ring has, and since when, None if it has none; and what is newer and cannot be read.

    Args:
        repository: A clone.
        head: The head of the branch that the sites follow.
        ring: The name of a ring.
        model: The name of a model.
    """
    current: RingRelease | None = None
    unreadable: list[UnreadableVersion] = []
    for version in _read_versions(repository, head, ring, model):
        if isinstance(version, RingRelease):
            if current is not None and version.image.digest != current.image.digest:
                break
            current = version
        elif current is None:
            unreadable.append(version)
    return current, unreadable
