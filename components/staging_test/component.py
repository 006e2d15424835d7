"""The KFP component definition of `staging_test`."""

from kfp.dsl import Artifact, Input, Markdown, Output

from kfp_edge.runtime.component import component


@component
def staging_test(
    image: str,
    bundle: Input[Artifact],
    report: Output[Markdown],
    max_latency_ms: float = 50.0,
    startup_timeout: float = 60.0,
    staging: str = "auto",
    staging_options: dict = {},
    run_id: str = "",
    serving_image: str = "auto",
) -> str:
    """Run a candidate by digest under OpenShift's restrictions, test it as a client would, and remove it.

    Args:
        image: The candidate by digest, as `containerize` returns it.
        bundle: The bundle that the candidate was built from.
        max_latency_ms: Upper bound of the 99th percentile of a single-row request's latency in the staging test, over
            HTTP, in milliseconds.
        startup_timeout: Seconds from the start of the staging test until the candidate must be ready. In a cluster they
            include scheduling and the image pull: allow more, such as 600, where nodes are added on demand.
        staging: Where the candidate is tested: `kubernetes` (a pod), `podman` (a container on this machine), or `auto`:
            `kubernetes` in a pod, `podman` elsewhere.
        staging_options: Options of the test in a cluster, such as `{"namespace": "edge-staging", "pull_secret":
            "quay-pull"}`; the README of staging_test lists them.
        run_id: ID of the pipeline run, for the labels of the objects that the run creates in the cluster. In a
            pipeline: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.
        serving_image: Image with the inference server, on which the model becomes one layer: `oci:FOLDER:TAG`,
            `docker://HOST/REPO:TAG`, either of them with `@sha256:...` in place of the tag, or `auto`: the image that
            the environment variable `KFP_EDGE_SERVING_IMAGE` names, else one that is built once.

    Returns:
        Output: The tested candidate, the same reference; `release` takes it, and so waits for this test.
        report: Every check with the measured and the required value; the container's log if one failed.
    """
    from kfp_edge.runtime.stage import stage

    with stage("staging_test"):
        from pathlib import Path

        from kfp_edge.components.staging_test.run import staging_test
        from kfp_edge.images.oci.references import ImageRef
        from kfp_edge.reports.check import METADATA_KEY, write_checks

        candidate = ImageRef.parse(image)
        files = Path(bundle.path), Path(report.path)
        limits = max_latency_ms, startup_timeout
        checks = staging_test(candidate, *files, *limits, staging, staging_options, run_id, serving_image)
        report.metadata[METADATA_KEY] = write_checks(checks)
        return str(candidate)
