"""Layers and package lists, without building an image."""

import os
import random
from pathlib import Path

import pytest

from kfp_edge.images import layout
from kfp_edge.images.apt import sources
from kfp_edge.images.layout import Layer, Layout
from kfp_edge.images.serving import ImageError
from kfp_edge.images.serving.cache import _prune

_DEBIAN = "Debian http://mirror.example/debian/ bookworm main\n"
_UBUNTU = "Ubuntu http://mirror.example/ubuntu/ noble main\nUbuntu http://mirror.example/ubuntu/ noble universe\n"


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


def added(output: Path, folder: Path) -> Layer:
    return Layout(output, level=3).add_tree((folder, "/opt/x"))


def test_a_layer_does_not_depend_on_the_times_and_the_umask_of_its_files(tmp_path: Path) -> None:
    first = added(tmp_path / "a", tree(tmp_path / "first", 0o600, 1))
    second = added(tmp_path / "b", tree(tmp_path / "second", 0o644, 1_000_000_000))
    assert first == second


def test_a_layer_does_not_depend_on_how_many_processors_compressed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    # more than one thread's share of zstd's work
    (folder / "file").write_bytes(random.Random(1).randbytes(1 << 20) * 24)
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(layout, "_THREADS", threads)
        found.append(added(tmp_path / str(threads), folder))
    assert found[0] == found[1] == found[2]


def test_a_layer_compressed_before_is_used_again_until_no_image_has_it(tmp_path: Path) -> None:
    folder = tree(tmp_path / "folder", 0o644, 1)
    kept = tmp_path / "kept"
    blobs = []
    for name in ("first", "second"):
        layer = Layout(tmp_path / name, level=3, kept=kept).add_tree((folder, "/opt/x"))
        blobs.append(layout.blob(tmp_path / name, layer.descriptor["digest"]))
    assert blobs[0].samefile(blobs[1])
    _prune(kept)
    assert len(list(kept.iterdir())) == 1
    for blob in blobs:
        blob.unlink()
    _prune(kept)
    assert list(kept.iterdir()) == []


def test_packages_for_another_processor_come_from_the_same_mirror_under_debian() -> None:
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert sources(_DEBIAN) == f"deb [signed-by={keyring}] http://mirror.example/debian/ bookworm main\n"


def test_another_distribution_than_debian_is_told_to_build_on_such_a_processor() -> None:
    with pytest.raises(ImageError, match="only Debian's apt has packages for another processor"):
        sources(_UBUNTU)


def test_sources_that_are_not_the_distributions_own_are_left_out() -> None:
    assert "third" not in sources(_DEBIAN + "Third http://third.example/ stable main\n")
