"""A tested candidate becomes a release: the same bytes in the release repository."""

from kfp_edge.images.oci.references import ImageRef, ImageRegistry
from kfp_edge.images.registry import copy_image, find_digest, is_complete


def release(image: ImageRef, registry: str, model_name: str, model_version: str) -> ImageRef:
    """Copy an image by digest to the releases of its model and tag it with the version.

    What counts is the digest: a version that is released again with another digest moves the tag,
    and the image that had it stays. What is there already is not copied again, unless garbage collection has removed
    the image of a platform.

    Args:
        image: The candidate that passed its test.
        registry: `oci:FOLDER` or `docker://HOST[:PORT]/REPO`.
        model_name: Name of the release repository.
        model_version: The tag.

    Returns:
        The image in the release repository, with the digest of the candidate, as the registry reports it.

    Raises:
        KfpEdgeError: the candidate is gone, the registry refuses, or it reports another digest.
    """
    releases = ImageRegistry.parse(registry).releases(model_name)
    tagged = find_digest(releases, model_version)
    if tagged == image.digest and is_complete(releases.image(tagged)):
        print(f"{releases}:{model_version} is {tagged} already; nothing copied", flush=True)
        return releases.image(tagged)
    if tagged not in (None, image.digest):
        print(f"warning: {releases}:{model_version} was {tagged} and moves to {image.digest}", flush=True)
    released = copy_image(image, releases, model_version)
    print(f"released {released} as {model_version}", flush=True)
    return released
