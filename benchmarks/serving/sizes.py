"""The size of the image layer by layer, and what a site pulls when only the model has changed."""

from dataclasses import dataclass
from pathlib import Path

import zstandard

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.images.oci.layout import blob_path
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.registry import read_manifest
from kfp_edge.images.serving.model_bases import fetch_serving_image
from kfp_edge.ml.bundle import Bundle

_LAYERS = ("base", "Python dependencies", "compiled modules", "server")


@dataclass(frozen=True)
class Sizes:
    """All in bytes, compressed."""

    layers: dict[str, int]
    model_layer: int
    #: The configuration and the manifest, which change with every layer.
    documents: int
    #: The same bundle in one stream of zstd at its best level, without an archive around it.
    bundle: int

    @property
    def image(self) -> int:
        """A pull of the image without a model."""
        return sum(self.layers.values())

    @property
    def update(self) -> int:
        """What a site pulls that has the image with another model."""
        return self.model_layer + self.documents


def weigh(bundle: Path, scratch: Path) -> Sizes:
    """Build the image of a bundle as the pipelines do, and read the sizes of its parts.

    Raises:
        KfpEdgeError: the image cannot be built.
    """
    layers = [layer["size"] for layer in read_manifest(fetch_serving_image().image)["layers"]]
    names = _LAYERS if len(layers) == len(_LAYERS) else tuple(f"layer {n}" for n in range(1, len(layers) + 1))
    image = containerize(bundle, f"oci:{scratch}")
    manifest = read_manifest(image)
    return Sizes(
        layers=dict(zip(names, layers, strict=True)),
        model_layer=manifest["layers"][-1]["size"],
        documents=manifest["config"]["size"] + _manifest_size(image),
        bundle=_compressed(Bundle.load(bundle)),
    )


def _manifest_size(image: ImageRef) -> int:
    return blob_path(Path(image.repository), image.digest).stat().st_size


def _compressed(bundle: Bundle) -> int:
    contents = b"".join((bundle.folder / name).read_bytes() for name in bundle.files)
    return len(zstandard.compress(contents, level=19))
