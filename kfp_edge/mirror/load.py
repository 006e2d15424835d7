"""Loads an archive at its site: images into the site's registry, and then the commits into its git repository."""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kfp_edge.errors import GitError, ImageError, StorageError
from kfp_edge.git.remote import GitRemote
from kfp_edge.git.repository import GitRepository, open_repository
from kfp_edge.git.server_errors import PushedMeanwhileError
from kfp_edge.images.blobs import download_blob, has_blob, has_manifest, mount_blob, put_manifest, upload_blob
from kfp_edge.images.oci.documents import Descriptor
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry_session import RegistrySession, open_session
from kfp_edge.mirror.archive import BUNDLE, Archive, blob_name, open_archive
from kfp_edge.mirror.contracts import ArchiveContents, MirroredImage, keep_tag
from kfp_edge.mirror.images import Report, collect_parts, media_type_of, require_registry
from kfp_edge.mirror.site_lock import locked_site
from kfp_edge.storage.files import write_file


class CommitState(StrEnum):
    """What became of the branch at the site."""

    PUSHED = "pushed"
    #: It was there already.
    UNCHANGED = "unchanged"
    #: The site has a newer one; nothing was loaded.
    OUTDATED = "outdated"


@dataclass(frozen=True)
class Loaded:
    """What an import did."""

    contents: ArchiveContents
    commit: CommitState
    #: Bytes that were uploaded to the registry.
    uploaded: int


def load_archive(
    file: Path, site: str, keys: list[Ed25519PublicKey], remote: GitRemote, report: Report, *, registry: str = ""
) -> Loaded:
    """Verify an archive and load it: all of its images first, then the commit that names them.

    An import that was interrupted is started again; what has arrived is not sent again. A prune of the same site waits
    until it ends, and it waits for one.

    Args:
        file: The archive.
        site: The name of this site.
        keys: The keys whose signatures are accepted.
        remote: The git repository of the site.
        report: Takes lines about what is done.
        registry: The registry of the site, `HOST[:PORT]` or this with a path; by default what `site.yaml` says.

    Raises:
        StorageError: the archive is for another site, not signed, altered, damaged, or cut short; or the site cannot
            be locked.
        ImageError: the registry refuses, cannot be reached, or lacks what its inventory named.
        GitError: the repository refuses, or has commits that the fleet's does not have.
        ParameterError: no registry is known.
    """
    report(f"verifying {file}")
    with (
        open_archive(file, site, keys) as archive,
        locked_site(remote, report),
        open_repository(remote) as repository,
    ):
        contents = archive.contents
        state = _compare(archive, repository)
        if state is CommitState.OUTDATED:
            return Loaded(contents, state, 0)
        with ExitStack() as stack:
            target = _Target(require_registry(site, contents.registry, registry), archive, report, stack)
            target.check_left_out()
            for image in contents.images:
                target.load(image)
        if state is CommitState.PUSHED:
            try:
                repository.push(contents.commit, contents.branch, repository.head(contents.branch))
            except PushedMeanwhileError as error:
                raise GitError(f"{error} The images are loaded; import again.") from error
        return Loaded(contents, state, target.uploaded)


def _compare(archive: Archive, repository: GitRepository) -> CommitState:
    """Add the commits of an archive to the clone, and return what is to be done with the branch at the site."""
    contents = archive.contents
    head = repository.head(contents.branch)
    if head == contents.commit:
        return CommitState.UNCHANGED
    if BUNDLE in archive:
        with tempfile.TemporaryDirectory(prefix="kfp-edge-") as folder:
            bundle = Path(folder) / BUNDLE
            write_file(bundle, archive.read(BUNDLE))
            repository.read_bundle(bundle, contents.branch)
    if not repository.has_commit(contents.commit):
        raise GitError(
            f"{repository.remote.url} does not have the commit {contents.commit}, which it had when its inventory was "
            "written; write the inventory anew, and export again with it."
        )
    if head is None or repository.contains(contents.commit, head):
        return CommitState.PUSHED
    if repository.contains(head, contents.commit):
        return CommitState.OUTDATED
    raise GitError(
        f"the branch {contents.branch} of {repository.remote.url} is at {head}, which the fleet's repository does not "
        "have: somebody committed at the site, or the history of the fleet was rewritten. Nothing was loaded; keep "
        "that commit in another branch if it is needed, delete the branch at the site, and import again."
    )


@dataclass
class _Target:
    """The registry of the site."""

    registry: str
    archive: Archive
    report: Report
    stack: ExitStack
    uploaded: int = 0
    sessions: dict[str, RegistrySession] = field(default_factory=dict)
    #: A repository for each blob that the registry has got.
    here: dict[str, str] = field(default_factory=dict)

    def check_left_out(self) -> None:
        """Refuse an archive without blobs that the registry does not have, before anything is loaded."""
        for digest, path in self.archive.contents.left_out.items():
            if not has_blob(self._session(path), digest):
                raise ImageError(
                    f"{self._session(path).repository} does not have {digest} any more, which is in the site's "
                    "inventory and therefore not in the archive; nothing was loaded. Write the inventory anew, and "
                    "export again with it."
                )
        self.here |= self.archive.contents.left_out

    def load(self, image: MirroredImage) -> None:
        """Load an image: blobs, then manifests, each of which gets a tag that keeps it."""
        session = self._session(image.path)
        parts = collect_parts(image.digest, self._read_manifest)
        for number, blob in enumerate(parts.blobs.values(), 1):
            megabytes = blob["size"] / 1e6
            self.report(f"{image.model} {image.digest[7:19]}: blob {number} of {len(parts.blobs)}, {megabytes:.1f} MB")
            self._load_blob(session, image.path, blob)
        for digest, data in parts.manifests.items():
            media_type = media_type_of(data)
            put_manifest(session, data, media_type, keep_tag(digest))
            if not has_manifest(session, digest, media_type):
                raise ImageError(
                    f"{session.repository} gives {digest} another digest, so that no site would find it; use a "
                    "registry that keeps manifests as they are."
                )

    def _load_blob(self, session: RegistrySession, path: str, blob: Descriptor) -> None:
        digest = blob["digest"]
        if not has_blob(session, digest):
            source = self.here.get(digest, path)
            if source == path or not mount_blob(session, digest, self._session(source).name):
                self._upload(session, blob)
        self.here.setdefault(digest, path)

    def _upload(self, session: RegistrySession, blob: Descriptor) -> None:
        """Upload a blob out of the archive, or out of another repository of the registry, which cannot mount it."""
        name = blob_name(blob["digest"])
        if name in self.archive:
            upload_blob(session, blob, lambda: self.archive.open(name))
        else:
            with tempfile.TemporaryDirectory(prefix="kfp-edge-") as folder:
                file = Path(folder) / "blob"
                download_blob(self._session(self.here[blob["digest"]]), blob, file)
                upload_blob(session, blob, lambda: file.open("rb"))
        self.uploaded += blob["size"]

    def _read_manifest(self, digest: str) -> bytes:
        name = blob_name(digest)
        if name not in self.archive:
            raise StorageError(f"the archive lacks the manifest {digest}; export again.")
        return self.archive.read(name)

    def _session(self, path: str) -> RegistrySession:
        if path not in self.sessions:
            repository = ImageRepository("docker", f"{self.registry}/{path}")
            self.sessions[path] = self.stack.enter_context(open_session(repository))
        return self.sessions[path]
