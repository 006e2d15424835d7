"""The build context: the Containerfile and the bundle, in an archive that is the same for the same bundle."""

import gzip
from pathlib import Path
from typing import BinaryIO, cast

from kfp_edge.components.containerize.image_spec import ImageSpec
from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.deterministic_tar import write_files

CONTAINERFILES = {
    ModelFormat.IMAGE: Path(__file__).with_name("Containerfile"),
    ModelFormat.MODELCAR: Path(__file__).with_name("modelcar.Containerfile"),
}


def write_context(spec: ImageSpec, archive: Path) -> None:
    """Write the context of an image as tar.gz; what differs between builds of a bundle are flags, not the context."""
    files = {"Containerfile": CONTAINERFILES[spec.format]} | {
        f"bundle/{name}": file for name, file in spec.files.items()
    }
    with archive.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
        write_files(files, cast(BinaryIO, stream), spec.epoch)
