"""Reading and writing OCI image layout folders (OCI Image Layout Specification)."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kfp_edge.images.oci.documents import Descriptor
from kfp_edge.images.oci.media_types import INDEX_TYPES
from kfp_edge.storage.files import canonical_json, read_json, sha256_bytes, sha256_file

#: The annotation that is the tag of an image in a layout.
REF_NAME = "org.opencontainers.image.ref.name"
#: The tag in a layout that holds one image only.
ONLY_TAG = "image"


def blob_path(layout: Path, digest: str) -> Path:
    """Return the file of a blob in a layout ("blobs/<algorithm>/<encoded>")."""
    return layout / "blobs" / digest.replace(":", "/")


def read_blob_json(layout: Path, digest: str) -> Any:
    """Return a document of a layout.

    Raises:
        KfpEdgeError: it is not there, or is no JSON.
    """
    return read_json(blob_path(layout, digest))


def list_tagged_images(layout: Path) -> list[Descriptor]:
    """Return what the layout's index names; nothing when there is no layout in the folder."""
    if not (layout / "index.json").is_file():
        return []
    manifests: list[Descriptor] = read_json(layout / "index.json")["manifests"]
    return manifests


def iterate_images(layout: Path) -> Iterator[Descriptor]:
    """Yield what the layout's index names, and what is named in the indexes that it names."""
    for descriptor in list_tagged_images(layout):
        yield descriptor
        file = blob_path(layout, descriptor["digest"])
        if descriptor.get("mediaType") in INDEX_TYPES and file.is_file():
            yield from read_json(file)["manifests"]


def find_image(layout: Path, digest: str) -> Descriptor | None:
    """Return the descriptor of an image whose manifest is in the layout, None when it is not."""
    for descriptor in iterate_images(layout):
        if descriptor["digest"] == digest and blob_path(layout, digest).is_file():
            return descriptor
    return None


def find_tag(layout: Path, tag: str) -> Descriptor | None:
    """Return the descriptor of the image that has a tag, None when no image has it."""
    for descriptor in list_tagged_images(layout):
        if descriptor.get("annotations", {}).get(REF_NAME) == tag:
            return descriptor
    return None


def write_index(layout: Path, descriptor: Descriptor, tag: str = ONLY_TAG) -> None:
    """Make a folder with blobs a layout of one image ("oci-layout file", "index.json file")."""
    index = {"schemaVersion": 2, "manifests": [{**descriptor, "annotations": {REF_NAME: tag}}]}
    (layout / "oci-layout").write_bytes(canonical_json({"imageLayoutVersion": "1.0.0"}))
    (layout / "index.json").write_bytes(canonical_json(index))


class LayoutWriter:
    """A new layout folder, to which blobs are added before `write_index` makes it complete."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, which does not exist yet."""
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)

    def add_json(self, document: object, media_type: str) -> Descriptor:
        """Add a document and return its descriptor."""
        # compact, since a site pulls configuration and manifest with every model
        data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        digest = f"sha256:{sha256_bytes(data)}"
        blob_path(self.folder, digest).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def move_in(self, file: Path, media_type: str) -> Descriptor:
        """Rename a file of the same file system to the blob that it is, and return its descriptor."""
        digest = f"sha256:{sha256_file(file)}"
        blob = file.rename(blob_path(self.folder, digest))
        return {"mediaType": media_type, "digest": digest, "size": blob.stat().st_size}

    def add_blob_of(self, layout: Path, digest: str) -> None:
        """Add a blob of another layout as it is."""
        link_or_copy(blob_path(layout, digest), blob_path(self.folder, digest))

    def refer_to_blob_of(self, layout: Path, digest: str) -> None:
        """Add a symbolic link to a blob of another layout, which has to stay as long as this one."""
        link = blob_path(self.folder, digest)
        if not link.exists():  # platforms share layers
            link.symlink_to(blob_path(layout, digest))


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where it cannot have one; a target that is there stays."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
