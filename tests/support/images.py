"""Images for tests: the real serving image, the same with another program in it, and images without content."""

import functools
import json
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kfp_edge.images.layout import blob_path, write_index
from kfp_edge.images.media_types import INDEX_TYPE, MANIFEST_TYPE
from kfp_edge.images.podman import cache_folder
from kfp_edge.images.references import ImageRef
from kfp_edge.images.registry import read_manifest
from kfp_edge.images.serving import ensure
from kfp_edge.ml.bundle import Bundle
from kfp_edge.storage.files import canonical_json, sha256_bytes

_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


@functools.cache
def serving_image() -> ImageRef:
    """The real serving image, built into the cache if it is not there."""
    layout, digest = ensure(cache_folder())
    return ImageRef("oci", str(layout), digest)


@contextmanager
def serving_image_that(program: str) -> Iterator[ImageRef]:
    """The serving image with a Python program in place of its server; it leaves the storage with the block."""
    original = serving_image()
    manifest = read_manifest(original)
    config = json.loads(blob_path(Path(original.repository), manifest["config"]["digest"]).read_bytes())
    config["config"]["Entrypoint"] = ["python3", "-c", program]
    # no other test's image may have the same digest: each removes its own
    config["config"]["Labels"] = {"test": uuid.uuid4().hex}
    with tempfile.TemporaryDirectory() as name:
        layout = Path(name) / "serving"
        (layout / "blobs/sha256").mkdir(parents=True)
        for layer in manifest["layers"]:
            blob_path(layout, layer["digest"]).symlink_to(blob_path(Path(original.repository), layer["digest"]))
        image = _finish(layout, config, manifest["layers"])
        try:
            yield image
        finally:
            base = f"localhost/kfp-edge/base:{image.digest.removeprefix('sha256:')}"
            subprocess.run(["buildah", "rmi", base], capture_output=True, check=False)


def serving_index(layout: Path) -> ImageRef:
    """An index, in a new layout, of the serving image and of one that says that it is for another processor."""
    original = serving_image()
    manifest = read_manifest(original)
    config = json.loads(blob_path(Path(original.repository), manifest["config"]["digest"]).read_bytes())
    (layout / "blobs/sha256").mkdir(parents=True)
    for layer in manifest["layers"]:
        blob_path(layout, layer["digest"]).symlink_to(blob_path(Path(original.repository), layer["digest"]))
    entries = []
    for architecture in ("amd64", "arm64"):
        image = _finish(layout, {**config, "architecture": architecture}, manifest["layers"])
        size = blob_path(layout, image.digest).stat().st_size
        platform = {"os": "linux", "architecture": architecture}
        entries.append({"mediaType": MANIFEST_TYPE, "digest": image.digest, "size": size, "platform": platform})
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    descriptor = _add(layout, canonical_json(index), INDEX_TYPE)
    write_index(layout, descriptor)
    return ImageRef("oci", str(layout), descriptor["digest"])


def empty_image(layout: Path, content: bytes = b"content") -> ImageRef:
    """An image of one layer that nobody can run, in a new layout."""
    (layout / "blobs/sha256").mkdir(parents=True)
    layer = _add(layout, content, _LAYER_TYPE)
    return _finish(layout, {"rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}, [layer])


def left_behind(bundle: Bundle) -> list[str]:
    """The images and containers in this machine's storage that were made from a bundle."""
    label = f"label=io.kfp-edge.bundle.sha256={bundle.digest}"
    found = [
        ["podman", "images", "--all", "--quiet", "--filter", label],
        ["podman", "ps", "--all", "--quiet", "--filter", label],
    ]
    return " ".join(_asked(command) for command in found).split()


def _asked(command: list[str]) -> str:
    """Ask podman, which cannot list images while another process writes one."""
    while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode != 0:
        assert "retrieving parent" in done.stderr
        time.sleep(0.1)
    return done.stdout


def _finish(layout: Path, config: dict[str, Any], layers: list[dict[str, Any]]) -> ImageRef:
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _add(layout, canonical_json(config), _CONFIG_TYPE),
        "layers": layers,
    }
    descriptor = _add(layout, canonical_json(manifest), MANIFEST_TYPE)
    write_index(layout, descriptor)
    return ImageRef("oci", str(layout), descriptor["digest"])


def _add(layout: Path, data: bytes, media_type: str) -> dict[str, Any]:
    digest = f"sha256:{sha256_bytes(data)}"
    blob_path(layout, digest).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}
