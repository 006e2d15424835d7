"""Files of an image are read from its layers as a container would see them."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from kfp_edge.images.bases import ImageBase
from kfp_edge.images.oci.compression import FAST
from kfp_edge.images.oci.image_files import read_files
from kfp_edge.images.oci.layer_writer import LayerWriter
from kfp_edge.images.oci.layout import LayoutWriter
from kfp_edge.images.oci.media_types import TAR_LAYER_TYPE
from support.images import image_of_files

FILE = "app/list.json"


def read(folder: Path, *layers: Mapping[str, bytes], path: str = FILE) -> dict[str, bytes]:
    image_of_files(folder / "layout", *layers)
    return ImageBase(folder / "layout").read_files([path])


def test_the_highest_layer_that_has_a_file_gives_it(tmp_path: Path) -> None:
    assert read(tmp_path, {FILE: b"old"}, {FILE: b"new"}, {"app/other": b"x"}) == {FILE: b"new"}


def test_a_file_that_no_layer_has_is_not_there(tmp_path: Path) -> None:
    assert read(tmp_path, {"app/other": b"x"}) == {}


def test_a_leading_dot_in_a_name_does_not_matter(tmp_path: Path) -> None:
    assert read(tmp_path, {f"./{FILE}": b"content"}) == {FILE: b"content"}


@pytest.mark.parametrize("whiteout", ["app/.wh.list.json", "app/.wh..wh..opq", ".wh.app", ".wh..wh..opq"])
def test_a_file_that_a_higher_layer_has_removed_is_not_there(tmp_path: Path, whiteout: str) -> None:
    assert read(tmp_path, {FILE: b"old"}, {whiteout: b""}) == {}


@pytest.mark.parametrize("whiteout", ["app/.wh.other", "other/.wh..wh..opq", ".wh.ap"])
def test_what_a_higher_layer_has_removed_beside_it_does_not_matter(tmp_path: Path, whiteout: str) -> None:
    assert read(tmp_path, {FILE: b"old"}, {whiteout: b""}) == {FILE: b"old"}


def test_a_whiteout_does_not_hide_what_its_own_layer_has(tmp_path: Path) -> None:
    assert read(tmp_path, {FILE: b"old"}, {"app/.wh..wh..opq": b"", FILE: b"new"}) == {FILE: b"new"}


def test_a_link_is_there_without_content(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    (tmp_path / "files").mkdir()
    (tmp_path / "files/sh").symlink_to("bash")
    layer = LayerWriter(layout, FAST).add_trees((tmp_path / "files", "usr/bin"))
    assert read_files(layout.folder, [layer.descriptor], ["usr/bin/sh"]) == {"usr/bin/sh": b""}


def test_a_layer_may_be_a_plain_tar(tmp_path: Path) -> None:
    layout = LayoutWriter(tmp_path / "layout")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        member = tarfile.TarInfo(FILE)
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    (tmp_path / "tar").write_bytes(plain.getvalue())
    layer = layout.move_in(tmp_path / "tar", TAR_LAYER_TYPE)
    assert read_files(layout.folder, [layer], [FILE]) == {FILE: b"abc"}
