"""Adding a layer to an image: the blobs below keep their bytes, and an index stays an index."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kfp_edge.errors import ImageError
from kfp_edge.images.oci.compression import SMALLEST, compress, compress_with_gzip
from kfp_edge.images.oci.documents import Descriptor, ImageConfig, ImageManifest, PlatformFields
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

#: What a configuration says about the program of an image ("OCI Image Configuration", `config`).
_STARTED = ("Entrypoint", "Cmd", "ExposedPorts", "Healthcheck", "WorkingDir")


@dataclass(frozen=True)
class AppendedLayer:
    """A layer as a plain tar file, and the time (RFC 3339) and labels that the image's configuration gets with it.

    `holds_data` makes an image whose files are mounted or read by another program: the layer is compressed with gzip,
    which all readers know, nothing is started when the image runs, and the labels are annotations of the manifest, too.
    """

    tar: Path
    created: str
    labels: dict[str, str]
    holds_data: bool = False


def append_layer(appended: AppendedLayer, base: ImageRef, layout: Path) -> ImageRef:
    """Write a layout of the base's blobs as they are and the layer compressed; return the image in it.

    Args:
        base: An image of a layout; of an index, each platform's image gets the layer.
        layout: A folder that does not exist yet; its blobs of the base are links.

    Raises:
        ImageError: the base is an index without an image for Linux.
    """
    writer = LayoutWriter(layout)
    layer = _add_layer(appended, writer)
    manifest = read_manifest(base)
    if "manifests" not in manifest:
        return _finish(writer, _add_image(appended, base, layer, writer))
    entries: list[Descriptor] = [
        {**_add_image(appended, base.home.image(entry["digest"]), layer, writer), "platform": entry["platform"]}
        for entry in linux_images(base)
    ]
    if not entries:
        raise ImageError(f"{base} is an index without an image for Linux; name another base.")
    return _finish(writer, _add_index(appended, entries, writer))


def create_image(appended: AppendedLayer, platforms: Iterable[PlatformFields], layout: Path) -> ImageRef:
    """Write a layout of an image that is nothing but the layer; return the index of these platforms in it.

    Args:
        appended: The layer.
        platforms: Those that may pull it; all share the layer.
        layout: A folder that does not exist yet.
    """
    writer = LayoutWriter(layout)
    layer = _add_layer(appended, writer)
    entries: list[Descriptor] = []
    for platform in platforms:
        empty: ImageConfig = {**platform, "rootfs": {"type": "layers", "diff_ids": []}}
        entries.append({**_add_manifest(appended, empty, [], layer, writer), "platform": platform})
    return _finish(writer, _add_index(appended, entries, writer))


def _finish(writer: LayoutWriter, descriptor: Descriptor) -> ImageRef:
    write_index(writer.folder, descriptor)
    return ImageRef("oci", str(writer.folder), descriptor["digest"])


def _add_index(appended: AppendedLayer, entries: list[Descriptor], writer: LayoutWriter) -> Descriptor:
    index: ImageManifest = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    if appended.holds_data:
        index["annotations"] = appended.labels
    else:
        index["manifests"] = [{**entry, "annotations": ZSTD_ANNOTATIONS} for entry in entries]
    return writer.add_json(index, INDEX_TYPE)


def _add_image(appended: AppendedLayer, base: ImageRef, layer: Layer, writer: LayoutWriter) -> Descriptor:
    layers = [_convert_to_oci(below) for below in read_manifest(base)["layers"]]
    for below in layers:
        writer.refer_to_blob_of(Path(base.repository), below["digest"])
    return _add_manifest(appended, read_config(base), layers, layer, writer)


def _add_manifest(
    appended: AppendedLayer, base: ImageConfig, layers: list[Descriptor], layer: Layer, writer: LayoutWriter
) -> Descriptor:
    manifest: ImageManifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": writer.add_json(_extend_config(base, appended, layer), CONFIG_TYPE),
        "layers": [*layers, layer.descriptor],
    }
    if appended.holds_data:
        manifest["annotations"] = appended.labels
    return writer.add_json(manifest, MANIFEST_TYPE)


def _extend_config(base: ImageConfig, appended: AppendedLayer, layer: Layer) -> ImageConfig:
    """Return the base's configuration with the layer and the labels (OCI Image Specification, "Properties").

    The history, which is optional, would be shipped with every model: the labels name the base.
    """
    run = base.get("config") or {}
    if appended.holds_data:
        run = {key: value for key, value in run.items() if key not in _STARTED}
    kept = {key: value for key, value in base.items() if key != "history"}
    return kept | {
        "created": appended.created,
        "config": run | {"Labels": (run.get("Labels") or {}) | appended.labels},
        "rootfs": {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], layer.diff_id]},
    }


def _convert_to_oci(layer: Descriptor) -> Descriptor:
    return {**layer, "mediaType": GZIP_LAYER_TYPE} if layer["mediaType"] == DOCKER_LAYER_TYPE else layer


def _add_layer(appended: AppendedLayer, writer: LayoutWriter) -> Layer:
    tar, compressed = appended.tar, writer.folder / "layer"
    with tar.open("rb") as source:
        if appended.holds_data:
            compress_with_gzip(source, compressed)
        else:
            compress(source, compressed, tar.stat().st_size, SMALLEST)
    media_type = GZIP_LAYER_TYPE if appended.holds_data else ZSTD_LAYER_TYPE
    return Layer(f"sha256:{sha256_file(tar)}", writer.move_in(compressed, media_type))
