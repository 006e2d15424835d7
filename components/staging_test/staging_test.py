"""Run a candidate as the edge will, and test it as a client does."""

import uuid
from pathlib import Path

from kfp_edge.bundle import Bundle
from kfp_edge.checks import Check
from kfp_edge.components.staging_test.candidate import running
from kfp_edge.components.staging_test.checks import Budget, run_checks
from kfp_edge.components.staging_test.report import markdown, tail
from kfp_edge.containers import loaded
from kfp_edge.errors import KfpEdgeError
from kfp_edge.files import write_file
from kfp_edge.oci import ImageRef
from kfp_edge.process import CommandError

_INTERRUPTED = "The test was interrupted."


def staging_test(
    image: ImageRef,
    bundle_folder: Path,
    report: Path,
    max_latency_ms: float = 50.0,
    startup_timeout: float = 60.0,
) -> None:
    """Test an image by digest in a container on this machine; nothing of it is left afterwards.

    Args:
        image: The candidate.
        bundle_folder: The bundle that it was made from: what it must say and answer.
        report: Where the Markdown report goes, also when the test fails.
        max_latency_ms: Milliseconds that a single-row request may take at the 99th percentile.
        startup_timeout: Seconds from the start until the candidate must be ready.

    Raises:
        KfpEdgeError: a check failed; the sentence is the first one's. Or the image cannot be had.
    """
    bundle = Bundle.load(bundle_folder)
    run_id = uuid.uuid4().hex[:12]
    stored = f"localhost/kfp-edge/staging:{run_id}"
    test = _Test(image)
    with loaded(image, stored):
        try:
            test.run(stored, f"kfp-edge-staging-{run_id}", bundle, Budget(startup_timeout, max_latency_ms))
        finally:
            write_file(report, markdown(image, test.checks, test.failure, test.log).encode())
    if test.failure:
        print(f"log of the container:\n{tail(test.log)}", flush=True)
        raise KfpEdgeError(test.failure)


class _Test:
    """What is known of a test so far, for the report of one that did not end."""

    def __init__(self, image: ImageRef) -> None:
        self.image = image
        self.checks: list[Check] = []
        self.failure = _INTERRUPTED
        self.log = ""

    def run(self, stored: str, name: str, bundle: Bundle, budget: Budget) -> None:
        try:
            with running(stored, name) as candidate:
                try:
                    for check in run_checks(candidate, bundle, budget):
                        print(f"{'passed' if check.passed else 'FAILED'}: {check.name}: {check.measured}", flush=True)
                        self.checks.append(check)
                finally:
                    self.log = candidate.log()
        except CommandError as error:
            self.failure = f"the candidate {self.image} cannot be tested: {error}"
            return
        failed = next((check for check in self.checks if not check.passed), None)
        self.failure = (
            "" if failed is None else f"the candidate {self.image} failed its test: {failed.sentence}; see its log."
        )
