"""Layers made of folders: written as tar, compressed once, and kept for the next image."""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path

from kfp_edge.images.oci.compression import ZSTD_VERSION, compress_in_threads
from kfp_edge.images.oci.deterministic_tar import write_trees
from kfp_edge.images.oci.documents import Descriptor
from kfp_edge.images.oci.layout import LayoutWriter, link_or_copy
from kfp_edge.images.oci.media_types import ZSTD_LAYER_TYPE


@dataclass(frozen=True)
class Layer:
    """One layer: the digest of its plain tar, and the descriptor of the blob that holds it."""

    diff_id: str
    descriptor: Descriptor


class LayerWriter:
    """Adds layers to a layout."""

    def __init__(self, layout: LayoutWriter, level: int, cache: Path | None = None) -> None:
        """Remember where layers go.

        Args:
            layout: Where they are added.
            level: How hard zstd tries, 1 to 19.
            cache: Folder of layers compressed before; None compresses each again.
        """
        self._layout = layout
        self._level = level
        self._cache = cache

    def add_trees(self, *trees: tuple[Path, str]) -> Layer:
        """Add a layer of folders and the paths in the image where their contents lie."""
        with tempfile.TemporaryFile(dir=self._layout.folder) as tar:
            write_trees(trees, tar)
            return self.add_tar(tar)

    def add_tar(self, tar: BufferedRandom | BufferedReader) -> Layer:
        """Add a layer from a seekable stream of its plain tar."""
        tar.seek(0)
        diff_id = hashlib.file_digest(tar, "sha256").hexdigest()
        size = tar.tell()
        tar.seek(0)
        compressed = self._compress(tar, size, diff_id)
        return Layer(f"sha256:{diff_id}", self._layout.move_in(compressed, ZSTD_LAYER_TYPE))

    def _compress(self, tar: BufferedRandom | BufferedReader, size: int, diff_id: str) -> Path:
        """Return a file of the compressed layer, from the cache or made now, that may be renamed."""
        file = self._layout.folder / "layer"
        if self._cache is None:
            compress_in_threads(tar, file, size, self._level)
            return file
        self._cache.mkdir(parents=True, exist_ok=True)
        cached = self._cache / f"{diff_id}-{self._level}-{ZSTD_VERSION}.zst"
        if not cached.is_file():
            compress_in_threads(tar, file, size, self._level)
            shutil.move(file, cached)
        link_or_copy(cached, file)
        return file


def remove_unused_layers(cache: Path) -> None:
    """Remove the compressed layers that are in no image any more: they have no second name."""
    for layer in cache.iterdir():
        if layer.stat().st_nlink == 1:
            layer.unlink()
