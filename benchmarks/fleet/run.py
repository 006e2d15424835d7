"""A fleet of up to 10,000 sites: python benchmarks/fleet/run.py [--quick] > REPORT. Takes a quarter of an hour.

Needs git, kubectl (a package of the development group), Prometheus and the container tools of `make tools`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import report
from fleet_files import RINGS, BenchmarkFleet, add_releases, count_commits, create_fleet, measure_repository
from measure import Cost, measure
from results import Fleet, Results, Step
from site_metrics import free_address, prometheus_with
from updates import weigh_updates

from kfp_edge.fleet.rendering.render import build

HERE = Path(__file__).parent
_PICTURE = HERE.parents[1] / "docs" / "benchmarks-fleet.svg"
_KFP_EDGE = Path(sys.executable).with_name("kfp-edge")
_KUBECTL = Path(sys.executable).with_name("kubectl")
_RELEASES = 1000
#: Sites that kustomize renders one by one; of more, a sample.
_SAMPLE = 200


def measure_fleet(scratch: Path, count: int, releases: int, runs: int) -> Fleet:
    """Measure a fleet of so many sites."""
    address = free_address()
    fleet = create_fleet(scratch, count, f"http://{address}")
    before = measure_repository(fleet.repository)
    add_releases(fleet, releases)
    output = scratch / "rendered"
    checkout = ["--repository", fleet.checkout]
    one = fleet.sites[count // 2].name
    steps = {
        Step.CHECK: measure([_KFP_EDGE, "fleet", "check", *checkout], runs),
        Step.RENDER_ALL: measure([_KFP_EDGE, "fleet", "render", "--output", output, *checkout], runs),
        Step.RENDER_ONE: measure([_KFP_EDGE, "fleet", "render", one, *checkout], runs),
        Step.KUSTOMIZE_ONE: measure([_KUBECTL, "kustomize", fleet.checkout / "sites" / one], runs),
        Step.KUSTOMIZE_ALL: _kustomize_all(fleet),
    }
    _compare(fleet, output)
    with prometheus_with(scratch / "prometheus", fleet.sites, releases, address):
        steps[Step.STATUS] = measure([_KFP_EDGE, "fleet", "status", *checkout], runs)
        page = scratch / "fleet.html"
        steps[Step.PAGE] = measure([_KFP_EDGE, "fleet", "status", "--json", "--html", page, *checkout], runs)
    size = measure_repository(fleet.repository)
    commits = count_commits(fleet.repository)
    costs, touched = [], 0
    for number in range(runs):
        command = [sys.executable, HERE / "release.py", fleet.repository, RINGS[-1], str(number + 1)]
        costs.append(measure(command))
        touched = _count_touched(fleet, f"kfp-edge/press/2.{number + 1}.0@{RINGS[-1]}")
    steps[Step.COMMIT] = min(costs, key=lambda cost: cost.seconds)
    return Fleet(count, steps, before, size, commits, touched)


def _kustomize_all(fleet: BenchmarkFleet) -> Cost:
    """Run kustomize for each site, as many at once as there are processors; of a large fleet, for a sample."""
    folders = [fleet.checkout / "sites" / site.name for site in fleet.sites]
    sample = folders[:: max(1, len(folders) // _SAMPLE)]
    cost = measure([sys.executable, HERE / "kustomize_all.py", _KUBECTL, *sample])
    factor = len(folders) / len(sample)
    return replace(cost, seconds=cost.seconds * factor, cpu_seconds=cost.cpu_seconds * factor, is_estimate=factor > 1)


def _compare(fleet: BenchmarkFleet, output: Path) -> None:
    """Compare what was rendered for a sample of the sites with what kustomize makes of each."""
    names = [site.name for site in fleet.sites[:: max(1, len(fleet.sites) // _SAMPLE)]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        texts = pool.map(lambda name: build(fleet.checkout / "sites" / name), names)
        for name, text in zip(names, texts, strict=True):
            if (output / f"{name}.yaml").read_text() != text:
                sys.exit(f"kustomize renders {name} otherwise")


def _count_touched(fleet: BenchmarkFleet, branch: str) -> int:
    command = ["git", "diff-tree", "-r", "--name-only", "--no-commit-id", branch]
    done = subprocess.run(command, cwd=fleet.repository, capture_output=True, text=True, check=True)
    return len(done.stdout.split())


def main() -> None:
    """Measure, print the report and draw the picture beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="100 sites and 20 releases, to see that it runs; no picture"
    )
    quick = parser.parse_args().quick
    load_before = os.getloadavg()[0]
    counts, releases, runs = ((100,), 20, 1) if quick else ((100, 1000, 10_000), _RELEASES, 3)
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(sys.stderr):
        fleets = []
        for count in counts:
            print(f"measuring a fleet of {count:,} sites", flush=True)
            folder = Path(scratch, f"fleet-{count}")
            folder.mkdir()
            fleets.append(measure_fleet(folder, count, releases, runs))
        print("measuring what a site downloads", flush=True)
        ours, usual = weigh_updates(Path(scratch))
        results = Results(fleets, releases, ours, usual, load_before, os.getloadavg()[0])
    if not quick:
        report.draw(results, _PICTURE)
    print(report.write(results))


if __name__ == "__main__":
    main()
