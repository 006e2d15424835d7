"""The build context: the Containerfile and the bundle, in an archive that is the same for the same bundle."""

import gzip
from pathlib import Path

from kfp_edge.components.containerize.image_spec import ImageSpec
from kfp_edge.components.containerize.local import CONTAINERFILE
from kfp_edge.images.deterministic_tar import write_tar


def write_context(recipe: ImageSpec, archive: Path) -> None:
    """Write the context of a recipe as tar.gz; what differs between builds of a bundle are flags, not the context."""
    files = {"Containerfile": CONTAINERFILE} | {f"bundle/{name}": file for name, file in recipe.files.items()}
    with archive.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
        write_tar(files, stream, recipe.epoch)
