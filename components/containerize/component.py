"""The KFP face of `containerize`."""

from kfp.dsl import Artifact, Input

from kfp_edge.runtime.component import component


@component
def containerize(
    bundle: Input[Artifact],
    registry: str,
    serving_image: str = "auto",
    revision: str = "",
    build: str = "auto",
    build_options: dict = {},
    run_id: str = "",
) -> str:
    """Build the image of a model and push it to the model's candidates.

    Args:
        bundle: The bundle that `verify` wrote.
        registry: `oci:FOLDER` or `docker://HOST[:PORT]/REPO`.
        serving_image: `auto`, `oci:FOLDER:TAG`, `oci:FOLDER@sha256:...`, `docker://HOST/REPO[:TAG]`
            or `docker://HOST/REPO@sha256:...`.
        revision: Commit of the code, for the label; the one in the bundle when empty.
        build: `tekton` (Buildah in a TaskRun), `append` (without privileges), `local` (Buildah here),
            or `auto`: `tekton` in a pod, `local` elsewhere.
        build_options: Of a build in the cluster: `context` (`s3://BUCKET/PREFIX`), `service_account`,
            `builder_image`, `storage_driver`, `ca_bundle`, `registry_secret`, `node_selector`, `tolerations`,
            `cpu`, `memory`, `timeout`.
        run_id: The pipeline run, for the labels of what is made in the cluster.

    Outputs:
        Output: The candidate by digest, `REGISTRY/MODEL-candidate@sha256:...`.
    """
    from kfp_edge.runtime.stage import stage

    with stage("containerize"):
        from pathlib import Path

        from kfp_edge.components.containerize.containerize import containerize

        options = (registry, serving_image, revision, build, build_options, run_id)
        return str(containerize(Path(bundle.path), *options))
