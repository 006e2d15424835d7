"""False alarms and detection delay of the rule of kfp-edge, beside a plain limit on the index and evidently.

Prints the page docs/benchmarks-drift.md. `make bench` runs it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from windows import LATER, REPEATS, SIZES, Scenario, Table, Window, scenarios

from kfp_edge.components.verify.histograms import compute_histogram
from kfp_edge.drift.counts import Kind, Reference, SiteCounts, Variable, WindowCounts
from kfp_edge.drift.decision import evaluate
from kfp_edge.drift.reading import PARTS, bundle_reference
from kfp_edge.drift.result import Decision, DriftOptions
from kfp_edge.ml.bundle import Reference as BundleReference

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "bench"
END = datetime(2026, 11, 20, tzinfo=UTC)
VERSION = "1.0.0"
#: Whether a window raises an alarm, by repeat and window.
Alarms = list[list[bool]]
RULES = ("kfp-edge", "PSI > 0.2", "evidently")


@cache
def _reference(name: str) -> Reference:
    training = _scenario(name).training()
    histograms = {
        f"x{index}": compute_histogram(column.astype(np.float64), "FP32") for index, column in enumerate(training.T)
    }
    return bundle_reference(BundleReference(rows=len(training), features=dict(histograms)), VERSION)


@cache
def _scenario(name: str) -> Scenario:
    (scenario,) = [each for each in scenarios() if each.name == name]
    return scenario


def _count(values: Table, edges: Table, parts: int) -> Table:
    """Return rows by part and bin, as the server counts them; none is missing."""
    values = values.astype(np.float32)
    index = np.searchsorted(edges, values, side="right")
    index[values == edges[-1]] -= 1
    bins = len(edges) + 2
    part = np.arange(len(values)) * parts // len(values)
    return np.bincount(part * bins + index, minlength=parts * bins).reshape(parts, bins)


@cache
def _edges(name: str) -> list[Table]:
    training = _scenario(name).training()
    return [np.array(compute_histogram(column.astype(np.float64), "FP32").edges, np.float32) for column in training.T]


def _counts(name: str, windows: list[Window], parts: int) -> WindowCounts:
    """Return the counts of windows that follow each other, each divided into parts."""
    sites = []
    for site in windows[0]:
        counts = {
            Variable(Kind.FEATURE, f"x{index}"): np.concatenate(
                [_count(window[site][:, index], edges, parts) for window in windows]
            )
            for index, edges in enumerate(_edges(name))
        }
        sites.append(SiteCounts(site, "ring", VERSION, counts))
    return WindowCounts(END - timedelta(days=7), END, tuple(sites))


def _index(window: Table, training: Table) -> float:
    """Return the index as it is usually computed: shares of 0 become 0.0001."""
    actual, expected = (np.maximum(counts / counts.sum(), 1e-4) for counts in (window, training))
    return float(((actual - expected) * np.log(actual / expected)).sum())


def _our_alarms(name: str, size: int, seed: int) -> tuple[list[bool], list[bool]]:
    """Return whether each window raises an alarm: by kfp-edge, and by the plain limit; none after both have one."""
    scenario, reference = _scenario(name), _reference(name)
    ours, plain = [], []
    # also where the default gives no verdict, to show what it would be worth
    options = DriftOptions(min_rows=50, season=None)
    for window, before in scenario.windows(size, seed):
        counts = _counts(name, [window], PARTS)
        history = _counts(name, before, 1) if before else None
        result = evaluate("bench", counts, {VERSION: reference}, options, history=history)
        ours.append(result.decision is not Decision.NONE)
        indices = [
            _index(rows.sum(axis=0), reference.variables[variable].counts)
            for site in counts.sites
            for variable, rows in site.parts.items()
        ]
        plain.append(max(indices) > 0.2)
        if scenario.has_drift and any(ours) and any(plain):
            break
    return ours, plain


def _measure(name: str, size: int, repeats: int) -> dict[str, Alarms]:
    pairs = [_our_alarms(name, size, seed) for seed in range(repeats)]
    return {"kfp-edge": [ours for ours, _ in pairs], "PSI > 0.2": [plain for _, plain in pairs]}


def _measure_peer(python: Path, repeats: int, names: list[str]) -> dict[tuple[str, int], Alarms]:
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "alarms.json"
        subprocess.run([python, HERE / "evidently_alarms.py", output, str(repeats), *names], check=True)
        return {(name, int(size)): alarms for name, size, alarms in json.loads(output.read_text())}


def _install_peer() -> Path:
    folder = BUILD / "evidently"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        requirements = ["-r", HERE / "requirements-evidently.txt"]
        subprocess.run(
            [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *requirements], check=True
        )
    return python


def _format_rate(alarms: Alarms, _size: int) -> str:
    rate = float(np.mean(alarms))
    return f"{rate:.1%}" if 0 < rate < 0.1 else f"{rate:.0%}"


def _format_delay(alarms: Alarms, size: int) -> str:
    """Return the share of repeats with an alarm, and the median of the rows of a site until then."""
    windows = [each.index(True) + 1 for each in alarms if any(each)]
    if not windows:
        return "0%"
    return f"{len(windows) / len(alarms):.0%}, {round(float(np.median(windows)) * size):,}"


def _table(
    measured: dict[tuple[str, int, str], Alarms], names: list[str], format_alarms: Callable[[Alarms, int], str]
) -> str:
    header = ["windows of rows", "rule", *(f"{size:,}" for size in SIZES)]
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for name in names:
        for rule in RULES:
            cells = [format_alarms(measured[name, size, rule], size) for size in SIZES]
            lines.append(f"| {name if rule == RULES[0] else ''} | {rule} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--peer-python", type=Path, help="Python with evidently; by default one is installed")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    known = scenarios()
    names = [each.name for each in known]
    measured: dict[tuple[str, int, str], Alarms] = {}
    with ProcessPoolExecutor(options.workers) as pool:
        jobs = {(name, size): pool.submit(_measure, name, size, options.repeats) for name in names for size in SIZES}
        peer = _measure_peer(options.peer_python or _install_peer(), options.repeats, names)
        measured |= {(name, size, "evidently"): alarms for (name, size), alarms in peer.items()}
        for (name, size), job in jobs.items():
            measured |= {(name, size, rule): alarms for rule, alarms in job.result().items()}
    without = [each.name for each in known if not each.has_drift]
    texts = {
        "REPEATS": str(options.repeats),
        "LATER": str(LATER),
        "FALSE_ALARMS": _table(measured, without, _format_rate),
        "DELAYS": _table(measured, [name for name in names if name not in without], _format_delay),
        "VERSIONS": f"evidently 0.7.23, NumPy {version('numpy')}, SciPy {version('scipy')}",
    }
    page = (HERE / "page.md").read_text()
    for name, text in texts.items():
        page = page.replace(name, text)
    print(page.rstrip())


if __name__ == "__main__":
    main()
