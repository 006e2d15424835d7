"""Adding a layer to an image: the blobs below keep their bytes, and an index stays an index."""

from dataclasses import dataclass
from pathlib import Path

from kfp_edge.errors import ImageError
from kfp_edge.images.oci.compression import SMALLEST, compress
from kfp_edge.images.oci.documents import Descriptor, ImageConfig, ImageManifest
from kfp_edge.images.oci.layer_writer import Layer
from kfp_edge.images.oci.layout import LayoutWriter, write_index
from kfp_edge.images.oci.media_types import (
    CONFIG_TYPE,
    DOCKER_LAYER_TYPE,
    GZIP_LAYER_TYPE,
    INDEX_TYPE,
    MANIFEST_TYPE,
    ZSTD_ANNOTATIONS,
    ZSTD_LAYER_TYPE,
)
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.registry import linux_images, read_config, read_manifest
from kfp_edge.storage.files import sha256_file


@dataclass(frozen=True)
class AppendedLayer:
    """A layer as a plain tar file, and the time (RFC 3339) and labels that the image's configuration gets with it."""

    tar: Path
    created: str
    labels: dict[str, str]


def append_layer(appended: AppendedLayer, base: ImageRef, layout: Path) -> ImageRef:
    """Write a layout of the base's blobs as they are and the layer compressed; return the image in it.

    Args:
        base: An image of a layout; of an index, each platform's image gets the layer.
        layout: A folder that does not exist yet; its blobs of the base are links.

    Raises:
        ImageError: the base is an index without an image for Linux.
    """
    writer = LayoutWriter(layout)
    layer = _add_layer(appended.tar, writer)
    manifest = read_manifest(base)
    if "manifests" not in manifest:
        descriptor = _add_image(appended, base, layer, writer)
    else:
        entries: list[Descriptor] = [
            {
                **_add_image(appended, base.home.image(entry["digest"]), layer, writer),
                "platform": entry["platform"],
                "annotations": ZSTD_ANNOTATIONS,
            }
            for entry in linux_images(base)
        ]
        if not entries:
            raise ImageError(f"{base} is an index without an image for Linux; name another serving image.")
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
        descriptor = writer.add_json(index, INDEX_TYPE)
    write_index(layout, descriptor)
    return ImageRef("oci", str(layout), descriptor["digest"])


def _add_image(appended: AppendedLayer, base: ImageRef, layer: Layer, writer: LayoutWriter) -> Descriptor:
    layers = [_convert_to_oci(below) for below in read_manifest(base)["layers"]]
    for below in layers:
        writer.refer_to_blob_of(Path(base.repository), below["digest"])
    manifest: ImageManifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": writer.add_json(_extend_config(read_config(base), appended, layer), CONFIG_TYPE),
        "layers": [*layers, layer.descriptor],
    }
    return writer.add_json(manifest, MANIFEST_TYPE)


def _extend_config(base: ImageConfig, appended: AppendedLayer, layer: Layer) -> ImageConfig:
    """Return the base's configuration with the layer and the labels (OCI Image Specification, "Properties").

    The history, which is optional, would be shipped with every model: the labels name the base.
    """
    run = base.get("config") or {}
    kept = {key: value for key, value in base.items() if key != "history"}
    return kept | {
        "created": appended.created,
        "config": run | {"Labels": (run.get("Labels") or {}) | appended.labels},
        "rootfs": {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], layer.diff_id]},
    }


def _convert_to_oci(layer: Descriptor) -> Descriptor:
    return {**layer, "mediaType": GZIP_LAYER_TYPE} if layer["mediaType"] == DOCKER_LAYER_TYPE else layer


def _add_layer(tar: Path, writer: LayoutWriter) -> Layer:
    compressed = writer.folder / "layer"
    with tar.open("rb") as source:
        compress(source, compressed, tar.stat().st_size, SMALLEST)
    return Layer(f"sha256:{sha256_file(tar)}", writer.move_in(compressed, ZSTD_LAYER_TYPE))
