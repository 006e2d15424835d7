"""Ours for long, under too much, and while its models are exchanged: python soak.py [--minutes 10].

Ends with exit code 1 when a promise was broken. `run.py` takes the same measurements into its report.
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

from bodies import Case, message, payload
from environments import HERE
from processes import running
from servers import OURS, ours
from subject import NAME, Subject, make

sys.path.append(str(HERE.parents[1] / "serving" / "tests"))
from serving_support.load import Outcome, ask, drive, drive_grpc, http_request, in_background, probe
from serving_support.swaps import add_version, replace_in_place

_INFER = f"/v2/models/{NAME}/infer"
_CLIENTS = 8
_SAMPLES = 60
_MOST_GROWTH = 0.02
_OVERLOAD_ROWS = 200
_OVERLOAD_CLIENTS = 400
_LONGEST_P99 = 1.0
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
        """By what share the last tenth is above the second tenth; the first one warms up."""
        tenth = max(1, len(self.resident) // 10)
        return median(self.resident[-tenth:]) / median(self.resident[tenth : 2 * tenth]) - 1

    @property
    def kept(self) -> bool:
        return self.growth <= _MOST_GROWTH and not self.failures and set(self.answers) <= {200, 400, 404}


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
    def kept(self) -> bool:
        told = set(self.outcome.seconds) <= {200, 503} and not self.outcome.failures
        quick = (
            self.outcome.percentile(200, 0.99) <= _LONGEST_P99 and self.outcome.percentile(503, 0.99) <= _LONGEST_P99
        )
        alive = set(self.probes.seconds) == {200} and self.probes.percentile(200, 1) <= _LONGEST_P99
        return told and quick and alive and not self.outcome.without_retry_after and self.recovery <= _LONGEST_P99


@dataclass(frozen=True)
class Swaps:
    """Exchanges of the model under load, half as new versions and half in place."""

    count: int
    outcome: Outcome
    calls: Outcome

    @property
    def failed(self) -> int:
        """How many requests were not answered with 200."""
        other = sum(count for status, count in self.outcome.answers.items() if status != 200)
        return other + self.outcome.failures.total() + self.calls.failures.total()

    @property
    def kept(self) -> bool:
        return self.failed == 0


def soak(subject: Subject, seconds: float) -> Soak:
    """Ask everything that may be asked, and what may not, over REST and gRPC, without a pause."""
    answers: Counter[int] = Counter()
    failures: Counter[str] = Counter()
    resident = []
    with running(OURS, subject) as server, in_background(_calls(subject, server.ports.grpc)) as calls:
        for number in range(_SAMPLES):
            outcome = drive(server.ports.http, _mixture(subject), _CLIENTS, _for(seconds / _SAMPLES))
            answers += Counter(outcome.answers)
            failures += outcome.failures
            resident.append(server.memory())
            if number % 10 == 9:
                _say(f"soak: {(number + 1) / _SAMPLES:.0%}, {resident[-1] / 1e6:.1f} MB")
    return Soak(seconds, answers, calls.answers[200], failures + calls.failures, resident)


def overload(subject: Subject, seconds: float) -> Overload:
    """Offer four times what the server can do, in requests of 200 rows from 400 clients."""
    large = [payload(subject, Case("JSON", _OVERLOAD_ROWS))]
    with running(OURS, subject) as server:
        port = server.ports.http
        alone = max(2.0, seconds / 10)
        sustainable = drive(port, large, _CLIENTS, _for(alone)).answers[200] / alone
        _say(f"overload: {4 * sustainable:.0f} requests a second, {sustainable:.0f} of which it can do")
        with in_background(partial(probe, port, "/v2/health/live")) as probes:
            outcome = drive(port, large, _OVERLOAD_CLIENTS, _for(seconds), rate=4 * sustainable)
        start = time.perf_counter()
        again = drive(port, [payload(subject, Case("JSON", 1))], 1, _once())
        if again.answers != {200: 1} or ask(port, "GET", "/v2/health/ready")[0] != 200:
            outcome.failures["not ready again"] += 1
        recovery = time.perf_counter() - start
    return Overload(sustainable, 4 * sustainable, seconds, outcome, probes, recovery)


def swaps(subject: Subject, count: int) -> Swaps:
    """Exchange the model under load; changes the bundles of the subject."""
    server_of_swaps = ours("--watch", "0.1")
    request = [payload(subject, Case("JSON", 1))]
    with running(server_of_swaps, subject) as server:
        load = partial(drive, server.ports.http, request, _CLIENTS)
        with in_background(load) as outcome, in_background(_calls(subject, server.ports.grpc)) as calls:
            bundle = subject.bundle
            for number in range(count // 2):
                bundle = _new_version(bundle, str(number + 2), server.ports.http)
            for number in range(count - count // 2):
                digest = replace_in_place(bundle, f"revision {number}")
                _wait(partial(_serves, server.ports.http, digest), f"exchange {number}")
    return Swaps(count, outcome, calls)


def _new_version(bundle: Path, version: str, port: int) -> Path:
    """Add a version, wait until it answers, and take the one before away; return the new folder."""
    folder = add_version(bundle, version)
    _wait(lambda: version in json.loads(_text(port, f"/v2/models/{NAME}"))["versions"], f"version {version}")
    for path in bundle.iterdir():
        path.unlink()
    bundle.rmdir()
    return folder


def _serves(port: int, digest: str) -> bool:
    return digest in _text(port, "/metrics")


def _mixture(subject: Subject) -> list[bytes]:
    one = payload(subject, Case("JSON", 1))
    return [
        one,
        payload(subject, Case("JSON", 32)),
        payload(subject, Case("binary", 1)),
        payload(subject, Case("binary", 32)),
        one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1),
        http_request("POST", _INFER, b'{"inputs": [{"name": "features"'),
        http_request("POST", _INFER, b'{"inputs": []}'),
        http_request("POST", "/v2/models/no-such/infer", b"{}"),
        http_request("GET", "/metrics"),
        http_request("GET", f"/v2/models/{NAME}"),
        http_request("GET", "/v2/health/ready"),
    ]


def _calls(subject: Subject, grpc_port: int) -> Callable[[Callable[[], bool]], Outcome]:
    return partial(drive_grpc, grpc_port, message(subject, 1))


def _for(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def _once() -> Callable[[], bool]:
    turns = iter([True])
    return lambda: next(turns, False)


def _wait(come_true: Callable[[], bool], what: str) -> None:
    going_on = _for(_SWAP_SECONDS)
    while not come_true():
        if not going_on():
            raise RuntimeError(f"the server did not take {what} within {_SWAP_SECONDS} s")
        time.sleep(0.02)


def _text(port: int, path: str) -> str:
    return ask(port, "GET", path)[1].decode()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Measure all three, print what was seen and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of the soak; the overload takes a tenth of it")
    parser.add_argument("--swaps", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        subject = make(Path(scratch) / "numbers", drop=("Type",))
        lasted = soak(subject, 60 * arguments.minutes)
        loaded = overload(subject, 6 * arguments.minutes)
        swapped = swaps(subject, arguments.swaps)
    print("\n".join([*tell_soak(lasted), *tell_overload(loaded), *tell_swaps(swapped)]))
    return 0 if lasted.kept and loaded.kept and swapped.kept else 1


def tell_soak(it: Soak) -> list[str]:
    """Return what was seen, as lines of Markdown."""
    series = ", ".join(f"{size / 1e6:.1f}" for size in it.resident[:: max(1, _SAMPLES // 10)])
    return [
        f"Soak, {it.seconds / 60:.3g} minutes: {_counts(it.answers)} over REST and {it.calls:,} gRPC calls;"
        f" {_failed(it.failures)}.",
        f"Memory {it.growth:+.1%} from the second tenth to the last (MB: {series}).",
    ]


def tell_overload(it: Overload) -> list[str]:
    """Return what was seen, as lines of Markdown."""
    accepted, refused = (it.outcome.percentile(status, 0.99) * 1000 for status in (200, 503))
    return [
        f"Overload, {it.seconds:g} s: {_OVERLOAD_CLIENTS} clients that together want {it.offered:,.0f} answers a second"
        f" to {_OVERLOAD_ROWS} rows, four times what it gives {_CLIENTS} clients ({it.sustainable:,.0f}).",
        f"{_counts(it.outcome.answers)}; {_failed(it.outcome.failures)},"
        f" {it.outcome.without_retry_after} refusals without Retry-After.",
        f"p99 of accepted requests {accepted:.0f} ms, of refused ones {refused:.0f} ms;"
        f" answered again after {it.recovery * 1000:.0f} ms. The slowest of {it.probes.answers.get(200, 0)} probes of"
        f" liveness took {it.probes.percentile(200, 1) * 1000:.0f} ms.",
    ]


def tell_swaps(it: Swaps) -> list[str]:
    """Return what was seen, as lines of Markdown."""
    return [
        f"Hot swap, {it.count} times under load: {_counts(it.outcome.answers)} over REST and"
        f" {it.calls.answers[200]:,} gRPC calls; {_failed(it.outcome.failures + it.calls.failures)}."
    ]


def _counts(answers: dict[int, int]) -> str:
    return ", ".join(f"{count:,} answers {status}" for status, count in sorted(answers.items()))


def _failed(failures: Counter[str]) -> str:
    return ", ".join(f"{count:,} x {what}" for what, count in failures.items()) or "no request failed"


if __name__ == "__main__":
    sys.exit(main())
