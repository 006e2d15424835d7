"""The KFP component definition of `release`."""

from typing import NamedTuple

from kfp_edge.runtime.component import component


@component
def release(image: str, registry: str, model_name: str, model_version: str) -> NamedTuple("Outputs", [("image", str)]):
    """Copy a tested candidate by digest to the release repository of its model.

    Args:
        image: The tested candidate by digest, as `staging_test` returns it.
        registry: Where images are pushed: `docker://HOST[:PORT]/REPO`, or `oci:FOLDER` for OCI layouts in a folder.
        model_name: Name of the model, a DNS label such as `press-failure`. It names the bundle, the image and the
            folder at the edge.
        model_version: Version of the model, such as `1.4.0`: the tag of the released image, and part of the name of the
            review branch.

    Returns:
        image: The released image by digest, `REGISTRY/MODEL@sha256:...`; the digest is the candidate's.
    """
    from kfp_edge.runtime.stage import stage

    with stage("release"):
        from kfp_edge.components.release.release import release
        from kfp_edge.images.oci.references import ImageRef

        return (str(release(ImageRef.parse(image), registry, model_name, model_version)),)
