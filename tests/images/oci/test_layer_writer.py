"""Layers of folders: the same bytes for the same content, and compressed once."""

import os
import random
from pathlib import Path

import pytest

from kfp_edge.images.oci import compression
from kfp_edge.images.oci.layer_writer import Layer, LayerWriter, remove_unused_layers
from kfp_edge.images.oci.layout import LayoutWriter, blob_path


def tree(folder: Path, mode: int, time: int) -> Path:
    """A folder with a program, a text and a link."""
    (folder / "bin").mkdir(parents=True)
    for name, bits in {"bin/program": mode | 0o100, "text": mode}.items():
        (folder / name).write_text(name)
        (folder / name).chmod(bits)
        os.utime(folder / name, (time, time))
    (folder / "link").symlink_to("text")
    folder.chmod(0o700)
    return folder


def add_layer(output: Path, folder: Path) -> Layer:
    return LayerWriter(LayoutWriter(output), level=3).add_trees((folder, "/opt/x"))


def test_a_layer_does_not_depend_on_the_times_and_the_umask_of_its_files(tmp_path: Path) -> None:
    first = add_layer(tmp_path / "a", tree(tmp_path / "first", 0o600, 1))
    second = add_layer(tmp_path / "b", tree(tmp_path / "second", 0o644, 1_000_000_000))
    assert first == second


def test_a_layer_does_not_depend_on_how_many_processors_compressed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    # more than one thread's share of zstd's work
    (folder / "file").write_bytes(random.Random(1).randbytes(1 << 20) * 24)
    layers = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(compression, "_THREADS", threads)
        layers.append(add_layer(tmp_path / str(threads), folder))
    assert layers[0] == layers[1] == layers[2]


def test_a_layer_compressed_before_is_used_again_until_no_image_has_it(tmp_path: Path) -> None:
    folder = tree(tmp_path / "folder", 0o644, 1)
    cache = tmp_path / "cache"
    blobs = []
    for name in ("first", "second"):
        layer = LayerWriter(LayoutWriter(tmp_path / name), level=3, cache=cache).add_trees((folder, "/opt/x"))
        blobs.append(blob_path(tmp_path / name, layer.descriptor["digest"]))
    assert blobs[0].samefile(blobs[1])
    remove_unused_layers(cache)
    assert len(list(cache.iterdir())) == 1
    for blob in blobs:
        blob.unlink()
    remove_unused_layers(cache)
    assert list(cache.iterdir()) == []
