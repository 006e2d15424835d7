"""What Buildah itself makes of our Containerfile, on a storage of its own."""

import shutil
from pathlib import Path

from kfp_edge.components.containerize.build_context import CONTAINERFILES
from kfp_edge.components.containerize.image_spec import ImageSpec
from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.layout import list_tagged_images
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.serving.model_bases import BaseImage
from kfp_edge.images.tools.buildah import temporary_storage
from kfp_edge.ml.bundle import Bundle

_BASE = "localhost/kfp-edge-test/base:latest"
_NAME = "localhost/kfp-edge-test/model:latest"


def build_with_buildah(
    bundle: Bundle, base: ImageRef, folder: Path, format: ModelFormat = ModelFormat.IMAGE
) -> ImageRef:
    """Run `buildah build` as the TaskRun of a cluster does, and return the image in a layout, not compressed.

    Args:
        bundle: What is copied into the image.
        base: An image of a layout that holds no other.
        folder: A folder that does not exist yet.
        format: The format of the image.
    """
    spec = ImageSpec.for_bundle(bundle, BaseImage(base, base.name), "", format)
    context = folder / "context"
    (context / "bundle").mkdir(parents=True)
    for name, file in spec.files.items():
        shutil.copyfile(file, context / "bundle" / name)
    arguments = {"BASE": _BASE, "NAME": bundle.manifest.name, "VERSION": bundle.manifest.version}
    flags = ["--pull=never", "--identity-label=false", f"--timestamp={spec.epoch}"]
    flags += [f"--label={key}={value}" for key, value in spec.labels.items()]
    with temporary_storage(folder / "storage") as buildah:
        buildah.load(Path(base.repository), _BASE)
        buildah.build(context, CONTAINERFILES[format], _NAME, arguments, flags)
        buildah.save(_NAME, str(folder / "built"))
    return ImageRef("oci", str(folder / "built"), list_tagged_images(folder / "built")[0]["digest"])
