"""What a client may expect of a candidate, each as one check."""

import json
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from kfp_edge.components.staging_test.backend import GRACE, ContainerState, StagingBackend
from kfp_edge.components.staging_test.inference_client import ClientResponse, InferenceClient
from kfp_edge.images.labels import BUNDLE_LABEL
from kfp_edge.ml.bundle import Bundle, Sample, Signature
from kfp_edge.reports.check import Check

_WARM_UP = 20
_MEASURED = 200
_FLOATS = ("FP32", "FP64")


@dataclass(frozen=True)
class Budget:
    """Seconds until the candidate is ready, and milliseconds that one row may take at the 99th percentile."""

    startup_timeout: float
    max_latency_ms: float


def run_checks(candidate: StagingBackend, bundle: Bundle, budget: Budget) -> Iterator[Check]:
    """Yield the checks as they are done; one that fails before the candidate is ready is the last."""
    yield _origin(candidate, bundle)
    manifest = bundle.manifest
    deadline = time.monotonic() + budget.startup_timeout
    if not (yield from _passed(candidate.starts(budget.startup_timeout))):
        return
    with InferenceClient(candidate.url, manifest.name, manifest.version) as client:
        if not (yield from _passed(_answers(candidate, client, deadline, budget.startup_timeout))):
            return
        samples = bundle.samples
        yield _metadata(client.get(client.model), bundle)
        yield _samples(client, samples.samples, samples.tolerance)
        for name, (path, body) in malformed(client.model, samples.samples[0].request).items():
            yield _refused(name, client.post(path, body))
        yield _healthy(client, samples.samples[0], samples.tolerance)
        yield _latency(client, one_row(samples.samples[0].request, bundle.signature), budget.max_latency_ms)
    yield _stop(candidate)


def malformed(model: str, request: dict[str, Any]) -> dict[str, tuple[str, bytes]]:
    """Return requests that must be refused, each as its path and body, made from a good one."""
    first, *others = request["inputs"]
    datatype = "INT32" if first["datatype"] == "BYTES" else "BYTES"

    def changed(**fields: Any) -> bytes:
        return json.dumps({**request, "inputs": [{**first, **fields}, *others]}).encode()

    infer = f"{model}/infer"
    return {
        "not JSON": (infer, b'{"inputs": ['),
        "no inputs": (infer, b"{}"),
        "missing input": (infer, json.dumps({**request, "inputs": others}).encode()),
        "unknown input": (infer, changed(name="no-such-input")),
        "wrong shape": (infer, changed(shape=[*first["shape"], 7])),
        "wrong datatype": (infer, changed(datatype=datatype)),
        "too little data": (infer, changed(data=first["data"][:-1])),
        "unknown model": ("/v2/models/no-such-model/infer", json.dumps(request).encode()),
    }


def one_row(request: dict[str, Any], signature: Signature) -> dict[str, Any]:
    """Return the request with the first row only, where the signature leaves the number of rows open."""
    open_ended = {tensor.name for tensor in signature.inputs if tensor.shape[:1] == (-1,)}

    def cut(tensor: dict[str, Any]) -> dict[str, Any]:
        shape = [1, *tensor["shape"][1:]]
        return {**tensor, "shape": shape, "data": flat(tensor["data"])[: math.prod(shape)]}

    inputs = [cut(tensor) if tensor["name"] in open_ended else tensor for tensor in request["inputs"]]
    return {**request, "inputs": inputs}


def difference(expected: dict[str, Any], found: Any) -> float:
    """Return the largest difference of two inference responses.

    It is infinite when anything else than a float differs: a name, datatype, shape, integer or string.
    """
    try:
        answers = {tensor["name"]: tensor for tensor in found["outputs"]}
        return max(_tensor_difference(tensor, answers[tensor["name"]]) for tensor in expected["outputs"])
    except (KeyError, TypeError, ValueError):
        return math.inf


def flat(data: list[Any]) -> list[Any]:
    """Return nested or flat tensor data in row-major order ("Tensor Data")."""
    return [leaf for item in data for leaf in (flat(item) if isinstance(item, list) else [item])]


def _tensor_difference(expected: dict[str, Any], found: dict[str, Any]) -> float:
    if (expected["datatype"], expected["shape"]) != (found["datatype"], found["shape"]):
        return math.inf
    pairs = list(zip(flat(expected["data"]), flat(found["data"]), strict=True))
    if expected["datatype"] in _FLOATS:
        return max((abs(a - b) for a, b in pairs), default=0.0)
    return 0.0 if all(a == b for a, b in pairs) else math.inf


def _origin(candidate: StagingBackend, bundle: Bundle) -> Check:
    label = candidate.labels.get(BUNDLE_LABEL, "none")
    return Check("made from the bundle", label == bundle.digest, f"bundle {label[:12]}", f"bundle {bundle.digest[:12]}")


def _passed(checks: Iterator[Check]) -> Generator[Check, None, bool]:
    """Yield checks up to the first that fails, and return whether none did."""
    for check in checks:
        yield check
        if not check.passed:
            return False
    return True


def _answers(candidate: StagingBackend, client: InferenceClient, deadline: float, timeout: float) -> Iterator[Check]:
    waits = {"liveness": "/v2/health/live", "readiness": "/v2/health/ready", "model": f"{client.model}/ready"}
    for name, path in waits.items():
        yield _wait(name, path, candidate, client, deadline, timeout)


def _wait(
    name: str, path: str, candidate: StagingBackend, client: InferenceClient, deadline: float, timeout: float
) -> Check:
    required = f"200 within {timeout:g} s of the start"
    while True:
        answer = client.get(path)
        if answer.status == 200:
            left = deadline - time.monotonic()
            return Check(name, left >= 0, f"200 after {timeout - left:.2f} s", required)
        if not (state := candidate.state()).running:
            return Check(name, False, f"the container {state}", required)
        if time.monotonic() > deadline:
            hint = f" ({candidate.silence})" if candidate.silence and not answer.status else ""
            return Check(name, False, f"{answer}{hint}", required)
        time.sleep(candidate.poll)


def _metadata(answer: ClientResponse, bundle: Bundle) -> Check:
    required = "equal to the signature"
    signature = bundle.signature
    expected = {
        "name": bundle.manifest.name,
        "inputs": [_described(tensor) for tensor in signature.inputs],
        "outputs": [_described(tensor) for tensor in signature.outputs],
    }
    found = answer.body if isinstance(answer.body, dict) else {}
    wrong = [key for key, value in expected.items() if found.get(key) != value]
    if answer.status != 200 or wrong:
        told = f"{wrong[0]} is {json.dumps(found.get(wrong[0]))}" if found and wrong else str(answer)
        return Check("metadata", False, told, required)
    return Check("metadata", True, "equal", required)


def _described(tensor: Any) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _samples(client: InferenceClient, samples: tuple[Sample, ...], tolerance: float) -> Check:
    required = f"within {tolerance:g}"
    worst = 0.0
    for number, sample in enumerate(samples):
        answer = client.infer(sample.request)
        if answer.status != 200:
            return Check("samples", False, f"sample {number} gave {answer}", required)
        worst = max(worst, difference(sample.response, answer.body))
        if not worst <= tolerance:
            return Check("samples", False, f"sample {number} differs by {worst:g}", required)
    return Check("samples", True, f"{len(samples)} samples differ by at most {worst:g}", required)


def _refused(name: str, answer: ClientResponse) -> Check:
    return Check(f"refuses: {name}", 400 <= answer.status < 500, str(answer), "4xx")


def _healthy(client: InferenceClient, sample: Sample, tolerance: float) -> Check:
    required = "ready, and a right answer"
    ready = client.get("/v2/health/ready")
    if ready.status != 200:
        return Check("healthy after malformed requests", False, str(ready), required)
    answer = client.infer(sample.request)
    passed = answer.status == 200 and difference(sample.response, answer.body) <= tolerance
    return Check("healthy after malformed requests", passed, "healthy" if passed else str(answer), required)


def _latency(client: InferenceClient, request: dict[str, Any], budget: float) -> Check:
    required = f"p99 at most {budget:g} ms"
    times = []
    for number in range(_WARM_UP + _MEASURED):
        start = time.perf_counter()
        answer = client.infer(request)
        if answer.status != 200:
            return Check("latency of one row", False, f"request {number} gave {answer}", required)
        times.append(1000 * (time.perf_counter() - start))
    ordered = sorted(times[_WARM_UP:])
    p50, p99 = (ordered[math.ceil(share * _MEASURED) - 1] for share in (0.5, 0.99))
    return Check("latency of one row", p99 <= budget, f"p50 {p50:.2f} ms, p99 {p99:.2f} ms", required)


def _stop(candidate: StagingBackend) -> Check:
    required = f"exit code 0 within {GRACE} s of SIGTERM"
    if not (before := candidate.state()).running:
        return Check("clean stop", False, f"the container {before} before", required)
    start = time.monotonic()
    after = candidate.stop()
    seconds = time.monotonic() - start
    return Check("clean stop", _is_clean(after, seconds), f"{after} after {seconds:.2f} s", required)


def _is_clean(after: ContainerState, seconds: float) -> bool:
    """Whether a stop was clean; where nobody told the exit code, one that did not need SIGKILL was."""
    return after.exit_code == 0 or (after.exit_code is None and not after.running and seconds < GRACE)
