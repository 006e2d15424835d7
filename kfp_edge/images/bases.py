"""What an image is built on: a root filesystem, or an image whose layers stay as they are."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from kfp_edge.images.oci.documents import Descriptor, ImageConfig, ImageManifest
from kfp_edge.images.oci.image_files import read_files
from kfp_edge.images.oci.layer_writer import Layer, LayerWriter
from kfp_edge.images.oci.layout import LayoutWriter, blob_path, list_tagged_images, read_blob_json
from kfp_edge.images.oci.media_types import TAR_LAYER_TYPE
from kfp_edge.images.platforms import Platform
from kfp_edge.images.tools.buildah import Buildah
from kfp_edge.images.tools.command import run_tool

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class DebianBase:
    """A root filesystem in a folder."""

    rootfs: Path

    def get_configuration(self) -> ImageConfig:
        """Return an OCI image configuration to build on."""
        return {"config": {"Env": [_PATH]}, "history": []}

    def add_layers(self, layout: LayoutWriter, layers: LayerWriter) -> list[Layer]:
        """Add the base's layers to a layout and return them."""
        return [layers.add_trees((self.rootfs, ""))]

    def start(self, buildah: Buildah) -> str:
        """Return a container in which the base's Python runs."""
        return buildah.start_from_tree(self.rootfs)

    def copy(self, buildah: Buildah, folder: str, container: str, target: str) -> None:
        """Copy a folder of the base, which need not be for this processor, into a container."""
        buildah("copy", "--quiet", container, self.rootfs / folder.lstrip("/"), target)


@dataclass(frozen=True)
class ImageBase:
    """An image in a layout folder; its layers go into ours as they are."""

    layout: Path

    @property
    def _manifest(self) -> ImageManifest:
        manifest: ImageManifest = read_blob_json(self.layout, list_tagged_images(self.layout)[0]["digest"])
        return manifest

    def get_configuration(self) -> ImageConfig:
        """Return an OCI image configuration to build on."""
        config: ImageConfig = read_blob_json(self.layout, self._manifest["config"]["digest"])
        return config

    def read_files(self, paths: Collection[str]) -> dict[str, bytes]:
        """Return the content of those files that the image has, by their path without the first slash.

        What is there but is no file, such as a link, has no bytes.
        """
        return read_files(self.layout, self._manifest["layers"], paths)

    def add_layers(self, layout: LayoutWriter, layers: LayerWriter) -> list[Layer]:
        """Add the base's layers to a layout and return them."""
        diff_ids = self.get_configuration()["rootfs"]["diff_ids"]
        return [
            self._add_layer(layout, layers, descriptor, diff_id)
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

    def _add_layer(self, layout: LayoutWriter, layers: LayerWriter, descriptor: Descriptor, diff_id: str) -> Layer:
        if descriptor["mediaType"] == TAR_LAYER_TYPE:
            with blob_path(self.layout, descriptor["digest"]).open("rb") as tar:
                return layers.add_tar(tar)
        layout.add_blob_of(self.layout, descriptor["digest"])
        return Layer(diff_id, descriptor)


Base = DebianBase | ImageBase


def fetch_base(image: str, platform: Platform, folder: Path) -> ImageBase:
    """Return a base that is an image as skopeo names it: `docker://HOST/REPO:TAG`, `oci:FOLDER:TAG` and so on.

    Raises:
        ImageError: it cannot be fetched, or there is none for the platform.
    """
    flags = ["--quiet", "--format=oci", "--remove-signatures"]
    variant = [f"--override-variant={platform.variant}"] if platform.variant else []
    choice = ["--override-os=linux", f"--override-arch={platform.architecture}", *variant]
    run_tool("skopeo copy", ["skopeo", *choice, "copy", *flags, image, f"oci:{folder}"])
    return ImageBase(folder)
