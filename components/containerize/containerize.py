"""A bundle becomes an image: Buildah puts it on the serving image as one layer."""

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from kfp_edge.bundle import CONTENTS, MANIFEST, Bundle
from kfp_edge.components.containerize.addition import Addition, add, config_of
from kfp_edge.components.containerize.serving_image import AUTO, ServingImage, find
from kfp_edge.containers import base_in_storage, buildah, remove
from kfp_edge.errors import KfpEdgeError
from kfp_edge.oci import ImageRef, Registry, Repository, blob, copy, digest_at, image_size, manifest_at, platform_image
from kfp_edge.signals import held
from kfp_edge.skopeo import skopeo

BUNDLE_LABEL = "io.kfp-edge.bundle.sha256"

_CONTAINERFILE = Path(__file__).with_name("Containerfile")


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
        model = manifest_at(platform_image(image))["layers"][-1]["size"]
        print(f"pushed {pushed}: {image_size(image):,} bytes, the model's layer {model:,}", flush=True)
    return pushed


def _created() -> str:
    return datetime.fromtimestamp(_epoch(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _labels(bundle: Bundle, base: ServingImage, revision: str) -> dict[str, str]:
    """Return the pre-defined annotation keys of the OCI Image Specification ("Annotations"), and two of ours."""
    labels = {
        "org.opencontainers.image.title": bundle.manifest.name,
        "org.opencontainers.image.version": bundle.manifest.version,
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.created": _created(),
        "org.opencontainers.image.base.name": base.name,
        "org.opencontainers.image.base.digest": base.image.digest,
        "io.kfp-edge.model.sha256": bundle.manifest.files["model.onnx"].sha256,
        BUNDLE_LABEL: bundle.digest,
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
        addition = Addition(
            tar=_build(bundle, platform_image(base.image), scratch),
            created=_created(),
            labels=labels,
        )
        yield add(addition, base.image, scratch / "image")


def _copy_bundle(bundle: Bundle, folder: Path) -> None:
    """Copy the files of the contract and nothing else, with modes that let any user read them."""
    folder.mkdir(parents=True)
    for name in (MANIFEST, *CONTENTS):
        shutil.copyfile(bundle.folder / name, folder / name)
        (folder / name).chmod(0o644)
    folder.chmod(0o755)


def _build(bundle: Bundle, base: ImageRef, scratch: Path) -> Path:
    """Let Buildah put the bundle on the base, and return the layer as a plain tar.

    A layer has no processor, so the base for this machine does for all.
    """
    below: list[str] = config_of(base)["rootfs"]["diff_ids"]
    name = f"localhost/kfp-edge/build:{uuid.uuid4().hex}"
    with base_in_storage(base) as base_name:
        flags = ["--isolation=chroot", "--format=oci", f"--timestamp={_epoch()}", "--pull=never", "--layers=false"]
        arguments = {"BASE": base_name, "NAME": bundle.manifest.name, "VERSION": bundle.manifest.version}
        flags += [f"--build-arg={key}={value}" for key, value in arguments.items()]
        flags += [f"--label={BUNDLE_LABEL}={bundle.digest}", "--identity-label=false", f"--tag={name}"]
        with held():
            buildah("build", "--quiet", *flags, "--file", _CONTAINERFILE, scratch / "context")
            try:
                built = _take(name, scratch / "built", below)
            finally:
                remove(name)
    *kept, layer = config_of(built)["rootfs"]["diff_ids"]
    if kept != below:
        raise KfpEdgeError(f"buildah did not put exactly one layer on {base}; report this with `buildah version`.")
    return blob(Path(built.repository), layer)


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
