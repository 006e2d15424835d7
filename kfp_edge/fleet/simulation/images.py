"""The images of a simulation's releases, and the registry that sites pull them from."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar

from kfp_edge.fleet.promotion.image_facts import VERSION_LABEL
from kfp_edge.fleet.simulation.http_server import Handler, serving
from kfp_edge.fleet.simulation.models import MODEL, VERSIONS, Version, write_model_bundle
from kfp_edge.images.layers import AppendedLayer, append_layer
from kfp_edge.images.oci.deterministic_tar import write_files
from kfp_edge.images.oci.labels import BUNDLE_LABEL, MODEL_LABEL
from kfp_edge.images.oci.layout import LayoutWriter, blob_path, write_index
from kfp_edge.images.oci.media_types import CONFIG_TYPE, MANIFEST_TYPE
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.images.platforms import native_platform
from kfp_edge.images.registry import copy_image

_CREATED = "1970-01-01T00:00:00Z"
_REPOSITORY = f"plant/{MODEL}"
_PREFIX = f"/v2/{_REPOSITORY}/"


@dataclass(frozen=True)
class Registry:
    """The registry of a simulation: a folder of image layouts, which a server offers to the sites.

    Attributes:
        folder: The layouts, by the names of models.
        address: HOST:PORT of the server.
        digests: The image of each version of the model.
    """

    folder: Path
    address: str
    digests: Mapping[str, str]

    @property
    def url(self) -> str:
        """The address for `fleet promote --registry`, which reads the folder."""
        return f"oci:{self.folder}"

    @property
    def image_name(self) -> str:
        """The name of the images for sites, without a digest."""
        return f"{self.address}/{_REPOSITORY}"

    def version_of(self, digest: str) -> Version | None:
        """Return the version of an image; None if it is none of this registry."""
        return next((version for version in VERSIONS if self.digests[version.name] == digest), None)

    def name_of(self, digest: str) -> str:
        """Return what people call an image: its version."""
        version = self.version_of(digest)
        return version.name if version else "another image"


def build_images(folder: Path, base: ImageRef | None) -> dict[str, str]:
    """Build the image of each version into a folder of layouts, and return their digests.

    Args:
        folder: The folder.
        base: The serving image; without one, the images hold the bundle only, and cannot be started.

    Raises:
        KfpEdgeError: an image cannot be written.
    """
    home = ImageRepository("oci", str(folder / MODEL))
    digests = {}
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".images-") as name:
        scratch = Path(name)
        below = base or _empty_image(scratch / "base")
        for version in VERSIONS:
            bundle = write_model_bundle(scratch / version.name / "bundle", version)
            files = {f"models/{MODEL}/{version.name}/{each}": bundle.folder / each for each in bundle.files}
            layer = scratch / version.name / "layer.tar"
            with layer.open("wb") as stream:
                write_files(files, stream, 0)
            labels = {
                VERSION_LABEL: version.name,
                MODEL_LABEL: bundle.manifest.files["model.onnx"].sha256,
                BUNDLE_LABEL: bundle.digest,
            }
            image = append_layer(AppendedLayer(layer, _CREATED, labels), below, scratch / version.name / "image")
            digests[version.name] = copy_image(image, home, version.name).digest
    return digests


@contextmanager
def serve_images(layouts: Path) -> Iterator[str]:
    """Offer the images of a folder for pulls on a free port while the block runs; yield HOST:PORT.

    Images are read as the OCI Distribution Specification says, by digest only; nothing can be pushed.
    """

    class Images(_Images):
        layout = layouts / MODEL

    with serving(Images) as address:
        yield address


class _Images(Handler):
    layout: ClassVar[Path]

    def do_GET(self) -> None:
        kind, _, digest = self.path.removeprefix(_PREFIX).partition("/")
        if self.path == "/v2/":
            self.answer(HTTPStatus.OK, b"{}", "application/json")
            return
        blob = blob_path(self.layout, digest)
        is_known = self.path.startswith(_PREFIX) and kind in ("manifests", "blobs")
        if not is_known or not digest.startswith("sha256:") or "/" in digest or not blob.is_file():
            self.answer(HTTPStatus.NOT_FOUND, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}', "application/json")
            return
        data = blob.read_bytes()
        content_type = str(json.loads(data)["mediaType"]) if kind == "manifests" else "application/octet-stream"
        self.answer(HTTPStatus.OK, data, content_type)

    do_HEAD = do_GET


def _empty_image(layout: Path) -> ImageRef:
    writer = LayoutWriter(layout)
    config = {**native_platform().fields, "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": writer.add_json(config, CONFIG_TYPE),
        "layers": [],
    }
    descriptor = writer.add_json(manifest, MANIFEST_TYPE)
    write_index(layout, descriptor)
    return ImageRef("oci", str(layout), descriptor["digest"])
