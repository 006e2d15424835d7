"""Soak test, overload and model updates under load of our server: python soak.py [--minutes 10].

Ends with exit code 1 if a limit is exceeded. `run.py` has the same measurements in its report.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from environments import HERE
from payloads import Case, message, payload
from processes import running
from served_bundle import NAME, ServedBundle, train_bundle
from servers import OURS, ours

sys.path.append(str(HERE.parents[1] / "serving" / "tests"))
from serving_support.load import Outcome, ask, drive, drive_grpc, http_request, in_background, probe
from serving_support.swaps import add_version, replace_in_place

_INFER = f"/v2/models/{NAME}/infer"
_CLIENTS = 8
_SAMPLES = 60
_MAX_GROWTH = 0.02
_OVERLOAD_ROWS = 200
_OVERLOAD_CLIENTS = 400
_MAX_P99 = 1.0
_SWAP_SECONDS = 30


@dataclass(frozen=True)
class Soak:
    """A long mixed load; `resident` are bytes at regular times."""

    seconds: float
    answers: Counter[int]
    calls: int
    failures: Counter[str]
    resident: list[int]

    @property
    def growth(self) -> float:
        """The growth of memory from the second tenth of the time to the last, as a share; the first tenth warms up."""
        tenth = max(1, len(self.resident) // 10)
        return median(self.resident[-tenth:]) / median(self.resident[tenth : 2 * tenth]) - 1

    @property
    def passed(self) -> bool:
        return self.growth <= _MAX_GROWTH and not self.failures and set(self.answers) <= {200, 400, 404}


@dataclass(frozen=True)
class Overload:
    """A load of four times what the server can do; rates are answers a second."""

    sustainable: float
    offered: float
    seconds: float
    outcome: Outcome
    #: Of liveness, each over a new connection, during the load.
    probes: Outcome
    #: Seconds after the load until an ordinary request was answered.
    recovery: float

    @property
    def passed(self) -> bool:
        is_answered = set(self.outcome.seconds) <= {200, 503} and not self.outcome.failures
        is_quick = self.outcome.percentile(200, 0.99) <= _MAX_P99 and self.outcome.percentile(503, 0.99) <= _MAX_P99
        is_alive = set(self.probes.seconds) == {200} and self.probes.percentile(200, 1) <= _MAX_P99
        return (
            is_answered and is_quick and is_alive and not self.outcome.without_retry_after and self.recovery <= _MAX_P99
        )


@dataclass(frozen=True)
class Swaps:
    """Updates of the model under load, half as new versions and half in place."""

    count: int
    outcome: Outcome
    calls: Outcome

    @property
    def failed(self) -> int:
        """The number of requests that were not answered with 200."""
        other = sum(count for status, count in self.outcome.answers.items() if status != 200)
        return other + self.outcome.failures.total() + self.calls.failures.total()

    @property
    def passed(self) -> bool:
        return self.failed == 0


def soak(served: ServedBundle, seconds: float) -> Soak:
    """Send valid and invalid requests of every kind over REST and gRPC, without a pause."""
    answers: Counter[int] = Counter()
    failures: Counter[str] = Counter()
    resident = []
    with running(OURS, served) as server, in_background(_calls(served, server.ports.grpc)) as calls:
        for number in range(_SAMPLES):
            outcome = drive(server.ports.http, _mixture(served), _CLIENTS, _for_seconds(seconds / _SAMPLES))
            answers += Counter(outcome.answers)
            failures += outcome.failures
            resident.append(server.memory())
            if number % 10 == 9:
                _log(f"soak: {(number + 1) / _SAMPLES:.0%}, {resident[-1] / 1e6:.1f} MB")
    return Soak(seconds, answers, calls.answers[200], failures + calls.failures, resident)


def overload(served: ServedBundle, seconds: float) -> Overload:
    """Offer four times the load that the server can handle, in requests of 200 rows from 400 clients."""
    large = [payload(served, Case("JSON", _OVERLOAD_ROWS))]
    with running(OURS, served) as server:
        port = server.ports.http
        alone = max(2.0, seconds / 10)
        sustainable = drive(port, large, _CLIENTS, _for_seconds(alone)).answers[200] / alone
        _log(f"overload: {4 * sustainable:.0f} requests a second, {sustainable:.0f} of which it can do")
        with in_background(partial(probe, port, "/v2/health/live")) as probes:
            outcome = drive(port, large, _OVERLOAD_CLIENTS, _for_seconds(seconds), rate=4 * sustainable)
        start = time.perf_counter()
        again = drive(port, [payload(served, Case("JSON", 1))], 1, _once())
        if again.answers != {200: 1} or ask(port, "GET", "/v2/health/ready")[0] != 200:
            outcome.failures["not ready again"] += 1
        recovery = time.perf_counter() - start
    return Overload(sustainable, 4 * sustainable, seconds, outcome, probes, recovery)


def swaps(served: ServedBundle, count: int) -> Swaps:
    """Update the model under load; changes the bundles in the models folder."""
    server_of_swaps = ours("--watch", "0.1")
    request = [payload(served, Case("JSON", 1))]
    with running(server_of_swaps, served) as server:
        load = partial(drive, server.ports.http, request, _CLIENTS)
        with in_background(load) as outcome, in_background(_calls(served, server.ports.grpc)) as calls:
            bundle = served.folder
            for number in range(count // 2):
                bundle = _new_version(bundle, str(number + 2), server.ports.http)
            for number in range(count - count // 2):
                digest = replace_in_place(bundle, f"revision {number}")
                _wait_until(partial(_serves, server.ports.http, digest), f"exchange {number}")
    return Swaps(count, outcome, calls)


def _new_version(bundle: Path, version: str, port: int) -> Path:
    """Add a version, wait until it answers, and take the one before away; return the new folder."""
    folder = add_version(bundle, version)
    _wait_until(lambda: version in json.loads(_get_text(port, f"/v2/models/{NAME}"))["versions"], f"version {version}")
    for path in bundle.iterdir():
        path.unlink()
    bundle.rmdir()
    return folder


def _serves(port: int, digest: str) -> bool:
    return digest in _get_text(port, "/metrics")


def _mixture(served: ServedBundle) -> list[bytes]:
    one = payload(served, Case("JSON", 1))
    return [
        one,
        payload(served, Case("JSON", 32)),
        payload(served, Case("binary", 1)),
        payload(served, Case("binary", 32)),
        one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1),
        http_request("POST", _INFER, b'{"inputs": [{"name": "features"'),
        http_request("POST", _INFER, b'{"inputs": []}'),
        http_request("POST", "/v2/models/no-such/infer", b"{}"),
        http_request("GET", "/metrics"),
        http_request("GET", f"/v2/models/{NAME}"),
        http_request("GET", "/v2/health/ready"),
    ]


def _calls(served: ServedBundle, grpc_port: int) -> Callable[[Callable[[], bool]], Outcome]:
    return partial(drive_grpc, grpc_port, message(served, 1))


def _for_seconds(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def _once() -> Callable[[], bool]:
    remaining = iter([True])
    return lambda: next(remaining, False)


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    is_in_time = _for_seconds(_SWAP_SECONDS)
    while not condition():
        if not is_in_time():
            raise RuntimeError(f"the server did not take {what} within {_SWAP_SECONDS} s")
        time.sleep(0.02)


def _get_text(port: int, path: str) -> str:
    return ask(port, "GET", path)[1].decode()


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Measure all three, print the results and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of the soak; the overload takes a tenth of it")
    parser.add_argument("--swaps", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        served = train_bundle(Path(scratch) / "numbers", drop=("Type",))
        lasted = soak(served, 60 * arguments.minutes)
        loaded = overload(served, 6 * arguments.minutes)
        swapped = swaps(served, arguments.swaps)
    print("\n".join([*soak_lines(lasted), *overload_lines(loaded), *swaps_lines(swapped)]))
    return 0 if lasted.passed and loaded.passed and swapped.passed else 1


def soak_lines(result: Soak) -> list[str]:
    """Return the result as lines of Markdown."""
    series = ", ".join(f"{size / 1e6:.1f}" for size in result.resident[:: max(1, _SAMPLES // 10)])
    return [
        f"Soak, {result.seconds / 60:.3g} minutes: {_counts(result.answers)} over REST and {result.calls:,} gRPC calls;"
        f" {_failed(result.failures)}.",
        f"Memory {result.growth:+.1%} from the second tenth to the last (MB: {series}).",
    ]


def overload_lines(result: Overload) -> list[str]:
    """Return the result as lines of Markdown."""
    outcome, probes = result.outcome, result.probes
    accepted, refused = (outcome.percentile(status, 0.99) * 1000 for status in (200, 503))
    return [
        f"Overload, {result.seconds:g} s: {_OVERLOAD_CLIENTS} clients that together want {result.offered:,.0f} answers"
        f" a second to {_OVERLOAD_ROWS} rows, four times what it gives {_CLIENTS} clients ({result.sustainable:,.0f}).",
        f"{_counts(outcome.answers)}; {_failed(outcome.failures)},"
        f" {outcome.without_retry_after} refusals without Retry-After.",
        f"p99 of accepted requests {accepted:.0f} ms, of refused ones {refused:.0f} ms;"
        f" answered again after {result.recovery * 1000:.0f} ms. The slowest of {probes.answers.get(200, 0)} probes of"
        f" liveness took {probes.percentile(200, 1) * 1000:.0f} ms.",
    ]


def swaps_lines(result: Swaps) -> list[str]:
    """Return the result as lines of Markdown."""
    return [
        f"Hot swap, {result.count} times under load: {_counts(result.outcome.answers)} over REST and"
        f" {result.calls.answers[200]:,} gRPC calls; {_failed(result.outcome.failures + result.calls.failures)}."
    ]


def _counts(answers: dict[int, int]) -> str:
    return ", ".join(f"{count:,} answers {status}" for status, count in sorted(answers.items()))


def _failed(failures: Counter[str]) -> str:
    return ", ".join(f"{count:,} x {what}" for what, count in failures.items()) or "no request failed"


if __name__ == "__main__":
    sys.exit(main())
