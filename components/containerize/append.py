"""The build without Buildah: Python writes the layer, with the bytes that Buildah gives it, and needs no privileges."""

import tempfile
import time
from pathlib import Path

from kfp_edge.components.containerize.image_spec import ImageSpec
from kfp_edge.images.layers import AppendedLayer, append_layer, create_image
from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.deterministic_tar import write_files
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.images.platforms import PLATFORMS
from kfp_edge.images.registry import copy_image, pull_size, read_manifest, select_platform


def build_by_appending(spec: ImageSpec, destination: ImageRepository) -> ImageRef:
    """Append the model's layer to its base, whose blobs stay as they are, and push what the registry lacks.

    Returns:
        The image as the registry reports it.

    Raises:
        KfpEdgeError: the base is for no platform of Linux, or the registry refuses.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kfp-edge-") as name:
        scratch = Path(name)
        holds_data = spec.format == ModelFormat.MODELCAR
        layer = AppendedLayer(_write_layer(spec, scratch), spec.created, spec.labels, holds_data)
        if spec.base is None:
            image = create_image(layer, [platform.fields for platform in PLATFORMS], scratch / "image")
            base = "nothing"
        else:
            image = append_layer(layer, spec.base.image, scratch / "image")
            base = f"{spec.base.name}@{spec.base.image.digest}"
        print(f"built {image.digest} on {base} in {time.perf_counter() - start:.2f} s")
        pushed = copy_image(image, destination, spec.tag)
        model_size = read_manifest(select_platform(image))["layers"][-1]["size"]
        print(f"pushed {pushed}: {pull_size(image):,} bytes, the model's layer {model_size:,}", flush=True)
    return pushed


def _write_layer(spec: ImageSpec, scratch: Path) -> Path:
    """Write the layer as a plain tar into a folder; it is what Buildah makes of our Containerfile."""
    layer = scratch / "layer.tar"
    with layer.open("wb") as stream:
        write_files({f"{spec.folder}/{name}": file for name, file in spec.files.items()}, stream, spec.epoch)
    return layer
