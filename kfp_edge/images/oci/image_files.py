"""Reading files of an image from its layers, without unpacking it."""

import tarfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import zstandard

from kfp_edge.images.oci.documents import Descriptor
from kfp_edge.images.oci.layout import blob_path

#: What hides files of the layers below (OCI Image Specification, "Whiteouts").
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


def read_files(layout: Path, layers: Sequence[Descriptor], paths: Collection[str]) -> dict[str, bytes]:
    """Return the content of those files that an image has, by their path without the first slash.

    Links are not followed: what is there but is no file, such as a link, has no bytes.

    Args:
        layout: The layout folder that holds the layers.
        layers: The layers of the image, the lowest first.
        paths: The files.
    """
    contents: dict[str, bytes] = {}
    wanted = set(paths)
    for layer in reversed(layers):
        if not wanted:
            break
        added, names = _read_layer(layout, layer, wanted)
        contents |= added
        wanted = {path for path in wanted - added.keys() if not names & _whiteouts(path)}
    return contents


def _read_layer(layout: Path, layer: Descriptor, wanted: Collection[str]) -> tuple[dict[str, bytes], set[str]]:
    """Return the content of the wanted files in a layer, and the names of all whiteouts in it."""
    contents: dict[str, bytes] = {}
    whiteouts: set[str] = set()
    with _open_layer(layout, layer) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if PurePosixPath(name).name.startswith(_WHITEOUT):
                whiteouts.add(name)
            elif name in wanted:
                stream = archive.extractfile(member) if member.isreg() else None
                contents[name] = stream.read() if stream is not None else b""
    return contents, whiteouts


def _whiteouts(path: str) -> set[str]:
    """Return the names of all whiteouts that hide a file of the layers below: its own, and those of its folders."""
    above = [PurePosixPath(path), *PurePosixPath(path).parents][:-1]
    return {str(part.parent / name) for part in above for name in (f"{_WHITEOUT}{part.name}", _OPAQUE)}


@contextmanager
def _open_layer(layout: Path, layer: Descriptor) -> Iterator[tarfile.TarFile]:
    with blob_path(layout, layer["digest"]).open("rb") as blob:
        if layer["mediaType"].endswith("zstd"):
            with (
                zstandard.ZstdDecompressor().stream_reader(blob) as plain,
                tarfile.open(fileobj=plain, mode="r|") as archive,
            ):
                yield archive
        else:
            with tarfile.open(fileobj=blob, mode="r|*") as archive:
                yield archive
