"""When the sites of a ring could see its digest: a fast-forward keeps the date at which a release was proposed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kfp_edge.errors import GitError
from kfp_edge.fleet.promotion.evidence import SiteEvidence
from kfp_edge.fleet.promotion.image_facts import find_image, version_of
from kfp_edge.fleet.promotion.pull_requests import PullRequestSettings
from kfp_edge.fleet.releases.branches import review_branch, rollback_branch
from kfp_edge.fleet.releases.history import RingRelease, read_releases
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.fleet.status.status import FleetFiles
from kfp_edge.git.notes import ensure_note
from kfp_edge.git.repository import GitRepository

#: The notes at commits (git-notes(1)) with the time at which a promotion found them on the branch.
NOTES = "kfp-edge"
_NOTE = "Found on the branch by kfp-edge fleet promote: "


@dataclass(frozen=True)
class MergeTimes:
    """Finds when what a ring runs was merged.

    Attributes:
        target: The repository of the fleet.
        repository: A clone.
        files: What the branch says that the sites follow.
        registry: Where this machine finds the images, if not where the sites do.
        now: The time of the decision.
    """

    target: FleetRemote
    repository: GitRepository
    files: FleetFiles
    registry: str
    now: datetime

    def find(self, ring: str, model: str, evidence: Sequence[SiteEvidence]) -> datetime:
        """Return a time from which on the sites of a ring could see the image that it has: never one before the merge.

        It is the time at which the forge merged the pull request; without a forge, the date of a merge commit. Any
        other commit may be older than its merge. Of these, a site that has run the digest for some time tells that it
        was merged before; else it is when a promotion first found the commit on the branch, which a note at it keeps.

        Args:
            ring: The name of a ring that has the model.
            model: The name of a model.
            evidence: What the sites of the ring have shown.

        Raises:
            ForgeError: the forge refuses or fails.
            GitError: the notes cannot be read or written.
            ParameterError: the forge cannot be asked.
        """
        release = self.files.releases[ring, model]
        if merged := max(self._merges(ring, model, release), default=None):
            return max(merged, release.since)
        if release.is_merge:
            return release.since
        longest = max((each.ran for each in evidence), default=timedelta())
        seen = self.now - longest if longest else self._read_note(release.commit)
        return max(release.since, seen)

    def _merges(self, ring: str, model: str, release: RingRelease) -> Iterator[datetime]:
        """Yield the times at which the forge merged what the ring may have got its image with."""
        settings = PullRequestSettings.of_ring(self.files.fleet, ring, self.target.remote)
        if settings is None:
            return
        forge = settings.open(self.target.remote)
        for branch in self._branches(ring, model, release):
            request = forge.find(branch)
            if request is not None and request.merged_at is not None:
                yield request.merged_at

    def _branches(self, ring: str, model: str, release: RingRelease) -> Iterator[str]:
        version = version_of(find_image(release.image, self.registry), release.image)
        yield review_branch(model, version, "" if ring == self.files.fleet.ring_names[0] else ring)
        before = read_releases(self.repository, self.files.commit, ring, model)[1:2]
        yield from (rollback_branch(model, each.image.digest, ring) for each in before)

    def _read_note(self, commit: str) -> datetime:
        text = f"{_NOTE}{self.now.astimezone(UTC).isoformat(timespec='seconds')}"
        note = ensure_note(self.repository, NOTES, commit, text)
        try:
            return datetime.fromisoformat(note.removeprefix(_NOTE)).astimezone(UTC)
        except ValueError as error:
            raise GitError(
                f"the note of the commit {commit[:12]} in refs/notes/{NOTES} has no time: {note!r}; remove it with "
                f"`git notes --ref={NOTES} remove {commit[:12]}`, and push refs/notes/{NOTES}."
            ) from error
