"""Images of several versions of a model, which differ in their last layer."""

from pathlib import Path
from typing import NamedTuple

from kfp_edge.images.oci.labels import MODEL_LABEL
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.registry import copy_image
from support.images import layered_image

SERVER_LAYER = b"server" * 1000


class ModelImages(NamedTuple):
    """A registry, and the digests of the versions of a model in it."""

    registry: str
    digests: list[str]

    @property
    def old(self) -> str:
        """The digest of the first version."""
        return self.digests[0]

    @property
    def new(self) -> str:
        """The digest of the last version."""
        return self.digests[-1]


def model_layer(version: str) -> bytes:
    """Return what only the image of this version has."""
    return version.encode() * 100


def write_model_images(folder: Path, *versions: str, model: str = "pump", registry: str = "") -> ModelImages:
    """Write images of a model into a registry, by default one in the folder."""
    registry = registry or f"oci:{folder}/registry"
    digests = []
    for version in versions:
        labels = {"org.opencontainers.image.version": version, MODEL_LABEL: version[2] * 64}
        image = layered_image(folder / version, [SERVER_LAYER, model_layer(version)], labels)
        digests.append(copy_image(image, ImageRepository.parse(f"{registry}/{model}"), version).digest)
    return ModelImages(registry, digests)
