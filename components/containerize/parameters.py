"""The parameters of `containerize`: checked before a run starts, and by the stage itself."""

import os
from collections.abc import Mapping

from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.errors import ImageError, ParameterError
from kfp_edge.images.oci.references import ImageRef, ImageRegistry, ImageRepository
from kfp_edge.suggestions import describe_unknown_choice

AUTO = "auto"
#: Names the serving image that `auto` means.
SERVING_IMAGE_VARIABLE = "KFP_EDGE_SERVING_IMAGE"

_BUILDS = (AUTO, "tekton", "append")


def check_parameters(
    registry: str, serving_image: str, build: str, build_options: Mapping[str, object], *, in_pod: bool
) -> None:
    """Refuse an unknown build, options that it does not have, and places that it cannot reach.

    Args:
        registry: Where images are pushed.
        serving_image: The image that the model is put on.
        build: How the image is built.
        build_options: Options of the build in a cluster.
        in_pod: Whether the stage will run in a pod of a cluster, which decides what `auto` means.

    Raises:
        ParameterError: a parameter has a value that cannot be used, or does not fit another one.
        ImageError: an address of an image is not valid.
    """
    options = BuildOptions.parse(build_options)
    selected = select_build(build, in_pod=in_pod)
    destination = ImageRegistry.parse(registry)
    parse_serving_image(serving_image)
    if selected == "tekton":
        check_build_in_cluster(destination, options)


def select_build(build: str, *, in_pod: bool) -> str:
    """Return `tekton` or `append`.

    Raises:
        ParameterError: there is no such build.
    """
    if build not in _BUILDS:
        raise ParameterError(describe_unknown_choice("build", build, _BUILDS))
    if build != AUTO:
        return build
    return "tekton" if in_pod else "append"


def check_build_in_cluster(destination: ImageRegistry | ImageRepository, options: BuildOptions) -> None:
    """Refuse what a build in the cluster cannot do.

    Raises:
        ParameterError: it has no registry to push to, or no place for its context.
    """
    if destination.transport != "docker":
        raise ParameterError(
            f"a build in the cluster cannot push to {destination}; name docker://HOST/REPO in registry."
        )
    if not options.context:
        raise ParameterError(
            "a build in the cluster needs a place for its context; name s3://BUCKET/PREFIX in build_options' "
            "context, or choose build=append, which needs none."
        )


def resolve_auto(text: str) -> str:
    """Return the address of the serving image; `auto` where our own is to be built."""
    return os.environ.get(SERVING_IMAGE_VARIABLE) or AUTO if text == AUTO else text


def parse_serving_image(text: str) -> "tuple[ImageRepository, str] | ImageRef | None":
    """Return an image by digest, or its repository and its tag; None for `auto`.

    Raises:
        ImageError: it is no address of an image.
    """
    if resolve_auto(text) == AUTO:
        return None
    text = resolve_auto(text)
    try:
        if "@" in text:
            return ImageRef.parse(text)
        folders, slash, last = text.rpartition("/")
        name, colon, tag = last.rpartition(":")
        if not colon:
            name, tag = last, "latest"
        return ImageRepository.parse(folders + slash + name), tag
    except ImageError as error:
        raise ImageError(f"serving_image cannot be used: {error}") from error
