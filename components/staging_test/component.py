"""The KFP face of `staging_test`."""

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
) -> str:
    """Run a candidate by digest under OpenShift's limits and test it as a client would; always clean up.

    Args:
        image: The candidate by digest, as `containerize` returns it.
        bundle: The bundle that the candidate was made from.
        max_latency_ms: Milliseconds that a single-row request may take at the 99th percentile.
        startup_timeout: Seconds from the start until the candidate must be ready.
        staging: Where it runs: `kubernetes`, `podman`, or `auto`, which is kubernetes in a pod and podman elsewhere.
        staging_options: What the cluster is told: namespace, service_account, pull_secret, cpu, memory and more.
        run_id: The run, by which `clean_up` finds what was made in the cluster; random when empty.

    Outputs:
        Output: The tested candidate, the same reference: what is released depends on this test.
        report: Every check with what was measured and required; the container's log when one failed.
    """
    from kfp_edge.runtime.stage import stage

    with stage("staging_test"):
        from pathlib import Path

        from kfp_edge.components.staging_test.run import staging_test
        from kfp_edge.images.oci import ImageRef

        candidate = ImageRef.parse(image)
        files = Path(bundle.path), Path(report.path)
        staging_test(candidate, *files, max_latency_ms, startup_timeout, staging, staging_options, run_id)
        return str(candidate)
