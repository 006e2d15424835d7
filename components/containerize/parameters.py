"""The parameters of `containerize`: checked before a run starts, and by the stage itself."""

from collections.abc import Mapping

from kfp_edge.components.containerize.build_options import BuildOptions
from kfp_edge.errors import ParameterError
from kfp_edge.images.base_addresses import AUTO, MODELCAR_BASE, parse_modelcar_base, parse_serving_image
from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.references import ImageRegistry, ImageRepository
from kfp_edge.suggestions import describe_unknown_choice

_BUILDS = (AUTO, "tekton", "append")


def check_parameters(
    registry: str,
    serving_image: str,
    build: str,
    build_options: Mapping[str, object],
    format: str = ModelFormat.IMAGE,
    modelcar_base: str = MODELCAR_BASE,
    *,
    in_pod: bool,
) -> None:
    """Refuse an unknown build or format, options that it does not have, and places that it cannot reach.

    Args:
        registry: Where images are pushed.
        serving_image: The image that the model is put on.
        build: How the image is built.
        build_options: Options of the build in a cluster.
        format: The format of the image.
        modelcar_base: The image that the model is put on in a modelcar.
        in_pod: Whether the stage will run in a pod of a cluster, which decides what `auto` means.

    Raises:
        ParameterError: a parameter has a value that cannot be used, or does not fit another one.
        ImageError: an address of an image is not valid.
    """
    options = BuildOptions.parse(build_options)
    selected = select_build(build, in_pod=in_pod)
    destination = ImageRegistry.parse(registry)
    parse_serving_image(serving_image)
    ModelFormat.parse(format)
    parse_modelcar_base(modelcar_base)
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
