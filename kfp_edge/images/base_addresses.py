"""The addresses of what a model is put on: the serving image, or the base of a modelcar."""

import os

from kfp_edge.errors import ImageError
from kfp_edge.images.oci.references import ImageRef, ImageRepository

AUTO = "auto"
#: Names the serving image that `auto` means.
SERVING_IMAGE_VARIABLE = "KFP_EDGE_SERVING_IMAGE"

#: The base of a modelcar that KServe runs as a sidecar: an image with `sh`, `ln` and `sleep`.
MODELCAR_BASE = "docker://registry.access.redhat.com/ubi9/ubi-micro:9.6"
#: No base: the image is nothing but the model.
SCRATCH = "scratch"


def resolve_auto(text: str) -> str:
    """Return the address of the serving image; `auto` where our own is to be built."""
    return os.environ.get(SERVING_IMAGE_VARIABLE) or AUTO if text == AUTO else text


def serving_image_setting(text: str) -> str:
    """Return the parameter or the variable that names the serving image, for messages."""
    return SERVING_IMAGE_VARIABLE if text == AUTO else "serving_image"


def parse_serving_image(text: str) -> "tuple[ImageRepository, str] | ImageRef | None":
    """Return an image by digest, or its repository and its tag; None for `auto`.

    Raises:
        ImageError: it is no address of an image.
    """
    address = resolve_auto(text)
    return None if address == AUTO else parse_address(address, serving_image_setting(text))


def parse_modelcar_base(text: str) -> "tuple[ImageRepository, str] | ImageRef | None":
    """Return an image by digest, or its repository and its tag; None for `scratch`.

    Raises:
        ImageError: it is no address of an image.
    """
    return None if text == SCRATCH else parse_address(text, "modelcar_base")


def parse_address(text: str, parameter: str) -> "tuple[ImageRepository, str] | ImageRef":
    """Return an image by digest, or its repository and its tag.

    Raises:
        ImageError: it is no address of an image; the parameter is named.
    """
    try:
        if "@" in text:
            return ImageRef.parse(text)
        folders, slash, last = text.rpartition("/")
        name, colon, tag = last.rpartition(":")
        if not colon:
            name, tag = last, "latest"
        return ImageRepository.parse(folders + slash + name), tag
    except ImageError as error:
        raise ImageError(f"{parameter} cannot be used: {error}") from error
