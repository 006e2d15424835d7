"""Run a candidate as the edge will, and test it as a client does."""

import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from kfp_edge.cluster import in_pod
from kfp_edge.components.staging_test import kubernetes_backend, podman_backend
from kfp_edge.components.staging_test.backend import StagingBackend
from kfp_edge.components.staging_test.checks import Budget, run_checks
from kfp_edge.components.staging_test.report import markdown, tail
from kfp_edge.components.staging_test.staging_options import StagingOptions
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.references import ImageRef
from kfp_edge.ml.bundle import Bundle
from kfp_edge.reports.check import Check
from kfp_edge.storage.files import write_file

_INTERRUPTED = "The test was interrupted."


def staging_test(
    image: ImageRef,
    bundle_folder: Path,
    report: Path,
    max_latency_ms: float = 50.0,
    startup_timeout: float = 60.0,
    staging: str = "auto",
    staging_options: Mapping[str, Any] | None = None,
    run_id: str = "",
) -> None:
    """Test an image by digest in a container on this machine or in a pod; nothing of it is left afterwards.

    Args:
        image: The candidate.
        bundle_folder: The bundle that it was made from: what it must say and answer.
        report: Where the Markdown report goes, also when the test fails.
        max_latency_ms: Milliseconds that a single-row request may take at the 99th percentile.
        startup_timeout: Seconds from the start until the candidate must be ready; in a cluster the pull counts too.
        staging: Where it runs: `kubernetes`, `podman`, or `auto`, which is kubernetes in a pod and podman elsewhere.
        staging_options: What the cluster is told, see `StagingOptions`.
        run_id: Marks what is made in the cluster, so that `clean_up` finds it; a random one when empty.

    Raises:
        KfpEdgeError: a check failed; the sentence is the first one's. Or the candidate cannot be started.
    """
    bundle = Bundle.load(bundle_folder)
    staged = _staged(image, staging, StagingOptions.parse(staging_options or {}), run_id or uuid.uuid4().hex)
    test = _Test(image)
    try:
        test.run(staged, bundle, Budget(startup_timeout, max_latency_ms))
    finally:
        write_file(report, markdown(image, test.checks, test.failure, test.log).encode())
    if test.failure:
        print(f"log of the container:\n{tail(test.log)}", flush=True)
        raise KfpEdgeError(test.failure)


def _staged(
    image: ImageRef, staging: str, options: StagingOptions, run_id: str
) -> AbstractContextManager[StagingBackend]:
    """Return the candidate to enter: it runs while the block does."""
    if staging not in ("auto", "kubernetes", "podman"):
        raise KfpEdgeError(f"staging is {staging!r}; it is one of auto, kubernetes and podman.")
    if staging == "podman" or (staging == "auto" and not in_pod()):
        return podman_backend.running(image)
    if image.transport == "oci":
        raise KfpEdgeError(
            f"{image} cannot be staged in a cluster, which pulls from registries only; set registry to docker://HOST/REPO."
        )
    return kubernetes_backend.running(image, options, run_id)


class _Test:
    """What is known of a test so far, for the report of one that did not end."""

    def __init__(self, image: ImageRef) -> None:
        self.image = image
        self.checks: list[Check] = []
        self.failure = _INTERRUPTED
        self.log = ""

    def run(self, staged: AbstractContextManager[StagingBackend], bundle: Bundle, budget: Budget) -> None:
        try:
            with staged as candidate:
                try:
                    for check in run_checks(candidate, bundle, budget):
                        print(f"{'passed' if check.passed else 'FAILED'}: {check.name}: {check.measured}", flush=True)
                        self.checks.append(check)
                finally:
                    self.log = candidate.log()
        except KfpEdgeError as error:
            self.failure = f"the candidate {self.image} cannot be tested: {error}"
            return
        failed = next((check for check in self.checks if not check.passed), None)
        self.failure = (
            ""
            if failed is None
            else f"the candidate {self.image} failed its test: {failed.failure_message}; see its log."
        )
