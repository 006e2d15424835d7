"""What the image is built on: an interpreter and its libraries, for each platform."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kfp_edge.images import debian_rootfs
from kfp_edge.images.apt import apt_for
from kfp_edge.images.buildah import Buildah
from kfp_edge.images.command import run
from kfp_edge.images.layout import PLAIN_LAYER_TYPE, Json, Layer, Layout, blob, read_json, tagged
from kfp_edge.images.platforms import Platform

#: The base that is made by a recipe of ours.
UBI9 = "ubi9"
RECIPE = Path(__file__).with_name("ubi9.Containerfile")

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class DebianBase:
    """A root filesystem in a folder."""

    rootfs: Path

    def configuration(self) -> Json:
        """Return an OCI image configuration to build on."""
        return {"config": {"Env": [_PATH]}, "history": []}

    def add_layers(self, layout: Layout) -> list[Layer]:
        """Add the base's layers to a layout and return them."""
        return [layout.add_tree((self.rootfs, ""))]

    def start(self, buildah: Buildah) -> str:
        """Return a container in which the base's Python runs."""
        container = buildah("from", "--quiet", "scratch")
        buildah("copy", "--quiet", "--chown=0:0", container, self.rootfs, "/")
        return container

    def copy(self, buildah: Buildah, folder: str, container: str, target: str) -> None:
        """Copy a folder of the base, which need not be for this processor, into a container."""
        buildah("copy", "--quiet", container, self.rootfs / folder.lstrip("/"), target)


@dataclass(frozen=True)
class ImageBase:
    """An image in a layout folder; its layers go into ours as they are."""

    layout: Path

    @property
    def _manifest(self) -> Json:
        return read_json(self.layout, tagged(self.layout)["digest"])

    def configuration(self) -> Json:
        """Return an OCI image configuration to build on."""
        return read_json(self.layout, self._manifest["config"]["digest"])

    def add_layers(self, layout: Layout) -> list[Layer]:
        """Add the base's layers to a layout and return them."""
        diff_ids = self.configuration()["rootfs"]["diff_ids"]
        return [
            self._add_layer(layout, descriptor, diff_id)
            for descriptor, diff_id in zip(self._manifest["layers"], diff_ids, strict=True)
        ]

    def start(self, buildah: Buildah) -> str:
        """Return a container in which the base's Python runs."""
        return buildah("from", "--quiet", "--pull-never", self._load(buildah))

    def copy(self, buildah: Buildah, folder: str, container: str, target: str) -> None:
        """Copy a folder of the base, which need not be for this processor, into a container."""
        buildah("copy", "--quiet", f"--from={self._load(buildah)}", container, folder, target)

    def _load(self, buildah: Buildah) -> str:
        name = f"localhost/{self.layout.name}:latest"
        buildah.load(self.layout, name)
        return name

    def _add_layer(self, layout: Layout, descriptor: Json, diff_id: str) -> Layer:
        file = blob(self.layout, descriptor["digest"])
        if descriptor["mediaType"] == PLAIN_LAYER_TYPE:
            with file.open("rb") as plain:
                return layout.add_tar(plain)
        layout.add_blob(file)
        return Layer(diff_id, descriptor)


Base = DebianBase | ImageBase


def assembled(platform: Platform, folder: Path, lists: Path) -> DebianBase:
    """Return a base of distribution packages, in a new folder.

    Args:
        lists: Folder for apt's package lists of another platform than this host's.

    Raises:
        ImageError: this host has no apt, or a package cannot be fetched.
    """
    folder.mkdir()
    debian_rootfs.assemble(apt_for(platform, lists), folder / "rootfs", folder / "packages")
    return DebianBase(folder / "rootfs")


def fetched(image: str, platform: Platform, folder: Path) -> ImageBase:
    """Return a base that is an image as skopeo names it: `docker://HOST/REPO:TAG`, `oci:FOLDER:TAG` and so on.

    Raises:
        ImageError: it cannot be fetched, or there is none for the platform.
    """
    flags = ["--quiet", "--format=oci", "--remove-signatures"]
    variant = [f"--override-variant={platform.variant}"] if platform.variant else []
    choice = ["--override-os=linux", f"--override-arch={platform.architecture}", *variant]
    run(["skopeo", *choice, "copy", *flags, image, f"oci:{folder}"], title="skopeo copy")
    return ImageBase(folder)


def ubi9(platform: Platform, folder: Path, buildah: Buildah, arguments: Mapping[str, str]) -> ImageBase:
    """Return a base that the UBI 9 recipe makes; for another processor than this host's, it needs emulation.

    Raises:
        ImageError: the recipe fails.
    """
    name = f"localhost/{folder.name}:latest"
    flags = ["--quiet", "--layers=false", "--isolation=chroot", "--timestamp=0", "--format=oci", f"--tag={name}"]
    flags += ["--os=linux", f"--arch={platform.architecture}"]
    flags += [f"--build-arg={key}={value}" for key, value in arguments.items()]
    with tempfile.TemporaryDirectory(dir=folder.parent) as context:
        buildah("build", *flags, f"--file={RECIPE}", context)
    buildah.save(name, folder)
    return ImageBase(folder)
