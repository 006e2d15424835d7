"""Compare the models of a fleet: one for each asset or site."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from kfp_edge.errors import ParameterError
from kfp_edge.metrics.catalog import Direction, find_metric
from kfp_edge.ml.bundle import Bundle, Manifest
from kfp_edge.reports.html import BLUE, ORANGE, Page
from kfp_edge.reports.numbers import format_number
from kfp_edge.tasks.registry import TASKS

_ROW_INCHES = 0.28


def write_fleet_summary(folders: Sequence[Path], report: Path) -> dict[str, float]:
    """Write a report that compares bundles, and return its metrics.

    Args:
        folders: The bundles, each of another model.
        report: Where the HTML report goes.

    Returns:
        `models`, the number of models; for each metric that all of them have, apart from those of
        single classes, `lowest_NAME` and `highest_NAME`.

    Raises:
        ParameterError: there is no bundle, or two have the same name.
        ModelError: a bundle was altered.
    """
    manifests = [Bundle.load(folder).manifest for folder in folders]
    _check_names(manifests)
    names = set.intersection(*(set(manifest.metrics) for manifest in manifests))
    shared = sorted(name for name in names if "(" not in name)  # without those of single classes
    ranked = sorted(manifests, key=lambda manifest: (_ranking_value(manifest, shared), manifest.name))
    _write_report(ranked, shared, report)
    summary = {"models": float(len(manifests))}
    for metric in shared:
        values = [manifest.metrics[metric] for manifest in manifests]
        summary |= {f"lowest_{metric}": min(values), f"highest_{metric}": max(values)}
    return summary


def _check_names(manifests: Sequence[Manifest]) -> None:
    if not manifests:
        raise ParameterError("there is no model to compare; name at least one asset.")
    names = [manifest.name for manifest in manifests]
    if duplicate := next((name for name in names if names.count(name) > 1), None):
        raise ParameterError(f"two models are called {duplicate!r}; give each asset a name of its own.")


def _ranking_value(manifest: Manifest, shared: Sequence[str]) -> float:
    """Return a number that is smaller for a worse model."""
    name = _choose_ranking_metric(manifest, shared)
    metric = find_metric(name) if name else None
    if metric is None:
        return 0.0
    return manifest.metrics[metric.name] * (-1 if metric.direction is Direction.LOWER else 1)


def _choose_ranking_metric(manifest: Manifest, shared: Sequence[str]) -> str | None:
    preferred = TASKS[manifest.task].headline_metric
    return preferred if preferred in shared else next(iter(shared), None)


def _write_report(ranked: Sequence[Manifest], shared: Sequence[str], report: Path) -> None:
    metric = _choose_ranking_metric(ranked[0], shared)
    lead = f"{len(ranked)} models, the one with the worst {metric} first." if metric else f"{len(ranked)} models."
    page = Page("Models of the fleet", lead)
    if metric:
        page.heading(metric).figure(_plot_bars(ranked, metric), f"{metric} of every model")
    page.heading("Metrics on held-out rows")
    if any(model.intervals for model in ranked):
        page.text("In brackets: 95 % intervals.")
    rows = [[model.name, model.version, *(_format_metric(model, name) for name in shared)] for model in ranked]
    page.table(("model", "version", *shared), rows)
    page.write(report)


def _format_metric(model: Manifest, name: str) -> str:
    interval = model.intervals.get(name)
    suffix = f" ({format_number(interval[0])} to {format_number(interval[1])})" if interval else ""
    return format_number(model.metrics[name]) + suffix


def _plot_bars(ranked: Sequence[Manifest], metric: str) -> Figure:
    figure = Figure(figsize=(11, 1.0 + _ROW_INCHES * len(ranked)), layout="constrained")
    axis = figure.subplots()
    values = [manifest.metrics[metric] for manifest in ranked]
    colours = [ORANGE, *[BLUE] * (len(ranked) - 1)]
    bars = axis.barh([manifest.name for manifest in ranked], values, color=colours)
    axis.bar_label(bars, [f"{value:.3f}" for value in values], padding=3)
    axis.invert_yaxis()
    axis.margins(x=0.08)
    axis.set(xlabel=f"{metric} on the held-out rows of each model")
    axis.spines[["top", "right"]].set_visible(False)
    return figure
