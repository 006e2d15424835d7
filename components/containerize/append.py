"""The model's layer without Buildah: no privileges, no storage, the same bytes."""

from pathlib import Path

from kfp_edge.components.containerize.image_spec import ImageSpec
from kfp_edge.images.deterministic_tar import write_tar


def write_layer(recipe: ImageSpec, scratch: Path) -> Path:
    """Write the layer as a plain tar into a folder; it is what Buildah makes of our Containerfile."""
    layer = scratch / "layer.tar"
    with layer.open("wb") as stream:
        write_tar({f"{recipe.folder}/{name}": file for name, file in recipe.files.items()}, stream, recipe.epoch)
    return layer
