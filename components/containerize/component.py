"""The KFP component definition of `containerize`."""

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
    format: str = "image",
    modelcar_base: str = "docker://registry.access.redhat.com/ubi9/ubi-micro:9.6",
) -> str:
    """Build the image of a model and push it as a candidate.

    Args:
        bundle: The bundle that `verify` wrote.
        registry: Where images are pushed: `docker://HOST[:PORT]/REPO`, or `oci:FOLDER` for OCI layouts in a folder.
        serving_image: Image with the inference server, on which the model becomes one layer: `oci:FOLDER:TAG`,
            `docker://HOST/REPO:TAG`, either of them with `@sha256:...` in place of the tag, or `auto`: the image that
            the environment variable `KFP_EDGE_SERVING_IMAGE` names, else one that is built once.
        revision: Git commit of the training code, recorded in the bundle and in the labels of the image. `kfp-edge run`
            and `kfp-edge submit` fill in that of the checkout.
        build: How the image is built: `tekton` (Buildah in a Tekton TaskRun), `append` (the layer is written without
            Buildah or privileges) or `auto`: `tekton` in a pod, `append` elsewhere.
        build_options: Options of the build `tekton`, such as `{"context": "s3://models/builds", "registry_secret":
            "quay-push"}`; the README of containerize lists them.
        run_id: ID of the pipeline run, for the labels of the objects that the run creates in the cluster. In a
            pipeline: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        format: What the image is: `image`, a container with the inference server, or `modelcar`, the model alone, for
            KServe's `oci://` addresses.
        modelcar_base: What a modelcar is built on: an image with `sh`, `ln` and `sleep`, which KServe runs as a
            sidecar, by address as in `serving_image`; or `scratch`, nothing, for KServe that mounts images as volumes.

    Returns:
        Output: The candidate by digest, `REGISTRY/MODEL-candidate@sha256:...`.
    """
    from kfp_edge.runtime.stage import stage

    with stage("containerize"):
        from pathlib import Path

        from kfp_edge.components.containerize.containerize import containerize

        options = (registry, serving_image, revision, build, build_options, run_id, format, modelcar_base)
        return str(containerize(Path(bundle.path), *options))
