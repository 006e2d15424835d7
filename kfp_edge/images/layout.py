"""Writing an OCI image layout folder (OCI Image Layout Specification), always the same bytes for the same content."""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import Any

import zstandard

from kfp_edge.images.platforms import Platform

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
PLAIN_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"

Json = dict[str, Any]

#: The bytes do not depend on how many there are, as long as there is one; a layer gives work to four at most.
_THREADS = min(os.cpu_count() or 1, 4)


@dataclass(frozen=True)
class Layer:
    """One layer: the digest of its plain tar, and the descriptor of the blob that holds it."""

    diff_id: str
    descriptor: Json


class Layout:
    """An image layout folder in the making."""

    def __init__(self, folder: Path, level: int, kept: Path | None = None) -> None:
        """Make the folder.

        Args:
            folder: A folder that does not exist yet.
            level: How hard zstd tries, 1 to 19.
            kept: Folder of layers compressed before; None compresses each again.
        """
        self._folder = folder
        self._level = level
        self._kept = kept
        self._blobs = folder / "blobs/sha256"
        self._blobs.mkdir(parents=True)

    def add_json(self, value: Json, media_type: str) -> Json:
        """Add a document and return its descriptor."""
        data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def add_blob(self, file: Path) -> None:
        """Add a file as it is."""
        _link(file, self._blobs / _sha256(file))

    def add_tree(self, *trees: tuple[Path, str]) -> Layer:
        """Add a layer of folders and the places in the image where their contents lie."""
        with tempfile.TemporaryFile(dir=self._folder) as plain:
            with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
                _write_tree(archive, trees)
            return self.add_tar(plain)

    def add_tar(self, plain: BufferedRandom | BufferedReader) -> Layer:
        """Add a layer from a seekable binary stream of its plain tar."""
        plain.seek(0)
        diff_id = hashlib.file_digest(plain, "sha256").hexdigest()
        size = plain.tell()
        plain.seek(0)
        blob = self._compressed(plain, size, diff_id)
        digest = _sha256(blob)
        blob.rename(self._blobs / digest)
        size = (self._blobs / digest).stat().st_size
        return Layer(f"sha256:{diff_id}", {"mediaType": LAYER_TYPE, "digest": f"sha256:{digest}", "size": size})

    def finish(self, tag: str, manifests: Sequence[tuple[Platform, Json]], annotations: dict[str, str]) -> str:
        """Tag the image, an index when there are several platforms, and return its digest."""
        descriptor = manifests[0][1]
        if len(manifests) > 1:
            listed = [{**manifest, "platform": platform.fields} for platform, manifest in manifests]
            index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": listed, "annotations": annotations}
            descriptor = self.add_json(index, INDEX_TYPE)
        named = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": tag}}
        (self._folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (self._folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
        return str(descriptor["digest"])

    def _compressed(self, plain: BufferedRandom | BufferedReader, size: int, diff_id: str) -> Path:
        """Return a file of the layer compressed, from the kept ones or made now, that may be renamed."""
        blob = self._folder / "layer"
        if self._kept is None:
            self._compress(plain, size, blob)
            return blob
        self._kept.mkdir(parents=True, exist_ok=True)
        kept = self._kept / f"{diff_id}-{self._level}-{zstandard.__version__}.zst"
        if not kept.is_file():
            self._compress(plain, size, blob)
            shutil.move(blob, kept)
        _link(kept, blob)
        return blob

    def _compress(self, plain: BufferedRandom | BufferedReader, size: int, blob: Path) -> None:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            self._level, source_size=size, threads=_THREADS, write_checksum=True
        )
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        # piece by piece, so that Ctrl-C is heard in between
        with blob.open("wb") as sink, compressor.stream_writer(sink, size=size) as stream:
            shutil.copyfileobj(plain, stream)


def blob(layout: Path, digest: str) -> Path:
    """Return the file of a blob in a layout folder."""
    return layout / "blobs" / digest.replace(":", "/")


def read_json(layout: Path, digest: str) -> Json:
    """Return a document of a layout folder."""
    value: Json = json.loads(blob(layout, digest).read_bytes())
    return value


def tagged(layout: Path) -> Json:
    """Return the descriptor of the only image that a layout folder names."""
    found: Json = json.loads((layout / "index.json").read_bytes())["manifests"][0]
    return found


def _write_tree(archive: tarfile.TarFile, trees: Sequence[tuple[Path, str]]) -> None:
    entries: dict[str, Path | None] = {}
    for folder, place in trees:
        parts = place.strip("/").split("/") if place else []
        for depth in range(1, len(parts)):
            entries["/".join(parts[:depth])] = None
        for path in [folder, *folder.rglob("*")] if place else folder.rglob("*"):
            entries["/".join([*parts, *path.relative_to(folder).parts])] = path
    for name in sorted(entries):
        _write_entry(archive, name, entries[name])


def _write_entry(archive: tarfile.TarFile, name: str, path: Path | None) -> None:
    """Write an entry with one of two modes and no time, whatever the umask and the hour were; None is a folder."""
    if path is None:
        entry = tarfile.TarInfo(name)
        entry.type = tarfile.DIRTYPE
    else:
        entry = archive.gettarinfo(path, name)
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    if name == "tmp":
        entry.mode = 0o1777
    else:
        entry.mode = 0o755 if entry.isdir() or entry.issym() or entry.mode & 0o100 else 0o644
    if path is not None and entry.isreg():
        with path.open("rb") as stream:
            archive.addfile(entry, stream)
    else:
        archive.addfile(entry)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where it cannot have one; a target that is there stays."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
