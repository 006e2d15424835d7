"""The models of a fleet beside each other."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from kfp_edge.errors import KfpEdgeError
from kfp_edge.ml.bundle import Bundle, Manifest
from kfp_edge.reports.html import BLUE, ORANGE, Page

#: The metric that models are ranked by, for each task.
_RANKED_BY = {"classification": "roc_auc", "anomaly": "event_recall"}
_ROW_INCHES = 0.28


def fleet_summary(folders: Sequence[Path], report: Path) -> dict[str, float]:
    """Write a page that compares bundles, and return what to log of them.

    Args:
        folders: The bundles, each of another model.
        report: Where the page goes (HTML).

    Returns:
        `models`, their number, and for each metric that all of them have its lowest and highest value, `lowest_NAME`
        and `highest_NAME`.

    Raises:
        KfpEdgeError: there is none, two have one name, or one was altered.
    """
    manifests = [Bundle.load(folder).manifest for folder in folders]
    _check(manifests)
    shared = sorted(set.intersection(*(set(manifest.metrics) for manifest in manifests)))
    ranked = sorted(manifests, key=lambda manifest: (_rank(manifest, shared), manifest.name))
    _write(ranked, shared, report)
    found = {"models": float(len(manifests))}
    for metric in shared:
        values = [manifest.metrics[metric] for manifest in manifests]
        found |= {f"lowest_{metric}": min(values), f"highest_{metric}": max(values)}
    return found


def _check(manifests: Sequence[Manifest]) -> None:
    if not manifests:
        raise KfpEdgeError("there is no model to compare; name at least one asset.")
    names = [manifest.name for manifest in manifests]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise KfpEdgeError(f"two models are called {twice!r}; give each asset a name of its own.")


def _rank(manifest: Manifest, shared: Sequence[str]) -> float:
    metric = _ranked_by(manifest, shared)
    return manifest.metrics[metric] if metric else 0.0


def _ranked_by(manifest: Manifest, shared: Sequence[str]) -> str | None:
    wanted = _RANKED_BY[manifest.task]
    return wanted if wanted in shared else next(iter(shared), None)


def _write(ranked: Sequence[Manifest], shared: Sequence[str], report: Path) -> None:
    metric = _ranked_by(ranked[0], shared)
    lead = f"{len(ranked)} models, the one with the lowest {metric} first." if metric else f"{len(ranked)} models."
    page = Page("Models of the fleet", lead)
    if metric:
        page.heading(metric).figure(_bars(ranked, metric), f"{metric} of every model")
    page.heading("Metrics on held-out rows")
    rows = [[one.name, one.version, *(one.metrics[name] for name in shared)] for one in ranked]
    page.table(("model", "version", *shared), rows)
    page.write(report)


def _bars(ranked: Sequence[Manifest], metric: str) -> Figure:
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
