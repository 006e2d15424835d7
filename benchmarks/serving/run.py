"""Our server beside its peers: python benchmarks/serving/run.py [--quick] > REPORT. Takes about half an hour.

Needs gcc, which it installs, and the container tools of `make tools`. The peers are installed into `build/bench/`.
"""

import argparse
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import report
from environments import HERE, program, python_of
from load import Effort, Figure, bare, closed_loop, python_grpc
from machine import load_average
from payloads import check
from processes import RunningServer, running
from results import CASES, LOADS, Results, Row
from served_bundle import ServedBundle, train_bundle
from servers import ALL, OURS, Server
from sizes import weigh
from soak import overload, soak, swaps

_PICTURE = HERE.parents[1] / "docs" / "benchmarks-serving.svg"
_ROWS = (1, 32)


@dataclass(frozen=True)
class Plan:
    """Durations in seconds and counts of the measurements."""

    effort: Effort
    soak: float
    overload: float
    swaps: int


_FULL = Plan(Effort(runs=3, seconds=2, warm_up=0.5, cold_starts=5), soak=600, overload=60, swaps=100)
_QUICK = Plan(Effort(runs=1, seconds=0.5, warm_up=0.1, cold_starts=1), soak=20, overload=5, swaps=4)


def measure(plan: Plan, scratch: Path) -> Results:
    """Measure everything, one after another; the model updates last, as they change the models folder."""
    numbers, whole = train_bundle(scratch / "numbers", drop=("Type",)), train_bundle(scratch / "whole")
    sizes = weigh(whole.folder, scratch / "registry")
    rows = [_row(server, numbers, plan.effort) for server in ALL]
    # the bundle that the line makes of all of AI4I: an input tensor for each column, one of them of text
    of_the_line = replace(OURS, title=f"{OURS.title}, 6 input tensors, one of text", encodings=("JSON",))
    rows.append(_row(of_the_line, whole, plan.effort))
    return Results(
        effort=plan.effort,
        bare={count: bare(numbers, count, plan.effort) for count in _ROWS},
        rows={row.title: row for row in rows},
        sizes=sizes,
        soak=soak(numbers, plan.soak),
        overload=overload(numbers, plan.overload),
        swaps=swaps(numbers, plan.swaps),
    )


def _row(server: Server, served: ServedBundle, effort: Effort) -> Row:
    """Start a server several times, and load it after the last."""
    starts = []
    for _ in range(effort.cold_starts):
        with running(server, served) as running_server:
            starts.append(running_server.cold_start)
    with running(server, served) as running_server:
        row = Row(server.title, Figure.of(starts))
        _load(server, served, running_server, row, effort)
        row.memory = running_server.memory()
    return row


def _load(server: Server, served: ServedBundle, running_server: RunningServer, row: Row, effort: Effort) -> None:
    for case in filter(server.takes, CASES):
        if server.infers:
            check(served, case, running_server.ports.http, running_server.ports.grpc)
        for load in LOADS:
            _log(f"{server.title}: {case}, {load}")
            row.loads[case, load] = closed_loop(served, case, running_server, load, effort)
        if case.encoding == "gRPC":
            row.python_calls[case.rows] = python_grpc(served, case.rows, running_server, effort)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print the report and draw the picture beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes, to see that it runs; draws no picture")
    quick = parser.parse_args().quick
    for name in ("floor", "load"):
        program(name)
    for peer in ("mlserver", "kserve", "triton"):
        python_of(peer)
    load_before = load_average()
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(sys.stderr):
        results = measure(_QUICK if quick else _FULL, Path(scratch))
    if not quick:
        report.draw(results, _PICTURE)
    print(report.write(results, load_before))


if __name__ == "__main__":
    main()
