"""The checks of a staging test: what a client may expect of a candidate."""

import math
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kfp_edge.components.staging_test.backend import GRACE_SECONDS, ContainerState, StagingBackend
from kfp_edge.components.staging_test.described_tensors import check_class_names, check_metadata
from kfp_edge.components.staging_test.inference_client import ClientResponse, InferenceClient
from kfp_edge.components.staging_test.inference_messages import malformed_requests, max_difference, one_row
from kfp_edge.images.oci.labels import BUNDLE_LABEL
from kfp_edge.ml.bundle import Bundle, Sample
from kfp_edge.reports.check import Check

_WARM_UP_REQUESTS = 20
_MEASURED_REQUESTS = 200
_ROUNDS = 3
#: Statuses of a response with outputs; 202 if rows before a rolling window was full have none.
_ANSWERED = (200, 202)


@dataclass(frozen=True)
class Thresholds:
    """Seconds until the candidate must be ready, and the 99th percentile of a one-row request in milliseconds."""

    startup_timeout: float
    max_latency_ms: float


def run_checks(candidate: StagingBackend, bundle: Bundle, thresholds: Thresholds) -> Iterator[Check]:
    """Yield the checks as they are done; one that fails before the candidate is ready is the last."""
    yield _check_origin(candidate, bundle)
    manifest = bundle.manifest
    deadline = time.monotonic() + thresholds.startup_timeout
    if not (yield from _until_failure(candidate.wait_for_start(thresholds.startup_timeout))):
        return
    with InferenceClient(candidate.url, manifest.name, manifest.version) as client:
        if not (yield from _until_failure(_check_health(candidate, client, deadline, thresholds.startup_timeout))):
            return
        samples = bundle.samples
        sample = samples.samples[0]
        yield check_metadata(client.get(client.model_path), bundle)
        yield _check_samples(client, samples.samples, samples.tolerance)
        yield check_class_names(client.infer(sample.request), bundle.signature)
        for name, (path, body) in malformed_requests(client.model_path, sample.request).items():
            yield _check_refusal(name, client.post(path, body))
        yield _check_recovery(client, sample, samples.tolerance)
        yield _check_latency(client, one_row(sample.request, bundle.signature), thresholds.max_latency_ms)
    yield _check_stop(candidate)


def _check_origin(candidate: StagingBackend, bundle: Bundle) -> Check:
    label = candidate.labels.get(BUNDLE_LABEL, "none")
    return Check("made from the bundle", label == bundle.digest, f"bundle {label[:12]}", f"bundle {bundle.digest[:12]}")


def _until_failure(checks: Iterator[Check]) -> Generator[Check, None, bool]:
    """Yield checks up to the first that fails, and return whether all passed."""
    for check in checks:
        yield check
        if not check.passed:
            return False
    return True


def _check_health(
    candidate: StagingBackend, client: InferenceClient, deadline: float, timeout: float
) -> Iterator[Check]:
    paths = {
        "liveness": "/v2/health/live",
        "readiness": "/v2/health/ready",
        "model": f"{client.model_path}/ready",
    }
    for name, path in paths.items():
        yield _wait_for_ok(name, path, candidate, client, deadline, timeout)


def _wait_for_ok(
    name: str, path: str, candidate: StagingBackend, client: InferenceClient, deadline: float, timeout: float
) -> Check:
    required = f"200 within {timeout:g} s of the start"
    while True:
        response = client.ask_health(path)
        if response.status == 200:
            remaining = deadline - time.monotonic()
            return Check(name, remaining >= 0, f"200 after {timeout - remaining:.2f} s", required)
        if not (state := candidate.state()).running:
            return Check(name, False, f"the container {state}", required)
        if time.monotonic() > deadline:
            hint = f" ({candidate.no_response_hint})" if candidate.no_response_hint and not response.status else ""
            return Check(name, False, f"{response}{hint}", required)
        time.sleep(candidate.poll_interval)


def _check_samples(client: InferenceClient, samples: tuple[Sample, ...], tolerance: float) -> Check:
    required = f"within {tolerance:g}"
    largest = 0.0
    for number, sample in enumerate(samples):
        response = client.infer(sample.request)
        if response.status not in _ANSWERED:
            return Check("samples", False, f"sample {number} gave {response}", required)
        largest = max(largest, max_difference(sample.response, response.body))
        if not largest <= tolerance:
            return Check("samples", False, f"sample {number} differs by {largest:g}", required)
    return Check("samples", True, f"{len(samples)} samples differ by at most {largest:g}", required)


def _check_refusal(name: str, response: ClientResponse) -> Check:
    return Check(f"refuses: {name}", 400 <= response.status < 500, str(response), "4xx")


def _check_recovery(client: InferenceClient, sample: Sample, tolerance: float) -> Check:
    name, required = "healthy after malformed requests", "ready, and a correct response"
    readiness = client.get("/v2/health/ready")
    if readiness.status != 200:
        return Check(name, False, str(readiness), required)
    response = client.infer(sample.request)
    passed = response.status in _ANSWERED and max_difference(sample.response, response.body) <= tolerance
    return Check(name, passed, "healthy" if passed else str(response), required)


def _check_latency(client: InferenceClient, request: Mapping[str, Any], max_latency_ms: float) -> Check:
    """Time requests one after another; of several rounds the best counts, so that a busy moment does not decide."""
    required = f"p99 at most {max_latency_ms:g} ms"
    latencies = []
    for number in range(_WARM_UP_REQUESTS + _ROUNDS * _MEASURED_REQUESTS):
        start = time.perf_counter()
        response = client.infer(request)
        if response.status != 200:
            return Check("latency of one row", False, f"request {number} gave {response}", required)
        latencies.append(1000 * (time.perf_counter() - start))
    rounds = [
        sorted(latencies[start : start + _MEASURED_REQUESTS])
        for start in range(_WARM_UP_REQUESTS, len(latencies), _MEASURED_REQUESTS)
    ]
    percentiles = [[ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.99)] for ordered in rounds]
    p50, p99 = min(percentiles, key=lambda pair: pair[1])
    return Check("latency of one row", p99 <= max_latency_ms, f"p50 {p50:.2f} ms, p99 {p99:.2f} ms", required)


def _check_stop(candidate: StagingBackend) -> Check:
    required = f"exit code 0 within {GRACE_SECONDS} s of SIGTERM"
    if not (before := candidate.state()).running:
        return Check("clean stop", False, f"the container {before} before", required)
    start = time.monotonic()
    after = candidate.stop()
    seconds = time.monotonic() - start
    return Check("clean stop", _is_clean_stop(after, seconds), f"{after} after {seconds:.2f} s", required)


def _is_clean_stop(after: ContainerState, seconds: float) -> bool:
    """Whether the exit code is 0 or, where it is unknown, the container ended before SIGKILL."""
    return after.exit_code == 0 or (after.exit_code is None and not after.running and seconds < GRACE_SECONDS)
