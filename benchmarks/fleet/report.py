"""The report: the results as Markdown, and as one picture."""

import math
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from measure import Cost
from results import Fleet, Results, Step

_TARGETS = {Step.COMMIT: 2.0, Step.STATUS: 5.0, Step.RENDER_ONE: 0.5}
_ALL_SITES = 60.0


def write(results: Results) -> str:
    """Return the whole report."""
    return "\n\n".join(
        [
            _about(results),
            "## Targets",
            _targets(results.fleets[-1]),
            "## Time and memory",
            _times(results.fleets),
            "![Time by the number of sites, and bytes of an update](benchmarks-fleet.svg)",
            "## The repository",
            _repository(results),
            "## What a site downloads",
            _downloads(results),
        ]
    )


def draw(results: Results, path: Path) -> None:
    """Draw the time of each step by the number of sites, and the bytes of updates."""
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6), layout="constrained", width_ratios=(3, 2))
    counts = [fleet.count for fleet in results.fleets]
    shown = (Step.KUSTOMIZE_ALL, Step.RENDER_ALL, Step.CHECK, Step.STATUS, Step.COMMIT, Step.RENDER_ONE)
    for step in shown:
        seconds = [fleet.steps[step].seconds for fleet in results.fleets]
        is_peer = step is Step.KUSTOMIZE_ALL
        label = step.replace("`", "")
        (line,) = left.plot(
            counts, seconds, "o-", color="grey" if is_peer else None, linestyle="--" if is_peer else "-"
        )
        left.annotate(
            label,
            (counts[-1], seconds[-1]),
            (6, 0),
            textcoords="offset points",
            va="center",
            color=line.get_color(),
            fontsize=8,
        )
    left.set(xscale="log", yscale="log", xlabel="sites", title="seconds")
    left.set_xlim(counts[0] * 0.8, counts[-1] * 40)
    left.set_xticks(counts, [f"{count:,}" for count in counts])
    left.minorticks_off()
    kinds = ("update of the model", "update of the server")
    pairs = ((results.ours.model, results.ours.server), (results.usual.model, results.usual.server))
    for number, (name, sizes, colour) in enumerate(
        zip(("kfp-edge", "usual image"), pairs, ("tab:blue", "lightgrey"), strict=True)
    ):
        bars = right.barh(
            [row + 0.4 * number for row in range(2)], [size / 1e6 for size in sizes], 0.38, label=name, color=colour
        )
        right.bar_label(bars, [_bytes(size) for size in sizes], padding=3, fontsize=8)
    right.set(yticks=[0.2, 1.2], yticklabels=kinds, title="MB that a site downloads")
    right.margins(x=0.25)
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.title.set_fontsize(10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _about(results: Results) -> str:
    git = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout.split()[2]
    counts = ", ".join(f"{fleet.count:,}" for fleet in results.fleets)
    return f"""# A fleet and its repository

Written by `make bench`: `benchmarks/fleet/run.py`. {platform.system()} {platform.machine()}, {os.cpu_count()} cores,
Python {platform.python_version()}, git {git}. Load of the machine (average of a minute): {results.load_before:.2f}
before, {results.load_after:.2f} at the end.

Fleets of {counts} sites in three rings (1 %, 10 % and the rest of the sites), each with two
models; every other site has a registry of its own, every third a sync window, one of ten is a site with Podman, one of
ten has an Argo CD of its own, and one of a hundred has a patch of its own, for which kustomize runs for this site
alone. The history has {results.releases:,} releases of one model, each committed and merged in all three rings with the
records of the promotions, and the branches of all of them. The metrics are in a real Prometheus, which scrapes all
sites; 2.5 % of them are offline, and 2 % have not taken the newest release.

Each figure is of a whole command, with the start of Python and a clone of the repository where it needs one, the
fastest of three runs; in brackets the time of processors of all its processes, on which other work on the machine has
less influence; memory is that of its largest process. `kubectl kustomize` runs for each site on all cores; from 1,000
sites on for a sample of 200, multiplied (*). What `render` writes for the sample is compared with it, byte by byte."""


def _targets(fleet: Fleet) -> str:
    lines = []
    for step, limit in _TARGETS.items():
        lines.append(_target(step, limit, fleet.steps[step].seconds))
    both = fleet.steps[Step.RENDER_ALL].seconds + fleet.steps[Step.CHECK].seconds
    lines.append(_target("render and check all sites", _ALL_SITES, both))
    return _table([f"at {fleet.count:,} sites", "required", "measured", ""], lines)


def _target(name: str, limit: float, seconds: float) -> list[str]:
    return [name, f"under {limit:g} s", f"{seconds:.2f} s", "met" if seconds < limit else "**missed**"]


def _times(fleets: Sequence[Fleet]) -> str:
    head = ["", *(f"{fleet.count:,} sites" for fleet in fleets), *_growth_head(fleets)]
    lines = [[str(step), *(_cost(fleet.steps[step]) for fleet in fleets), *_growth(fleets, step)] for step in Step]
    return _table(head, lines)


def _growth_head(fleets: Sequence[Fleet]) -> list[str]:
    return [f"growth of the last x{fleets[-1].count / fleets[-2].count:g}"] if len(fleets) > 1 else []


def _growth(fleets: Sequence[Fleet], step: Step) -> list[str]:
    if len(fleets) < 2:
        return []
    last, before = fleets[-1].steps[step], fleets[-2].steps[step]
    return [f"processors x{last.cpu_seconds / before.cpu_seconds:.1f}, memory x{last.peak_mb / before.peak_mb:.1f}"]


def _cost(cost: Cost) -> str:
    seconds, cpu = (f"{value:,.{2 if value < 10 else 0}f} s" for value in (cost.seconds, cost.cpu_seconds))
    return f"{seconds}{'*' if cost.is_estimate else ''} ({cpu}), {cost.peak_mb:.0f} MB"


def _repository(results: Results) -> str:
    fleets = results.fleets
    head = ["", *(f"{fleet.count:,} sites" for fleet in fleets)]
    lines = [
        ["a clone fetches, without releases", *(_bytes(fleet.new_bytes) for fleet in fleets)],
        [f"after {results.releases:,} releases", *(_bytes(fleet.used_bytes) for fleet in fleets)],
        ["commits of the branch", *(f"{fleet.commits:,}" for fleet in fleets)],
        [
            "bytes for one release, through all rings",
            *(f"{(fleet.used_bytes - fleet.new_bytes) / results.releases:,.0f}" for fleet in fleets),
        ],
        ["files that a release changes in a ring", *(str(fleet.touched) for fleet in fleets)],
    ]
    return _table(head, lines)


def _downloads(results: Results) -> str:
    ours, usual = results.ours, results.usual
    rows = (
        ("first image", ours.first, usual.first),
        ("**update of the model**", ours.model, usual.model),
        ("**update of the server**", ours.server, usual.server),
    )
    lines = [[name, f"{a:,}", f"{b:,}", f"{b / a:,.0f}x" if b > 10 * a else f"{b / a:.1f}x"] for name, a, b in rows]
    about = """\
Compressed bytes of the layers and the configuration that a site lacks, which has the image before. The usual image has
the same files in a layer of the base, which stays, and one of server, dependencies and model, built and pushed by
Buildah. The model is another one of the same kind (AI4I, other data); of the server, a line of one module changed."""
    return "\n\n".join([about, _table(["bytes", "kfp-edge", "usual image", "ratio"], lines)])


def _bytes(size: int) -> str:
    if size >= 1e6:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e3:.{max(0, 2 - int(math.log10(max(size, 1000) / 1e3)))}f} kB"


def _table(head: list[str], lines: list[list[str]]) -> str:
    rule = "| " + " | ".join([":---", *["---:"] * (len(head) - 1)]) + " |"
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(line) + " |" for line in lines)])
