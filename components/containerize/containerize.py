"""A bundle becomes an image: Buildah puts it on the serving image as one layer."""

import os
import shutil
import tempfile
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kfp_edge.bundle import CONTENTS, MANIFEST, Bundle
from kfp_edge.components.containerize.serving_image import AUTO, ServingImage, find
from kfp_edge.containers import buildah, load, remove
from kfp_edge.errors import KfpEdgeError
from kfp_edge.files import canonical_json, read_json, sha256_bytes, sha256_file
from kfp_edge.oci import (
    MANIFEST_TYPE,
    ImageRef,
    Registry,
    Repository,
    blob,
    copy,
    digest_at,
    image_size,
    manifest_at,
    write_index,
)
from kfp_edge.signals import held
from kfp_edge.skopeo import skopeo

_CONTAINERFILE = Path(__file__).with_name("Containerfile")
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_DOCKER_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_CHUNK = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS


def containerize(bundle_folder: Path, registry: str, serving_image: str = AUTO, revision: str = "") -> ImageRef:
    """Build the image of a bundle and push it to the candidates of its model.

    The same bundle on the same serving image gives the same digest. The layers of the serving image keep
    their digests, so that a site that has them pulls one small layer.

    Args:
        bundle_folder: The bundle, which is checked first.
        registry: `oci:FOLDER` or `docker://HOST[:PORT]/REPO`.
        serving_image: See `serving_image.find`.
        revision: Commit of the code; the bundle's own when empty.

    Returns:
        The image as the registry reports it.

    Raises:
        KfpEdgeError: the bundle was altered, the serving image is missing, or the registry refuses.
    """
    bundle = Bundle.load(bundle_folder)
    destination = Registry.parse(registry).candidates(bundle.manifest.name)
    base = find(serving_image)
    labels = _labels(bundle, base, revision or bundle.manifest.revision)
    start = time.perf_counter()
    with _built(bundle, base, labels) as image:
        print(f"built {image.digest} on {base.name}@{base.image.digest} in {time.perf_counter() - start:.2f} s")
        pushed = copy(image, destination, f"{bundle.manifest.version}-{bundle.digest[:12]}")
        model = manifest_at(image)["layers"][-1]["size"]
        print(f"pushed {pushed}: {image_size(image):,} bytes, the model's layer {model:,}", flush=True)
    return pushed


def _labels(bundle: Bundle, base: ServingImage, revision: str) -> dict[str, str]:
    """Return the pre-defined annotation keys of the OCI Image Specification ("Annotations"), and two of ours."""
    labels = {
        "org.opencontainers.image.title": bundle.manifest.name,
        "org.opencontainers.image.version": bundle.manifest.version,
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.created": datetime.fromtimestamp(_epoch(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "org.opencontainers.image.base.name": base.name,
        "org.opencontainers.image.base.digest": base.image.digest,
        "io.kfp-edge.model.sha256": bundle.manifest.files["model.onnx"].sha256,
        "io.kfp-edge.bundle.sha256": bundle.digest,
    }
    return {key: value for key, value in labels.items() if value}


def _epoch() -> int:
    """Return the time that is written everywhere instead of now, in seconds (reproducible-builds.org)."""
    text = os.environ.get("SOURCE_DATE_EPOCH") or "0"
    if not text.isdecimal():
        raise KfpEdgeError(f"SOURCE_DATE_EPOCH is {text!r}; it has to be a number of seconds.")
    return int(text)


@contextmanager
def _built(bundle: Bundle, base: ServingImage, labels: dict[str, str]) -> Iterator[ImageRef]:
    """Yield the image in a layout that lasts as long as the block."""
    with tempfile.TemporaryDirectory(prefix="kfp-edge-") as name:
        scratch = Path(name)
        _copy_bundle(bundle, scratch / "context" / "bundle")
        layers = _config(base.image)["rootfs"]["diff_ids"]
        built = _build(bundle, base, labels, scratch, layers)
        yield _assemble(built, base.image, layers, scratch / "image")


def _copy_bundle(bundle: Bundle, folder: Path) -> None:
    """Copy the files of the contract and nothing else, with modes that let any user read them."""
    folder.mkdir(parents=True)
    for name in (MANIFEST, *CONTENTS):
        shutil.copyfile(bundle.folder / name, folder / name)
        (folder / name).chmod(0o644)
    folder.chmod(0o755)


def _build(
    bundle: Bundle, base: ServingImage, labels: dict[str, str], scratch: Path, base_layers: list[str]
) -> ImageRef:
    """Run Buildah and return its image in a layout `scratch/built`, which lacks the content of the base's layers."""
    # The base stays in the storage for the next build: unpacking it takes seconds.
    base_name = f"localhost/kfp-edge/base:{base.image.digest.removeprefix('sha256:')}"
    load(base.image, base_name)
    name = f"localhost/kfp-edge/build:{uuid.uuid4().hex}"
    flags = ["--isolation", "chroot", "--format", "oci", "--timestamp", str(_epoch()), "--pull=never", "--layers=false"]
    arguments = {"BASE": base_name, "NAME": bundle.manifest.name, "VERSION": bundle.manifest.version}
    flags += [f"--build-arg={key}={value}" for key, value in arguments.items()]
    flags += [f"--label={key}={value}" for key, value in labels.items()]
    flags += ["--identity-label=false", "--tag", name, "--file", str(_CONTAINERFILE), str(scratch / "context")]
    with held():
        buildah("build", "--quiet", *flags)
        try:
            return _take(name, scratch / "built", base_layers)
        finally:
            remove(name)


def _take(name: str, layout: Path, skipped: list[str]) -> ImageRef:
    """Copy an image from the storage; of the layers to skip, an empty file says that they are there."""
    for layer in skipped:
        placeholder = blob(layout, layer)
        placeholder.parent.mkdir(parents=True, exist_ok=True)
        placeholder.touch()
    flags = ["--quiet", "--dest-oci-accept-uncompressed-layers"]
    skopeo("copy", *flags, f"containers-storage:{name}", f"oci:{layout}:built", where=name)
    digest = digest_at(Repository("oci", str(layout)), "built")
    if digest is None:
        raise KfpEdgeError(f"skopeo did not copy what buildah built to {layout}; report this with `skopeo --version`.")
    return ImageRef("oci", str(layout), digest)


def _assemble(built: ImageRef, base: ImageRef, base_layers: list[str], layout: Path) -> ImageRef:
    """Make a layout of the base's blobs as they are, Buildah's layer compressed, and its configuration."""
    config = _config(built)
    *below, model = config["rootfs"]["diff_ids"]
    if below != base_layers:
        raise KfpEdgeError(f"buildah did not put exactly one layer on {base}; report this with `buildah version`.")
    # Buildah notes the base's name in the storage, which may be any of several.
    config["history"][-1].pop("comment", None)
    (layout / "blobs/sha256").mkdir(parents=True)
    layers = [_as_oci(layer) for layer in manifest_at(base)["layers"]]
    for layer in layers:
        blob(layout, layer["digest"]).symlink_to(blob(Path(base.repository), layer["digest"]))
    layers.append(_add_layer(layout, blob(Path(built.repository), model)))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _add_json(layout, config, _CONFIG_TYPE),
        "layers": layers,
    }
    descriptor = _add_json(layout, manifest, MANIFEST_TYPE)
    write_index(layout, descriptor)
    return ImageRef("oci", str(layout), descriptor["digest"])


def _as_oci(layer: dict[str, Any]) -> dict[str, Any]:
    if layer["mediaType"] == _DOCKER_LAYER_TYPE:
        return {**layer, "mediaType": _LAYER_TYPE}
    return layer


def _add_json(layout: Path, value: dict[str, Any], media_type: str) -> dict[str, Any]:
    data = canonical_json(value)
    digest = f"sha256:{sha256_bytes(data)}"
    blob(layout, digest).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _add_layer(layout: Path, tar: Path) -> dict[str, Any]:
    """Compress a layer into the layout; Python's gzip would write the time, and a byte that differs by version."""
    compressor = zlib.compressobj(level=9, wbits=_GZIP)
    compressed = layout / "layer"
    with tar.open("rb") as source, compressed.open("wb") as sink:
        while chunk := source.read(_CHUNK):
            sink.write(compressor.compress(chunk))
        sink.write(compressor.flush())
    digest = f"sha256:{sha256_file(compressed)}"
    compressed.rename(blob(layout, digest))
    return {"mediaType": _LAYER_TYPE, "digest": digest, "size": blob(layout, digest).stat().st_size}


def _config(image: ImageRef) -> dict[str, Any]:
    config: dict[str, Any] = read_json(blob(Path(image.repository), manifest_at(image)["config"]["digest"]))
    return config
