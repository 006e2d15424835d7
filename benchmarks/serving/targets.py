"""The performance targets of the server, each with the measured value."""

from dataclasses import dataclass

from payloads import Case
from results import ALONE, ONE_ROW, SIXTEEN, SIXTEEN_PINNED, WITH_IDS, Results
from servers import FLOOR, KSERVE, KSERVE_TUNED, MLSERVER, MLSERVER_TUNED, OURS, OURS_BEFORE, Server

_MB = 1e6


@dataclass(frozen=True)
class Target:
    """One target; `measured` is the value, `met` whether it is good enough."""

    name: str
    target: str
    measured: str
    met: bool


def targets(results: Results) -> list[Target]:
    """Compare every target with the results."""
    return [
        _latency(results),
        _throughput(results, OURS_BEFORE, 2),
        _throughput(results, MLSERVER, 20),
        _throughput(results, MLSERVER_TUNED, 7),
        _throughput(results, KSERVE, 10),
        _throughput(results, KSERVE_TUNED, 10),
        _different_headers(results),
        *_grpc(results),
        *_resources(results),
        *_robustness(results),
    ]


def _latency(results: Results) -> Target:
    ours, floor = (results.rows[server.title].loads[ONE_ROW, ALONE].p50.value for server in (OURS, FLOOR))
    ratio = ours / floor
    measured = f"{ours:.0f} us, {ratio:.1f}x of {floor:.0f} us"
    return Target("p50 of one row, JSON, one connection", "2.5x of the floor", measured, ratio <= 2.5)


def _throughput(results: Results, peer: Server, times: float) -> Target:
    ours, theirs = (results.rows[server.title].loads[ONE_ROW, SIXTEEN].rate.value for server in (OURS, peer))
    name = f"requests/s of one row, JSON, 16 connections, beside {peer.title}"
    measured = f"{ours / theirs:.1f}x: {ours:,.0f} beside {theirs:,.0f}"
    return Target(name, f"{times:g}x", measured, ours / theirs >= times)


def _different_headers(results: Results) -> Target:
    """Compare on one processor: across two, the scheduling of the virtual machine moves each rate by a tenth."""
    loads = results.rows[OURS.title].loads
    (equal, different), (equal_anywhere, different_anywhere) = (
        [loads[case, load].rate.value for case in (ONE_ROW, WITH_IDS)] for load in (SIXTEEN_PINNED, SIXTEEN)
    )
    name = "requests/s with a trace context and an id in each request, 16 connections, one processor"
    measured = (
        f"{different / equal:.2f}x: {different:,.0f} beside {equal:,.0f}; "
        f"on two processors {different_anywhere / equal_anywhere:.2f}x"
    )
    return Target(name, "0.85x of equal headers", measured, different >= 0.85 * equal)


def _grpc(results: Results) -> list[Target]:
    ours, before = (results.rows[server.title].loads for server in (OURS, OURS_BEFORE))
    one, sixteen = (Case("gRPC", 1), ALONE), (Case("gRPC", 1), SIXTEEN)
    p50, p50_before = ours[one].p50.value, before[one].p50.value
    rate, rate_before = ours[sixteen].rate.value, before[sixteen].rate.value
    return [
        Target(
            f"p50 of one row, gRPC, one connection, beside {OURS_BEFORE.title}",
            "0.5x (stretch 0.25x)",
            f"{p50 / p50_before:.2f}x: {p50:.0f} us beside {p50_before:.0f} us",
            p50 <= 0.5 * p50_before,
        ),
        Target(
            f"calls/s of one row, gRPC, 16 connections, beside {OURS_BEFORE.title}",
            "2.5x",
            f"{rate / rate_before:.1f}x: {rate:,.0f} beside {rate_before:,.0f}",
            rate >= 2.5 * rate_before,
        ),
    ]


def _resources(results: Results) -> list[Target]:
    row, sizes = results.rows[OURS.title], results.sizes
    start = row.cold_start.value
    overhead = sizes.update / sizes.bundle - 1
    update = (
        f"{overhead:+.1%}: {sizes.update:,} bytes, of which the layer {sizes.model_layer:,}"
        f" and manifest and configuration {sizes.documents:,}; the bundle compressed is {sizes.bundle:,}"
    )
    return [
        Target("cold start to ready", "under 0.5 s", f"{start:.2f} s", start < 0.5),
        Target(
            "memory with one model, after the load", "under 120 MB", f"{row.memory / _MB:.0f} MB", row.memory < 120e6
        ),
        Target("image without a model, compressed", "under 45 MB", f"{sizes.image / _MB:.1f} MB", sizes.image < 45e6),
        Target("a model update ships no more than the model", "+10 %", update, overhead <= 0.1),
    ]


def _robustness(results: Results) -> list[Target]:
    soak, overload, swaps = results.soak, results.overload, results.swaps
    refused = overload.outcome.answers.get(503, 0)
    requests = sum(overload.outcome.answers.values())
    slowest = overload.outcome.percentile(200, 0.99)
    probe = overload.probes.percentile(200, 1)
    share, p99 = f"{refused / requests:.0%}", f"{slowest * 1000:.0f} ms"
    measured = f"{share} refused, p99 of the others {p99}, slowest probe {probe:.2f} s"
    return [
        Target(
            f"memory over {soak.seconds / 60:.3g} minutes of mixed load",
            "flat within 2 %",
            f"{soak.growth:+.1%}",
            soak.passed,
        ),
        Target(
            "four times the load it can do", "all answered, refused or probed within 1 s", measured, overload.passed
        ),
        Target(f"{swaps.count} hot swaps under load", "no failed request", _failed(swaps.failed), swaps.passed),
    ]


def _failed(count: int) -> str:
    return f"{count:,} failed" if count else "none failed"
