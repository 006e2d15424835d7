"""Writes the archive of a site: the images and commits that it needs, without what it has already."""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kfp_edge.errors import ImageError, StorageError
from kfp_edge.fleet.promotion.image_facts import locate_image
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.git.repository import GitRepository
from kfp_edge.gitops.images import Image
from kfp_edge.images.blobs import download_blob, is_blob
from kfp_edge.images.oci.documents import Descriptor
from kfp_edge.images.oci.layout import REF_NAME, blob_path
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.images.registry import image_exists, read_manifest_bytes
from kfp_edge.images.registry_session import RegistrySession, open_session
from kfp_edge.mirror.archive import BUNDLE, blob_name, describe_members, write_archive
from kfp_edge.mirror.contracts import ArchiveContents, Inventory, MirroredImage, keep_tag
from kfp_edge.mirror.images import (
    ImageParts,
    Report,
    SiteState,
    collect_parts,
    image_path,
    media_type_of,
    read_state,
)
from kfp_edge.storage.files import canonical_json


@dataclass(frozen=True)
class Exported:
    """What an archive holds."""

    contents: ArchiveContents
    #: Bytes of the archive.
    size: int
    #: Bytes of blobs that the site has already.
    left_out: int


def export_archive(
    fleet: FleetRemote,
    site: str,
    target: Path,
    key: Ed25519PrivateKey,
    report: Report,
    *,
    inventory: Inventory | None = None,
    registry: str = "",
) -> Exported:
    """Write the archive of a site: what it runs, what its ring ran before, and the commits since its inventory.

    What was downloaded stays in a folder beside the file until the archive is complete, so that an export which was
    interrupted goes on where it ended.

    Args:
        fleet: The repository of the fleet.
        site: The name of the site.
        target: The file.
        key: The key that signs it.
        report: Takes lines about what is done.
        inventory: What the site has; nothing without it.
        registry: `docker://HOST/REPO` or `oci:FOLDER`, if this machine finds the images elsewhere than the sites do.

    Raises:
        GitError: the repository cannot be read.
        ImageError: a registry does not have an image that the site runs, or refuses.
        StorageError: the file system refuses (full, read-only, no permission).
    """
    work = target.with_name(f"{target.name}.partial")
    with fleet.open() as repository:
        state = read_state(repository, fleet.branch, site)
        try:
            (work / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write {work}: {error.strerror}.") from error
        gathered = _Gathered(work, _list_blobs(inventory), report)
        for sentence in state.unreadable:
            report(f"warning: {sentence}")
        if not state.current:
            report(f"warning: {site} runs no model, so that the archive has no image.")
        for image in state.current:
            gathered.add(image, registry)
        for image in state.previous:
            _add_previous(gathered, image, registry)
        with ExitStack() as stack:
            files = gathered.collect_files(stack)
        since = _write_bundle(repository, fleet.branch, state.commit, inventory, work / BUNDLE)
        if since != state.commit:
            files[BUNDLE] = work / BUNDLE
        contents = _describe(state, fleet.branch, since, gathered, files)
    report(f"writing {target}")
    write_archive(target, contents, files, key)
    shutil.rmtree(work)
    return Exported(contents, target.stat().st_size, gathered.left_out_size)


def _list_blobs(inventory: Inventory | None) -> dict[str, str]:
    """Return a repository of the site for each blob that it has."""
    blobs = inventory.blobs if inventory else {}
    return {digest: path for path, digests in sorted(blobs.items(), reverse=True) for digest in digests}


def _add_previous(gathered: "_Gathered", image: Image, registry: str) -> None:
    """Add an image for a rollback, which need not exist any more."""
    source = locate_image(image, registry)
    if image_exists(source):
        gathered.add(image, registry)
    else:
        gathered.report(
            f"warning: {source.home} does not have {image.digest} any more, which {image.name} would go back to; "
            "the archive is without it."
        )


@dataclass
class _Gathered:
    """The images of an archive, and where their blobs are."""

    work: Path
    at_site: Mapping[str, str]
    report: Report
    images: list[tuple[MirroredImage, int]] = field(default_factory=list)
    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, tuple[Descriptor, ImageRepository]] = field(default_factory=dict)
    left_out: dict[str, Descriptor] = field(default_factory=dict)
    sessions: dict[ImageRepository, RegistrySession] = field(default_factory=dict)

    @property
    def left_out_size(self) -> int:
        """Bytes that the site has already."""
        return sum(blob["size"] for blob in self.left_out.values())

    def add(self, image: Image, registry: str) -> None:
        """Add an image by its manifests; its blobs are downloaded by `collect_files`."""
        source = locate_image(image, registry)
        parts = _read_parts(source)
        manifest = parts.manifests[image.digest]
        mirrored = MirroredImage(
            model=image.name, path=image_path(image), digest=image.digest, media_type=media_type_of(manifest)
        )
        self.images.append((mirrored, len(manifest)))
        self.manifests |= parts.manifests
        for digest, blob in parts.blobs.items():
            if digest in self.at_site:
                self.left_out[digest] = blob
            else:
                self.blobs.setdefault(digest, (blob, source.home))

    def collect_files(self, stack: ExitStack) -> dict[str, Path | bytes]:
        """Have every blob here, and return the files of the image layout; the stack ends what it began."""
        files: dict[str, Path | bytes] = {
            "oci-layout": canonical_json({"imageLayoutVersion": "1.0.0"}),
            "index.json": canonical_json({"schemaVersion": 2, "manifests": [_entry(*each) for each in self.images]}),
        }
        files |= {blob_name(digest): data for digest, data in self.manifests.items()}
        for number, (digest, (blob, source)) in enumerate(self.blobs.items(), 1):
            megabytes = blob["size"] / 1e6
            self.report(f"blob {number} of {len(self.blobs)}: {megabytes:.1f} MB of {source}")
            files[blob_name(digest)] = self._fetch(blob, source, stack)
        return files

    def _fetch(self, blob: Descriptor, source: ImageRepository, stack: ExitStack) -> Path:
        if source.host is None:
            file = blob_path(Path(source.path), blob["digest"])
            if not is_blob(file, blob):
                raise ImageError(f"{source} does not have {blob['digest']}, or it is damaged; build the image again.")
            return file
        if source not in self.sessions:
            self.sessions[source] = stack.enter_context(open_session(source))
        file = blob_path(self.work, blob["digest"])
        download_blob(self.sessions[source], blob, file)
        return file


def _read_parts(source: ImageRef) -> ImageParts:
    return collect_parts(source.digest, lambda digest: read_manifest_bytes(source.home.image(digest)))


def _entry(image: MirroredImage, size: int) -> Descriptor:
    """Return what the index of the layout says of an image, by a tag that names no other one."""
    tag = keep_tag(image.digest)
    return {
        "mediaType": image.media_type,
        "digest": image.digest,
        "size": size,
        "annotations": {REF_NAME: tag},
    }


def _write_bundle(repository: GitRepository, branch: str, commit: str, inventory: Inventory | None, file: Path) -> str:
    """Write the commits that the site lacks, and return the one that it has; the whole history if it has no part."""
    at_site = inventory.commit if inventory else ""
    since = at_site if at_site and repository.has_commit(at_site) and repository.contains(commit, at_site) else ""
    if since != commit:
        repository.write_bundle(file, branch, since or None)
    return since


def _describe(
    state: SiteState, branch: str, since: str, gathered: _Gathered, files: Mapping[str, Path | bytes]
) -> ArchiveContents:
    return ArchiveContents(
        fleet=state.fleet.name,
        site=state.site.name,
        registry=state.site.registry,
        branch=branch,
        commit=state.commit,
        since=since,
        images=tuple(image for image, _ in gathered.images),
        left_out={digest: gathered.at_site[digest] for digest in sorted(gathered.left_out)},
        members=describe_members(files),
    )
