"""A bundle becomes an image: one layer on the serving image, pushed to the candidates of its model."""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kfp_edge.cluster import in_pod
from kfp_edge.components.containerize.append import write_layer
from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.image_spec import BUNDLE_LABEL, ImageSpec
from kfp_edge.components.containerize.local import build_layer
from kfp_edge.components.containerize.serving_image import AUTO, find, in_registry
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.layers import AppendedLayer, append_layer
from kfp_edge.images.oci import ImageRef, ImageRegistry, ImageRepository, copy, image_size, manifest_at, platform_image
from kfp_edge.ml.bundle import Bundle

__all__ = ["BUNDLE_LABEL", "containerize"]

_BUILDS = ("auto", "tekton", "append", "local")


def containerize(
    bundle_folder: Path,
    registry: str,
    serving_image: str = AUTO,
    revision: str = "",
    build: str = "auto",
    build_options: Mapping[str, Any] | None = None,
    run_id: str = "",
) -> ImageRef:
    """Build the image of a bundle and push it to the candidates of its model.

    The same bundle on the same serving image gives the same digest. The layers of the serving image keep
    their digests, so that a site that has them pulls one small layer.

    Args:
        bundle_folder: The bundle, which is checked first.
        registry: `oci:FOLDER` or `docker://HOST[:PORT]/REPO`.
        serving_image: See `serving_image.find`.
        revision: Commit of the code; the bundle's own when empty.
        build: `local` (Buildah on this machine), `append` (no Buildah and no privileges), `tekton` (Buildah in a
            TaskRun of the cluster) or `auto`: `tekton` in a pod, `local` elsewhere.
        build_options: What a build in the cluster needs; see `options.BuildOptions`.
        run_id: The pipeline run that objects in the cluster are labelled with; a random one when empty.

    Returns:
        The image as the registry reports it.

    Raises:
        KfpEdgeError: the bundle was altered, the serving image is missing, the build fails, or the registry refuses.
    """
    options = BuildOptions.parse(build_options or {})
    build = _chosen(build)
    bundle = Bundle.load(bundle_folder)
    destination = ImageRegistry.parse(registry).candidates(bundle.manifest.name)
    if build == "tekton":
        # boto3 takes 0.2 s to import, and the builds on this machine do not need it
        from kfp_edge.components.containerize.tekton import build_in_cluster

        recipe = ImageSpec.of(bundle, in_registry(serving_image), revision)
        return build_in_cluster(recipe, destination, options, run_id)
    recipe = ImageSpec.of(bundle, find(serving_image), revision)
    return _build_here(recipe, destination, write_layer if build == "append" else build_layer)


def _chosen(build: str) -> str:
    if build not in _BUILDS:
        raise KfpEdgeError(f"there is no build {build!r}; choose one of {', '.join(_BUILDS)}.")
    if build != AUTO:
        return build
    return "tekton" if in_pod() else "local"


def _build_here(recipe: ImageSpec, destination: ImageRepository, layer: Callable[[ImageSpec, Path], Path]) -> ImageRef:
    """Put a layer on the blobs of the serving image as they are, and push what the registry lacks."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="kfp-edge-") as name:
        scratch = Path(name)
        addition = AppendedLayer(layer(recipe, scratch), recipe.created, recipe.labels)
        image = append_layer(addition, recipe.base.image, scratch / "image")
        base = f"{recipe.base.name}@{recipe.base.image.digest}"
        print(f"built {image.digest} on {base} in {time.perf_counter() - start:.2f} s")
        pushed = copy(image, destination, recipe.tag)
        model = manifest_at(platform_image(image))["layers"][-1]["size"]
        print(f"pushed {pushed}: {image_size(image):,} bytes, the model's layer {model:,}", flush=True)
    return pushed
