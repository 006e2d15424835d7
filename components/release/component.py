"""The KFP face of `release`."""

from typing import NamedTuple

from kfp_edge.runtime.component import component


@component
def release(image: str, registry: str, model_name: str, model_version: str) -> NamedTuple("Outputs", [("image", str)]):
    """Copy a tested image by digest from the candidates to the releases of its model.

    Args:
        image: The candidate by digest, as `staging_test` returns it.
        registry: `oci:FOLDER` or `docker://HOST[:PORT]/REPO`.
        model_name: Name of the model, and of its release repository.
        model_version: Version of the model, and the image's tag there.

    Outputs:
        image: The released image by digest, `REGISTRY/MODEL@sha256:...`; the digest is the candidate's.
    """
    from kfp_edge.runtime.stage import stage

    with stage("release"):
        from kfp_edge.components.release.release import release
        from kfp_edge.images.oci import ImageRef

        return (str(release(ImageRef.parse(image), registry, model_name, model_version)),)
