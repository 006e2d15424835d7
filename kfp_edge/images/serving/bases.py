"""What the serving image is built on: an interpreter and its libraries, for each platform."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from kfp_edge.images.bases import DebianBase, ImageBase
from kfp_edge.images.platforms import Platform
from kfp_edge.images.serving.debian_base import assemble_rootfs
from kfp_edge.images.tools.apt import apt_for
from kfp_edge.images.tools.buildah import Buildah

UBI9_CONTAINERFILE = Path(__file__).with_name("ubi9.Containerfile")


def assemble_debian_base(platform: Platform, folder: Path, lists: Path) -> DebianBase:
    """Return a base of distribution packages, in a new folder.

    Args:
        platform: The processor it is for.
        folder: A folder that does not exist yet.
        lists: Folder for apt's package lists of another platform than this host's.

    Raises:
        ImageError: this host has no apt, or a package cannot be fetched.
    """
    folder.mkdir()
    assemble_rootfs(apt_for(platform, lists), folder / "rootfs", folder / "packages")
    return DebianBase(folder / "rootfs")


def build_ubi9_base(platform: Platform, folder: Path, buildah: Buildah, arguments: Mapping[str, str]) -> ImageBase:
    """Return a base that our Containerfile of UBI 9 makes; for another processor than this host's, it needs emulation.

    Raises:
        ImageError: the build fails.
    """
    name = f"localhost/{folder.name}:latest"
    choice = ["--os=linux", f"--arch={platform.architecture}"]
    with tempfile.TemporaryDirectory(dir=folder.parent) as context:
        buildah.build(Path(context), UBI9_CONTAINERFILE, name, arguments, flags=choice)
    buildah.save(name, str(folder))
    return ImageBase(folder)
