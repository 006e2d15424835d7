"""Finding what a model is put on, the serving image or the base of a modelcar: in a layout or a registry, by digest."""

from dataclasses import dataclass

from kfp_edge.errors import ImageError
from kfp_edge.images.assembly import Progress
from kfp_edge.images.base_addresses import (
    AUTO,
    SERVING_IMAGE_VARIABLE,
    parse_modelcar_base,
    parse_serving_image,
    resolve_auto,
    serving_image_setting,
)
from kfp_edge.images.cache import cache_folder
from kfp_edge.images.oci.references import ImageRef, ImageRepository
from kfp_edge.images.registry import copy_to_layout, find_digest
from kfp_edge.images.serving import ensure_serving_image

#: What our own image is called in the label of a model image that names its base.
_NAME = "kfp-edge-serving"


@dataclass(frozen=True)
class BaseImage:
    """The base of a model image, by digest; `name` says where it comes from.

    `image` is an index when the base is for several processors.
    """

    image: ImageRef
    name: str


def fetch_serving_image(text: str = AUTO, progress: Progress = print) -> BaseImage:
    """Return the serving image in a layout on this machine, fetched or built if it is not there yet.

    Args:
        text: `auto` (what KFP_EDGE_SERVING_IMAGE names, else our own, built once into the cache), `oci:FOLDER:TAG`,
            `oci:FOLDER@sha256:...`, `docker://HOST/REPO[:TAG]` or `docker://HOST/REPO@sha256:...`.
        progress: Called with a line for each step of a build.

    Raises:
        KfpEdgeError: there is no such image, or it can be neither fetched nor built.
    """
    image = find_serving_image(text)
    return _build_own(progress) if image is None else _fetch(image)


def fetch_modelcar_base(text: str) -> BaseImage | None:
    """Return the base of a modelcar in a layout on this machine; None for `scratch`.

    Raises:
        KfpEdgeError: there is no such image, or it cannot be fetched.
    """
    image = find_modelcar_base(text)
    return None if image is None else _fetch(image)


def find_in_registry(
    text: str = AUTO, what: str = "a build in the cluster", other_choice: str = "build=append"
) -> BaseImage:
    """Return the serving image by digest in the registry that holds it, for another machine.

    Args:
        text: See `fetch_serving_image`.
        what: What that machine does.
        other_choice: The parameter with which this machine does it.

    Raises:
        KfpEdgeError: no registry is named, or there is no such image.
    """
    image = find_serving_image(text) if resolve_auto(text).startswith("docker://") else None
    if image is None:
        raise ImageError(
            f"{what} cannot reach the serving image {resolve_auto(text)!r}; name one of a registry, "
            f"docker://HOST/REPO@sha256:..., in serving_image or {SERVING_IMAGE_VARIABLE}, or choose {other_choice}."
        )
    return BaseImage(image, image.repository)


def find_modelcar_base_in_registry(text: str) -> BaseImage | None:
    """Return the base of a modelcar in the registry that holds it, for a build on another machine; None for `scratch`.

    Raises:
        KfpEdgeError: it is in no registry, or there is no such image.
    """
    image = find_modelcar_base(text)
    if image is not None and image.transport == "oci":
        raise ImageError(
            f"a build in the cluster cannot reach the base of the modelcar {text!r}; name one of a registry, "
            "docker://HOST/REPO@sha256:..., in modelcar_base, or choose build=append."
        )
    return None if image is None else BaseImage(image, image.repository)


def _build_own(progress: Progress) -> BaseImage:
    try:
        layout, digest = ensure_serving_image(cache_folder(), progress=progress)
    except ImageError as error:
        raise ImageError(f"the serving image cannot be built: {error}") from error
    return BaseImage(ImageRef("oci", str(layout), digest), _NAME)


def find_serving_image(text: str) -> ImageRef | None:
    """Return the serving image by digest, as its repository gives it; None where our own is to be built.

    Raises:
        ImageError: there is no such image, or the repository refuses or cannot be reached.
    """
    return _find(parse_serving_image(text), "serving image", serving_image_setting(text))


def find_modelcar_base(text: str) -> ImageRef | None:
    """Return the base of a modelcar by digest, as its repository gives it; None for `scratch`.

    Raises:
        ImageError: there is no such image, or the repository refuses or cannot be reached.
    """
    return _find(parse_modelcar_base(text), "image", "modelcar_base")


def _find(named: tuple[ImageRepository, str] | ImageRef | None, what: str, parameter: str) -> ImageRef | None:
    if not isinstance(named, tuple):
        return named
    repository, tag = named
    digest = find_digest(repository, tag)
    if digest is None:
        raise ImageError(f"there is no {what} tagged {tag} in {repository}; check {parameter}.")
    return repository.image(digest)


def _fetch(image: ImageRef) -> BaseImage:
    if image.transport == "oci":
        return BaseImage(image, image.name)
    return BaseImage(_fetch_once(image), image.repository)


def _fetch_once(image: ImageRef) -> ImageRef:
    """Return the image of a registry in a layout on this machine, where it stays."""
    layout = ImageRepository("oci", str(cache_folder() / "serving-images"))
    tag = image.digest.removeprefix("sha256:")
    digest = find_digest(layout, tag)
    return copy_to_layout(image, layout, tag) if digest is None else layout.image(digest)
