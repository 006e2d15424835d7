"""Other bases: any image with Python, and the containerfile for UBI 9."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kfp_edge.errors import ImageError
from kfp_edge.images.cache import cache_folder
from kfp_edge.images.oci.layer_writer import LayerWriter
from kfp_edge.images.oci.layout import LayoutWriter, write_index
from kfp_edge.images.oci.media_types import CONFIG_TYPE, MANIFEST_TYPE
from kfp_edge.images.platforms import native_platform
from kfp_edge.images.serving import build_serving_image, input_key
from kfp_edge.images.serving.bases import UBI9_CONTAINERFILE
from kfp_edge.images.serving.debian_base import assemble_rootfs
from kfp_edge.images.tools.apt import apt_for
from serving_support.bundles import mixed_bundle
from support.serving_images import config, container, entries, manifest, serving_image, stored

# Stands in for dnf, which has no packages to install here: it copies Python from a folder of the stand-in image.
_FAKE_DNF = """#!/bin/sh
[ "$1" = install ] || exit 0
cp -a /python/. "$3"
"""


@pytest.mark.containers
def test_any_image_with_python_can_be_the_base_and_its_layers_stay_as_they_are(tmp_path: Path) -> None:
    base = serving_image()[0]
    build_serving_image(tmp_path / "layout", f"oci:{base}:serving", level=1)
    digests = [layer["digest"] for layer in manifest(tmp_path / "layout")["layers"]]
    below = [layer["digest"] for layer in manifest(base)["layers"]]
    assert digests[: len(below)] == below
    assert len(digests) == len(below) + 3


@pytest.mark.containers
def test_a_base_that_cannot_be_fetched_is_an_error_of_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"^`skopeo copy` failed: .*no such file") as error:
        build_serving_image(tmp_path / "layout", f"oci:{tmp_path}/nothing:here")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.containers
def test_another_base_is_another_image() -> None:
    assert input_key(cache_folder(), "docker://registry.example/python:3.12") != input_key(cache_folder(), "ubi9")


@pytest.mark.containers
def test_the_ubi_containerfile_gives_a_base_without_a_shell_on_which_the_server_runs(tmp_path: Path) -> None:
    """With stand-ins for the UBI images and a fake dnf: what dnf really installs is not tested here."""
    version = _stand_ins(tmp_path)
    arguments = {name: f"oci:{tmp_path}/{name.lower()}:latest" for name in ("UBI", "MICRO")} | {"PYTHON": version}
    build_serving_image(tmp_path / "layout", "ubi9", arguments=arguments, level=1)
    names = {entry.name for entry in entries(tmp_path / "layout")}
    assert "etc/os-release-of-micro" in names
    assert not [name for name in names if re.search(r"bin/(?!python)[^/]+$", name)]
    assert config(tmp_path / "layout")["config"]["Entrypoint"] == ["python3", "-m", "kfp_edge_serving"]
    mixed_bundle(tmp_path / "models")
    tmp_path.chmod(0o755)
    with stored(tmp_path / "layout") as image, container(image, tmp_path / "models") as running:
        running.wait_until_healthy()


def test_the_ubi_containerfile_takes_its_images_from_a_mirror_when_told() -> None:
    containerfile = UBI9_CONTAINERFILE.read_text()
    assert re.findall(r"^ARG (UBI|MICRO)=registry\.access\.redhat\.com/ubi9/", containerfile, re.MULTILINE) == [
        "UBI",
        "MICRO",
    ]
    assert re.findall(r"^FROM (\S+)", containerfile, re.MULTILINE) == ["${MICRO}", "${UBI}", "scratch"]


def _stand_ins(folder: Path) -> str:
    """Make stand-ins of the two UBI images from this host's files and return the version of their Python."""
    micro, ubi = folder / "micro-files", folder / "ubi-files"
    (micro / "usr/bin").mkdir(parents=True)
    (micro / "usr/bin/bash").write_text("a shell that has to go")
    (micro / "etc").mkdir()
    (micro / "etc/os-release-of-micro").touch()
    assemble_rootfs(apt_for(native_platform(), folder / "apt"), ubi / "python", folder / "packages")
    for name in ("sh", "cp", "ln", "find", "rm", "mkdir", "chmod"):
        _copy_program(name, ubi)
    (ubi / "bin/dnf").write_text(_FAKE_DNF)
    (ubi / "bin/dnf").chmod(0o755)
    for name, files in {"micro": micro, "ubi": ubi}.items():
        _make_image(files, folder / name)
    return (ubi / "python/usr/bin/python3").readlink().name.removeprefix("python")


def _copy_program(name: str, root: Path) -> None:
    """Copy a program of this host and the libraries that it loads."""
    program = shutil.which(name, path="/usr/bin:/bin")
    assert program is not None
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for source in re.findall(r"(/\S+) \(0x", listed):
        target = root / source.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy(program, root / "bin" / name)


def _make_image(files: Path, output: Path) -> None:
    layout = LayoutWriter(output)
    layer = LayerWriter(layout, level=1).add_trees((files, ""))
    settings = {**native_platform().fields, "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}}
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": layout.add_json(settings, CONFIG_TYPE),
        "layers": [layer.descriptor],
    }
    write_index(output, layout.add_json(document, MANIFEST_TYPE), "latest")
