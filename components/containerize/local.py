"""The model's layer by Buildah on this machine."""

import shutil
import uuid
from pathlib import Path

from kfp_edge.components.containerize.image_spec import BUNDLE_LABEL, ImageSpec
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.layers import config_of
from kfp_edge.images.oci import ImageRef, ImageRepository, blob, digest_at, platform_image
from kfp_edge.images.podman import base_in_storage, buildah, remove
from kfp_edge.images.skopeo import skopeo
from kfp_edge.runtime.signals import deferred_signals

CONTAINERFILE = Path(__file__).with_name("Containerfile")


def build_layer(recipe: ImageSpec, scratch: Path) -> Path:
    """Let Buildah put the bundle on the base, and return the layer as a plain tar in a folder.

    A layer has no processor, so the base for this machine does for all.

    Raises:
        KfpEdgeError: Buildah fails or is not installed.
    """
    base = platform_image(recipe.base.image)
    _copy_bundle(recipe, scratch / "context" / "bundle")
    below: list[str] = config_of(base)["rootfs"]["diff_ids"]
    name = f"localhost/kfp-edge/build:{uuid.uuid4().hex}"
    manifest = recipe.bundle.manifest
    with base_in_storage(base) as base_name:
        flags = ["--isolation=chroot", "--format=oci", f"--timestamp={recipe.epoch}", "--pull=never", "--layers=false"]
        arguments = {"BASE": base_name, "NAME": manifest.name, "VERSION": manifest.version}
        flags += [f"--build-arg={key}={value}" for key, value in arguments.items()]
        flags += [f"--label={BUNDLE_LABEL}={recipe.bundle.digest}", "--identity-label=false", f"--tag={name}"]
        with deferred_signals():
            buildah("build", "--quiet", *flags, "--file", CONTAINERFILE, scratch / "context")
            try:
                built = _take(name, scratch / "built", below)
            finally:
                remove(name)
    *kept, layer = config_of(built)["rootfs"]["diff_ids"]
    if kept != below:
        raise KfpEdgeError(f"buildah did not put exactly one layer on {base}; report this with `buildah version`.")
    return blob(Path(built.repository), layer)


def _copy_bundle(recipe: ImageSpec, folder: Path) -> None:
    """Copy the files of the bundle with modes that let any user read them."""
    folder.mkdir(parents=True)
    for name, file in recipe.files.items():
        shutil.copyfile(file, folder / name)
        (folder / name).chmod(0o644)
    folder.chmod(0o755)


def _take(name: str, layout: Path, skipped: list[str]) -> ImageRef:
    """Copy an image from the storage; of the layers to skip, an empty file says that they are there."""
    for layer in skipped:
        placeholder = blob(layout, layer)
        placeholder.parent.mkdir(parents=True, exist_ok=True)
        placeholder.touch()
    flags = ["--quiet", "--dest-oci-accept-uncompressed-layers"]
    skopeo("copy", *flags, f"containers-storage:{name}", f"oci:{layout}:built", where=name)
    digest = digest_at(ImageRepository("oci", str(layout)), "built")
    if digest is None:
        raise KfpEdgeError(f"skopeo did not copy what buildah built to {layout}; report this with `skopeo --version`.")
    return ImageRef("oci", str(layout), digest)
