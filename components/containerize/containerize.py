"""A bundle becomes an image, one layer on the serving image or a modelcar, pushed to the candidates of its model."""

from collections.abc import Mapping
from pathlib import Path

from kfp_edge.components.containerize.append import build_by_appending
from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.components.containerize.image_spec import ImageSpec
from kfp_edge.components.containerize.parameters import select_build
from kfp_edge.images.base_addresses import AUTO, MODELCAR_BASE
from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.references import ImageRef, ImageRegistry
from kfp_edge.images.serving.model_bases import (
    fetch_modelcar_base,
    fetch_serving_image,
    find_in_registry,
    find_modelcar_base_in_registry,
)
from kfp_edge.kubernetes import in_pod
from kfp_edge.ml.bundle import Bundle


def containerize(
    bundle_folder: Path,
    registry: str,
    serving_image: str = AUTO,
    revision: str = "",
    build: str = "auto",
    build_options: Mapping[str, object] | None = None,
    run_id: str = "",
    format: str = ModelFormat.IMAGE,
    modelcar_base: str = MODELCAR_BASE,
) -> ImageRef:
    """Build the image of a bundle and push it to the candidates of its model.

    The same bundle on the same serving image gives the same digest. The layers of the serving image keep
    their digests, so that a site that has them pulls one small layer.

    Args:
        bundle_folder: The bundle, which is checked first.
        registry: `oci:FOLDER` or `docker://HOST[:PORT]/REPO`.
        serving_image: See `fetch_serving_image`.
        revision: Commit of the code; the bundle's own when empty.
        build: `tekton` (Buildah in a TaskRun of the cluster), `append` (no Buildah and no privileges) or `auto`:
            `tekton` in a pod, `append` elsewhere.
        build_options: What a build in the cluster needs; see `BuildOptions`.
        run_id: The pipeline run that objects in the cluster are labelled with; a random one when empty.
        format: `image` (the bundle on the serving image) or `modelcar` (the bundle alone, for KServe).
        modelcar_base: What the bundle is put on in a modelcar: an image with a shell, or `scratch`.

    Returns:
        The image as the registry reports it.

    Raises:
        KfpEdgeError: the bundle was altered, the serving image is missing, the build fails, or the registry refuses.
    """
    options = BuildOptions.parse(build_options or {})
    build = select_build(build, in_pod=in_pod())
    bundle = Bundle.load(bundle_folder)
    destination = ImageRegistry.parse(registry).candidates(bundle.manifest.name)
    wanted = ModelFormat.parse(format)
    if build == "tekton":
        # boto3 takes 0.2 s to import, and append does not need it
        from kfp_edge.components.containerize.tekton import build_in_cluster

        is_modelcar = wanted == ModelFormat.MODELCAR
        base = find_modelcar_base_in_registry(modelcar_base) if is_modelcar else find_in_registry(serving_image)
        return build_in_cluster(ImageSpec.for_bundle(bundle, base, revision, wanted), destination, options, run_id)
    own = fetch_modelcar_base(modelcar_base) if wanted == ModelFormat.MODELCAR else fetch_serving_image(serving_image)
    return build_by_appending(ImageSpec.for_bundle(bundle, own, revision, wanted), destination)
