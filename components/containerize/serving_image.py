"""Finding the serving image: in the cache, a layout or a registry, always by digest."""

from dataclasses import dataclass

from kfp_edge.components.containerize.parameters import (
    AUTO,
    SERVING_IMAGE_VARIABLE,
    parse_serving_image,
    resolve_auto,
)
from kfp_edge.errors import ImageError
from kfp_edge.images.cache import cache_folder
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.images.registry import copy_to_layout, find_digest
from kfp_edge.images.serving import ensure_serving_image

#: What our own image is called in the label of a model image that names its base.
_NAME = "kfp-edge-serving"


@dataclass(frozen=True)
class ServingImage:
    """The base of a model image, by digest; `name` says where it comes from.

    `image` is an index when the base is for several processors.
    """

    image: ImageRef
    name: str


def fetch_serving_image(text: str = AUTO) -> ServingImage:
    """Return the serving image in a layout on this machine, fetched or built if it is not there yet.

    Args:
        text: `auto` (what KFP_EDGE_SERVING_IMAGE names, else our own, built once into the cache), `oci:FOLDER:TAG`,
            `oci:FOLDER@sha256:...`, `docker://HOST/REPO[:TAG]` or `docker://HOST/REPO@sha256:...`.

    Raises:
        KfpEdgeError: there is no such image, or it can be neither fetched nor built.
    """
    image = find_serving_image(text)
    if image is None:
        return _build_own()
    if image.transport == "oci":
        return ServingImage(image, image.name)
    return ServingImage(_fetch_once(image), image.repository)


def find_in_registry(text: str = AUTO) -> ServingImage:
    """Return the serving image by digest in the registry that holds it, for a build on another machine.

    Raises:
        KfpEdgeError: no registry is named, or there is no such image.
    """
    image = find_serving_image(text) if resolve_auto(text).startswith("docker://") else None
    if image is None:
        raise ImageError(
            f"a build in the cluster cannot reach the serving image {resolve_auto(text)!r}; name one of a registry, "
            f"docker://HOST/REPO@sha256:..., in serving_image or {SERVING_IMAGE_VARIABLE}, or choose build=append."
        )
    return ServingImage(image, image.repository)


def _build_own() -> ServingImage:
    try:
        layout, digest = ensure_serving_image(cache_folder())
    except ImageError as error:
        raise ImageError(f"the serving image cannot be built: {error}") from error
    return ServingImage(ImageRef("oci", str(layout), digest), _NAME)


def find_serving_image(text: str) -> ImageRef | None:
    """Return the serving image by digest, as its repository gives it; None where our own is to be built.

    Raises:
        ImageError: there is no such image, or the repository refuses or cannot be reached.
    """
    named = parse_serving_image(text)
    if not isinstance(named, tuple):
        return named
    repository, tag = named
    digest = find_digest(repository, tag)
    if digest is None:
        raise ImageError(f"there is no serving image tagged {tag} in {repository}; check serving_image.")
    return repository.image(digest)


def _fetch_once(image: ImageRef) -> ImageRef:
    """Return the image of a registry in a layout on this machine, where it stays."""
    layout = ImageRepository("oci", str(cache_folder() / "serving-images"))
    tag = image.digest.removeprefix("sha256:")
    digest = find_digest(layout, tag)
    return copy_to_layout(image, layout, tag) if digest is None else layout.image(digest)
