"""Finding the serving image: from the cache, a layout or a registry, always by digest."""

import os
from dataclasses import dataclass

from kfp_edge.errors import ImageError, KfpEdgeError
from kfp_edge.images.oci import ImageRef, ImageRepository, copy, digest_at, exists
from kfp_edge.images.podman import cache_folder
from kfp_edge.images.serving import ensure

AUTO = "auto"
_VARIABLE = "KFP_EDGE_SERVING_IMAGE"
_AUTO_NAME = "kfp-edge-serving"


@dataclass(frozen=True)
class ServingImage:
    """The base of a model image, by digest; `name` says where it comes from.

    `image` is an index when the base is for several processors.
    """

    image: ImageRef
    name: str


def find(text: str = AUTO) -> ServingImage:
    """Return the serving image, fetched or built if it is not on this machine yet.

    Args:
        text: `auto` (what KFP_EDGE_SERVING_IMAGE says, else our own, built once into the cache), `oci:FOLDER:TAG`,
            `oci:FOLDER@sha256:...`, `docker://HOST/REPO[:TAG]` or `docker://HOST/REPO@sha256:...`.

    Raises:
        KfpEdgeError: there is no such image, or it can be neither fetched nor built.
    """
    text = _meant(text)
    if text == AUTO:
        return _own()
    image = _by_digest(text)
    if image.transport == "oci":
        return ServingImage(image, image.name)
    return ServingImage(_fetched(image), image.repository)


def in_registry(text: str = AUTO) -> ServingImage:
    """Return the serving image by digest in the registry that holds it, for a build on another machine.

    Raises:
        KfpEdgeError: no registry is named, or there is no such image.
    """
    text = _meant(text)
    if not text.startswith("docker://"):
        raise KfpEdgeError(
            f"a build in the cluster cannot reach the serving image {text!r}; name one of a registry, "
            f"docker://HOST/REPO@sha256:..., in serving_image or {_VARIABLE}, or choose build=append."
        )
    image = _by_digest(text)
    return ServingImage(image, image.repository)


def _meant(text: str) -> str:
    return os.environ.get(_VARIABLE) or AUTO if text == AUTO else text


def _own() -> ServingImage:
    try:
        layout, digest = ensure(cache_folder())
    except ImageError as error:
        raise ImageError(f"the serving image cannot be built: {error}") from error
    return ServingImage(ImageRef("oci", str(layout), digest), _AUTO_NAME)


def _by_digest(text: str) -> ImageRef:
    if "@" in text:
        return ImageRef.parse(text)
    folders, slash, last = text.rpartition("/")
    name, colon, tag = last.rpartition(":")
    if not colon:
        name, tag = last, "latest"
    repository = ImageRepository.parse(folders + slash + name)
    digest = digest_at(repository, tag)
    if digest is None:
        raise KfpEdgeError(f"there is no serving image tagged {tag} in {repository}; check serving_image.")
    return repository.image(digest)


def _fetched(image: ImageRef) -> ImageRef:
    """Return the image of a registry in a layout on this machine; it is fetched once."""
    kept = ImageRepository("oci", str(cache_folder() / "serving-images"))
    if exists(kept.image(image.digest)):
        return kept.image(image.digest)
    return copy(image, kept, image.digest.removeprefix("sha256:"))
