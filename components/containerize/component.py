"""The KFP face of `containerize`."""

from kfp.dsl import Artifact, Input

from kfp_edge.component import component


@component
def containerize(bundle: Input[Artifact], registry: str, serving_image: str = "auto", revision: str = "") -> str:
    """Build the image of a model with Buildah and push it to the model's candidates.

    Args:
        bundle: The bundle that `verify` wrote.
        registry: `oci:FOLDER` or `docker://HOST[:PORT]/REPO`.
        serving_image: `auto`, `oci:FOLDER:TAG`, `oci:FOLDER@sha256:...`, `docker://HOST/REPO[:TAG]`
            or `docker://HOST/REPO@sha256:...`.
        revision: Commit of the code, for the label; the one in the bundle when empty.

    Outputs:
        Output: The candidate by digest, `REGISTRY/MODEL-candidate@sha256:...`.
    """
    from kfp_edge.stage import stage

    with stage("containerize"):
        from pathlib import Path

        from kfp_edge.components.containerize.containerize import containerize

        return str(containerize(Path(bundle.path), registry, serving_image, revision))
