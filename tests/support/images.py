"""Images for tests: the real serving image, the same with another program in it, and images of a few bytes."""

import functools
import gzip
import io
import subprocess
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from kfp_edge.images.cache import cache_folder
from kfp_edge.images.oci.documents import Descriptor, ImageConfig
from kfp_edge.images.oci.labels import BUNDLE_LABEL
from kfp_edge.images.oci.layout import ONLY_TAG, LayoutWriter, blob_path, write_index
from kfp_edge.images.oci.media_types import CONFIG_TYPE, GZIP_LAYER_TYPE, INDEX_TYPE, MANIFEST_TYPE, TAR_LAYER_TYPE
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.images.platforms import native_platform
from kfp_edge.images.registry import copy_image, read_config, read_manifest
from kfp_edge.images.serving import ensure_serving_image
from kfp_edge.ml.bundle import Bundle
from kfp_edge.storage.files import sha256_bytes

#: The folder of this machine, also for a test that sets another home.
_CACHE = cache_folder()


@functools.cache
def serving_image() -> ImageRef:
    """The real serving image, built into the cache if it is not there."""
    layout, digest = ensure_serving_image(_CACHE)
    return ImageRef("oci", str(layout), digest)


@contextmanager
def serving_image_that(program: str) -> Iterator[ImageRef]:
    """The serving image with a Python program in place of its server."""
    original = serving_image()
    config = read_config(original)
    config["config"]["Entrypoint"] = ["python3", "-c", program]
    # no other test's image may have the same digest: each removes its own
    config["config"]["Labels"] = {"test": uuid.uuid4().hex}
    with tempfile.TemporaryDirectory() as name:
        layout = LayoutWriter(Path(name) / "serving")
        descriptor = _add_manifest(layout, config, _refer_to_layers(layout, original))
        yield _finish(layout, descriptor)


def tiny_base(layout: Path, *architectures: str) -> ImageRef:
    """A base of one file in a new layout; an index when it is for several processors, such as `arm64/v8`."""
    writer = LayoutWriter(layout)
    entries = [_add_tiny_image(writer, *architecture.split("/")) for architecture in architectures or ("amd64",)]
    if len(entries) == 1:
        return _finish(writer, entries[0])
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    return _finish(writer, writer.add_json(index, INDEX_TYPE))


def base_with_attestations(layout: Path, *architectures: str, has_platforms: bool = True) -> ImageRef:
    """An index as BuildKit writes it, with an attestation beside each image; the images may lack their platforms."""
    writer = LayoutWriter(layout)
    entries: list[Any] = []
    for architecture in architectures:
        image = _add_tiny_image(writer, *architecture.split("/"))
        if not has_platforms:
            del image["platform"]
        statement = _add_blob(writer, f'{{"subject": "{image["digest"]}"}}'.encode(), "application/vnd.in-toto+json")
        config: ImageConfig = {"architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers", "diff_ids": []}}
        attestation = _add_manifest(writer, config, [statement])
        about = {
            "vnd.docker.reference.digest": image["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        }
        unknown = {"platform": {"os": "unknown", "architecture": "unknown"}} if has_platforms else {}
        entries += [image, {**attestation, **unknown, "annotations": about}]
    index: Any = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    return _finish(writer, writer.add_json(index, INDEX_TYPE))


def image_of_files(layout: Path, *layers: Mapping[str, bytes], settings: ImageConfig | None = None) -> str:
    """The address of an image of files by their paths, the lowest layer first, in a new layout."""
    writer = LayoutWriter(layout)
    plain = [_tar_of(files) for files in layers]
    config = {
        "architecture": native_platform().architecture,
        "os": "linux",
        "config": settings or {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256_bytes(tar)}" for tar in plain]},
    }
    blobs = [_add_blob(writer, gzip.compress(tar, mtime=0), GZIP_LAYER_TYPE) for tar in plain]
    return f"oci:{_finish(writer, _add_manifest(writer, config, blobs)).repository}:{ONLY_TAG}"


def _tar_of(files: Mapping[str, bytes]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
    return plain.getvalue()


def empty_image(layout: Path, content: bytes = b"content", labels: dict[str, str] | None = None) -> ImageRef:
    """An image of one layer that nobody can run, in a new layout."""
    writer = LayoutWriter(layout)
    layer = _add_blob(writer, content, TAR_LAYER_TYPE)
    config: ImageConfig = {"rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
    if labels:
        config |= {"architecture": "amd64", "os": "linux", "config": {"Labels": labels}}
    return _finish(writer, _add_manifest(writer, config, [layer]))


def layered_image(layout: Path, layers: list[bytes], labels: dict[str, str]) -> ImageRef:
    """An image of several layers, which are no archives: enough for what reads sizes, digests and labels."""
    writer = LayoutWriter(layout)
    blobs = [_add_blob(writer, layer, GZIP_LAYER_TYPE) for layer in layers]
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": labels}}
    return _finish(writer, _add_manifest(writer, config, blobs))


def platform_images(image: ImageRef, folder: Path) -> list[ImageRef]:
    """Every platform's image of an image of any repository, here in a layout."""
    here = copy_image(image, ImageRepository.parse(f"oci:{folder}"), "here")
    manifest = read_manifest(here)
    if "manifests" not in manifest:
        return [here]
    return [here.home.image(entry["digest"]) for entry in manifest["manifests"]]


def last_layer(image: ImageRef) -> bytes:
    """The last layer of an image in a layout as a plain tar."""
    return _plain_tar(Path(image.repository), read_manifest(image)["layers"][-1])


def layer_entries(layout: Path, layer: Descriptor) -> dict[str, bytes]:
    """The entries of a layer by their names; folders and links have no content."""
    return {member.info["name"]: member.content or b"" for member in members(_plain_tar(layout, layer))}


def _plain_tar(layout: Path, layer: Descriptor) -> bytes:
    data = blob_path(layout, layer["digest"]).read_bytes()
    if layer["mediaType"].endswith("zstd"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return gzip.decompress(data) if layer["mediaType"].endswith("gzip") else data


@dataclass(frozen=True)
class Member:
    """A member of a tar archive: its metadata and its content."""

    info: dict[str, Any]
    content: bytes | None


def members(layer: bytes) -> list[Member]:
    """The members of a layer."""
    read = []
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            read.append(Member(dict(member.get_info()), file.read() if file else None))
    return read


def left_behind(bundle: Bundle) -> list[str]:
    """The images and containers in this machine's storage that were made from a bundle."""
    label = f"label={BUNDLE_LABEL}={bundle.digest}"
    commands = [
        ["podman", "images", "--all", "--quiet", "--filter", label],
        ["podman", "ps", "--all", "--quiet", "--filter", label],
    ]
    return " ".join(_list_with_podman(command) for command in commands).split()


def _list_with_podman(command: list[str]) -> str:
    """Run podman, which cannot list images while another process writes one."""
    while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode != 0:
        assert "retrieving parent" in done.stderr
        time.sleep(0.1)
    return done.stdout


def _add_tiny_image(layout: LayoutWriter, architecture: str, variant: str = "") -> Descriptor:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        models = tarfile.TarInfo("models")
        models.type, models.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(models)
        member = tarfile.TarInfo("etc/of-the-base")
        member.size = len(architecture)
        tar.addfile(member, io.BytesIO(architecture.encode()))
    platform = {"os": "linux", "architecture": architecture} | ({"variant": variant} if variant else {})
    config = platform | {
        # without a PATH, Buildah adds one
        "config": {"User": "1001", "Env": ["PATH=/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256_bytes(plain.getvalue())}"]},
    }
    layer = _add_blob(layout, gzip.compress(plain.getvalue(), mtime=0), GZIP_LAYER_TYPE)
    return _add_manifest(layout, config, [layer]) | {"platform": platform}  # type: ignore[return-value]


def _refer_to_layers(layout: LayoutWriter, image: ImageRef) -> list[Descriptor]:
    layers = read_manifest(image)["layers"]
    for layer in layers:
        layout.refer_to_blob_of(Path(image.repository), layer["digest"])
    return layers


def _add_manifest(layout: LayoutWriter, config: ImageConfig, layers: list[Descriptor]) -> Descriptor:
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": layout.add_json(config, CONFIG_TYPE),
        "layers": layers,
    }
    return layout.add_json(manifest, MANIFEST_TYPE)


def _add_blob(layout: LayoutWriter, data: bytes, media_type: str) -> Descriptor:
    file = layout.folder / "blob"
    file.write_bytes(data)
    return layout.move_in(file, media_type)


def _finish(layout: LayoutWriter, descriptor: Descriptor) -> ImageRef:
    write_index(layout.folder, descriptor)
    return ImageRef("oci", str(layout.folder), descriptor["digest"])
