"""One layer more on an image: what is below keeps its bytes, and an index stays one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.oci import INDEX_TYPE, MANIFEST_TYPE, ImageRef, blob, manifest_at, write_index
from kfp_edge.storage.files import canonical_json, read_json, sha256_bytes, sha256_file

_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_GZIP_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+zstd"
_DOCKER_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
#: Smallest output within the window of 8 MiB that every reader of zstd takes.
_LEVEL = 19


@dataclass(frozen=True)
class AppendedLayer:
    """A layer as a plain tar file, and what the image's configuration says with it."""

    tar: Path
    created: str
    labels: dict[str, str]


def append_layer(addition: AppendedLayer, base: ImageRef, layout: Path) -> ImageRef:
    """Make a layout of the base's blobs as they are, and the addition compressed; return the image in it.

    Args:
        base: An image of a layout; of an index, each platform's image gets the layer.
        layout: A folder that does not exist yet.

    Raises:
        KfpEdgeError: the base is an index without an image for Linux.
    """
    (layout / "blobs/sha256").mkdir(parents=True)
    layer = _add_layer(addition.tar, layout)
    below = manifest_at(base)
    if "manifests" not in below:
        descriptor = _add_image(addition, base, layer, layout)
    else:
        entries = [
            _add_image(addition, base.home.image(entry["digest"]), layer, layout) | {"platform": entry["platform"]}
            for entry in below["manifests"]
            # what else is in an index, such as attestations, is not for a platform that exists
            if entry.get("platform", {}).get("os") == "linux"
        ]
        if not entries:
            raise KfpEdgeError(f"{base} is an index without an image for Linux; name another serving image.")
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
        descriptor = _add_json(layout, index, INDEX_TYPE)
    write_index(layout, descriptor)
    return ImageRef("oci", str(layout), descriptor["digest"])


def config_of(image: ImageRef) -> dict[str, Any]:
    """Return the configuration of an image in a layout."""
    config: dict[str, Any] = read_json(blob(Path(image.repository), manifest_at(image)["config"]["digest"]))
    return config


def _add_image(addition: AppendedLayer, base: ImageRef, layer: dict[str, Any], layout: Path) -> dict[str, Any]:
    layers = [_as_oci(below) for below in manifest_at(base)["layers"]]
    for below in layers:
        link = blob(layout, below["digest"])
        if not link.exists():  # platforms share layers
            link.symlink_to(blob(Path(base.repository), below["digest"]))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _add_json(layout, _config(addition, base), _CONFIG_TYPE),
        "layers": [*layers, layer],
    }
    return _add_json(layout, manifest, MANIFEST_TYPE)


def _config(addition: AppendedLayer, base: ImageRef) -> dict[str, Any]:
    """Return the base's configuration with the layer and the labels (OCI Image Specification, "Properties").

    The history, which is optional, would be shipped with every model: the labels say where the layers come from.
    """
    config = config_of(base)
    config.pop("history", None)
    diff_ids = [*config["rootfs"]["diff_ids"], f"sha256:{sha256_file(addition.tar)}"]
    run = config.get("config") or {}
    return config | {
        "created": addition.created,
        "config": run | {"Labels": (run.get("Labels") or {}) | addition.labels},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }


def _as_oci(layer: dict[str, Any]) -> dict[str, Any]:
    if layer["mediaType"] == _DOCKER_LAYER_TYPE:
        return {**layer, "mediaType": _GZIP_LAYER_TYPE}
    return layer


def _add_json(layout: Path, value: dict[str, Any], media_type: str) -> dict[str, Any]:
    data = canonical_json(value)
    digest = f"sha256:{sha256_bytes(data)}"
    blob(layout, digest).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _add_layer(tar: Path, layout: Path) -> dict[str, Any]:
    """Compress a layer into the layout; zstd writes no time, and fewer bytes than gzip."""
    compressed = layout / "layer"
    with tar.open("rb") as source, compressed.open("wb") as sink:
        zstandard.ZstdCompressor(level=_LEVEL).copy_stream(source, sink, size=tar.stat().st_size)
    digest = f"sha256:{sha256_file(compressed)}"
    compressed.rename(blob(layout, digest))
    return {"mediaType": _LAYER_TYPE, "digest": digest, "size": blob(layout, digest).stat().st_size}
