"""Run a candidate as an edge site would, and test it as a client does."""

import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from kfp_edge.components.staging_test import kubernetes_backend, podman_backend
from kfp_edge.components.staging_test.backend import StagingBackend
from kfp_edge.components.staging_test.candidate import Candidate, is_modelcar, read_candidate_labels
from kfp_edge.components.staging_test.checks import Thresholds, run_checks
from kfp_edge.components.staging_test.parameters import check_can_be_pulled, check_limits, select_backend
from kfp_edge.components.staging_test.report import last_lines, render_report
from kfp_edge.components.staging_test.staging_options import StagingOptions
from kfp_edge.errors import ImageError, KfpEdgeError, RequirementsNotMetError
from kfp_edge.images.base_addresses import AUTO
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.serving.model_bases import fetch_serving_image, find_in_registry
from kfp_edge.kubernetes import in_pod
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
    serving_image: str = AUTO,
) -> list[Check]:
    """Test an image by digest in a container on this machine or in a pod, and remove everything afterwards.

    Args:
        image: The candidate.
        bundle_folder: The bundle that it was built from, with the expected metadata and responses.
        report: Where the Markdown report is written, also when the test fails.
        max_latency_ms: Upper bound of the 99th percentile of a single-row request's latency, in milliseconds.
        startup_timeout: Seconds from the start until the candidate must be ready; in a cluster the pull counts.
        staging: The backend: `kubernetes`, `podman`, or `auto`, which is kubernetes in a pod and podman elsewhere.
        staging_options: See `StagingOptions`.
        run_id: The label value by which `clean_up` finds the objects in the cluster; random if empty.
        serving_image: What a modelcar is run with; see `fetch_serving_image` of containerize.

    Returns:
        The checks, all of which passed.

    Raises:
        RequirementsNotMetError: a check failed; the message is that of the first.
        KfpEdgeError: the candidate cannot be started, the bundle is damaged, or a parameter is not valid.
    """
    check_limits(startup_timeout, max_latency_ms)
    bundle = Bundle.load(bundle_folder)
    options = StagingOptions.parse(staging_options or {})
    backend = _select_backend(image, bundle, staging, options, run_id or uuid.uuid4().hex, serving_image)
    test = _StagingTest(image)
    try:
        test.run(backend, bundle, Thresholds(startup_timeout, max_latency_ms))
    finally:
        failure = str(test.error) if test.error else "" if test.completed else _INTERRUPTED
        write_file(report, render_report(image, test.checks, failure, test.log).encode())
    if test.error:
        print(f"log of the container:\n{last_lines(test.log)}", flush=True)
        raise test.error
    return test.checks


def _select_backend(
    image: ImageRef, bundle: Bundle, staging: str, options: StagingOptions, run_id: str, serving_image: str
) -> AbstractContextManager[StagingBackend]:
    """Return the context manager in which the candidate runs."""
    is_here = select_backend(staging, in_pod=in_pod()) == "podman"
    if not is_here:
        check_can_be_pulled(image)
    labels = read_candidate_labels(image)
    server = _find_server(serving_image, is_here=is_here) if is_modelcar(labels) else None
    candidate = Candidate(image, labels, bundle.manifest.name, server)
    if is_here:
        return podman_backend.run_candidate(candidate)
    return kubernetes_backend.run_candidate(candidate, options, run_id)


def _find_server(serving_image: str, *, is_here: bool) -> ImageRef:
    """Return the serving image that a modelcar is run with."""
    if is_here:
        return fetch_serving_image(serving_image).image
    return find_in_registry(serving_image, "a staging test in the cluster", "staging=podman").image


class _StagingTest:
    """Collects the results of a test, so that there is a report even of one that is interrupted."""

    def __init__(self, image: ImageRef) -> None:
        self.image = image
        self.checks: list[Check] = []
        self.log = ""
        self.completed = False
        self.error: KfpEdgeError | None = None

    def run(self, backend: AbstractContextManager[StagingBackend], bundle: Bundle, thresholds: Thresholds) -> None:
        try:
            with backend as candidate:
                try:
                    for check in run_checks(candidate, bundle, thresholds):
                        print(f"{'passed' if check.passed else 'FAILED'}: {check.name}: {check.measured}", flush=True)
                        self.checks.append(check)
                finally:
                    self.log = candidate.log()
        except KfpEdgeError as error:
            self.error = ImageError(f"the candidate {self.image} cannot be tested: {error}")
        else:
            self.error = self._first_failure()
        self.completed = True

    def _first_failure(self) -> RequirementsNotMetError | None:
        failed = next((check for check in self.checks if not check.passed), None)
        if failed is None:
            return None
        return RequirementsNotMetError(
            f"the candidate {self.image} failed its test: {failed.failure_message}; see its log."
        )
