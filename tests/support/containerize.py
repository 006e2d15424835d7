"""What the tests of `containerize` share: a base of a few bytes, and what is in an image."""

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import zstandard

from kfp_edge.images.layout import blob_path, write_index
from kfp_edge.images.media_types import INDEX_TYPE, MANIFEST_TYPE
from kfp_edge.images.references import ImageRef, ImageRepository
from kfp_edge.images.registry import copy_image, read_manifest
from kfp_edge.storage.files import canonical_json, sha256_bytes

_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


def tiny_base(layout: Path, *architectures: str) -> ImageRef:
    """A base of one file in a new layout; an index when it is for several processors, such as `arm64/v8`."""
    (layout / "blobs/sha256").mkdir(parents=True)
    entries = [_image(layout, *architecture.split("/")) for architecture in architectures or ("amd64",)]
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    descriptor = entries[0] if len(entries) == 1 else _add(layout, canonical_json(index), INDEX_TYPE)
    write_index(layout, descriptor)
    return ImageRef("oci", str(layout), descriptor["digest"])


def images_of(image: ImageRef, folder: Path) -> list[ImageRef]:
    """Every platform's image of an image of anywhere, here in a layout."""
    here = copy_image(image, ImageRepository.parse(f"oci:{folder}"), "here")
    entries = read_manifest(here).get("manifests", [{"digest": here.digest}])
    return [here.home.image(entry["digest"]) for entry in entries]


def config_of(image: ImageRef) -> dict[str, Any]:
    """The configuration of an image in a layout."""
    config: dict[str, Any] = json.loads(
        blob_path(Path(image.repository), read_manifest(image)["config"]["digest"]).read_bytes()
    )
    return config


def last_layer(image: ImageRef) -> bytes:
    """The last layer of an image in a layout as a plain tar."""
    layer = read_manifest(image)["layers"][-1]
    data = blob_path(Path(image.repository), layer["digest"]).read_bytes()
    if layer["mediaType"].endswith("zstd"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return gzip.decompress(data)


def members(layer: bytes) -> list[dict[str, Any]]:
    """What a layer says of each member, and what is in it."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            found.append(member.get_info() | {"content": file.read() if file else None})
    return found


def _image(layout: Path, architecture: str, variant: str = "") -> dict[str, Any]:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        member = tarfile.TarInfo("etc/of-the-base")
        member.size = len(architecture)
        tar.addfile(member, io.BytesIO(architecture.encode()))
    platform = {"os": "linux", "architecture": architecture} | ({"variant": variant} if variant else {})
    config = platform | {
        "config": {"User": "1001"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256_bytes(plain.getvalue())}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _add(layout, canonical_json(config), _CONFIG_TYPE),
        "layers": [_add(layout, gzip.compress(plain.getvalue(), mtime=0), _LAYER_TYPE)],
    }
    return _add(layout, canonical_json(manifest), MANIFEST_TYPE) | {"platform": platform}


def _add(layout: Path, data: bytes, media_type: str) -> dict[str, Any]:
    digest = f"sha256:{sha256_bytes(data)}"
    blob_path(layout, digest).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}
