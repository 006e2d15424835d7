"""The report on drift: the reasons of the decision first, then plots of what changed, then every comparison."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kfp_edge.drift.counts import Kind
from kfp_edge.drift.result import Comparison, Decision, DriftResult, Scope, Verdict
from kfp_edge.reports.html import BLUE, ORANGE, MarkedCell, Page
from kfp_edge.reports.labels import to_label
from kfp_edge.reports.legends import add_legend
from kfp_edge.wording import count_of

_SENTENCES = {
    Decision.NONE: "Nothing is to do.",
    Decision.WATCH: "Look at it. There is no reason yet to retrain the model.",
    Decision.REPAIR: "Repair a sensor. The model fits the other data.",
    Decision.RETRAIN: "Retrain the model.",
}
#: The order in which comparisons are shown.
_ORDER = (Verdict.BROKEN, Verdict.DRIFT, Verdict.WATCH, Verdict.SEASONAL, Verdict.STABLE, Verdict.NO_VERDICT)
_SCOPES = (Scope.FLEET, Scope.RING, Scope.SITE)
#: More would not be read.
_PLOTS, _ROWS, _MAP_ROWS, _MAP_COLUMNS = 12, 300, 40, 24
#: The index whose colour is the darkest.
_DARKEST = 0.5
_ROW_INCHES = 0.3
_EXPLANATION = (
    "PSI: how far the shares of the bins are from those of training. Adjusted p-value: how likely such a difference is "
    "in any of the comparisons without drift. Rows per independent: how many rows say as much as one that does not "
    "depend on the others."
)
_HEADER = (
    "group",
    "version",
    "variable",
    "rows",
    "PSI",
    "adjusted p-value",
    "rows per independent",
    "verdict",
    "reason",
)


def write_report(result: DriftResult, path: Path) -> None:
    """Write the report.

    Raises:
        StorageError: the file system refuses.
    """
    period = f"{result.start:%Y-%m-%d %H:%M} to {result.end:%Y-%m-%d %H:%M} UTC"
    page = Page(f"Drift of {result.model}", f"{period}, {'version' if len(result.versions) == 1 else 'versions'} "
                f"{', '.join(result.versions)}, compared with training.")  # fmt: skip
    page.heading(f"Decision: {result.decision}").text(_SENTENCES[result.decision]).items(result.reasons)
    if result.quarantined:
        page.heading("Rows not to be retrained on")
        rows = [
            (each.site, ", ".join(each.features), f"{each.start:%m-%d %H:%M} to {each.end:%m-%d %H:%M}", each.reason)
            for each in result.quarantined
        ]
        page.table(("site", "features", "time", "reason"), rows)
    ordered = sorted(result.comparisons, key=_sort_key)
    measured = [each for each in ordered if each.psi is not None]
    if len(measured) > 1:
        page.heading("Population stability index").figure(_plot_map(measured), "The index by group and variable")
        page.text(
            f"0 is no difference; drift begins at {result.options.drift_psi:g}, unless chance explains it (not bold)."
        )
    changed = [each for each in ordered if each.verdict in _ORDER[:4]]
    if changed:
        page.heading("What changed")
        for each in changed[:_PLOTS]:
            page.figure(_plot_bins(each), f"{_name_group(each)}, {_name_variable(each)}: shares of rows in each bin")
        if len(changed) > _PLOTS:
            page.text(f"{count_of(len(changed) - _PLOTS, 'more comparison')} in the table below.")
    page.heading("All comparisons").text(_EXPLANATION)
    page.table(_HEADER, [_table_row(each) for each in ordered[:_ROWS]])
    if len(ordered) > _ROWS:
        page.text(f"{count_of(len(ordered) - _ROWS, 'more comparison')} in the JSON of this run.")
    page.write(path)


def _sort_key(comparison: Comparison) -> tuple[int, int, float, str]:
    order = _ORDER.index(comparison.verdict), _SCOPES.index(comparison.scope)
    return (*order, -(comparison.psi or 0.0), comparison.name)


def _name_group(comparison: Comparison) -> str:
    return "the whole fleet" if comparison.scope is Scope.FLEET else f"{comparison.scope} {comparison.name}".strip()


def _name_variable(comparison: Comparison) -> str:
    return comparison.variable if comparison.kind is Kind.FEATURE else f"output {comparison.variable}"


def _table_row(each: Comparison) -> list[object]:
    is_bad = each.verdict in (Verdict.DRIFT, Verdict.BROKEN)
    mark = "bad" if is_bad else "good" if each.verdict is Verdict.STABLE else "idle"
    numbers = (each.psi, each.adjusted_p_value, each.rows_per_independent)
    return [
        _name_group(each),
        each.version,
        _name_variable(each),
        f"{each.rows:,}",
        *("" if number is None else f"{number:.3g}" for number in numbers),
        MarkedCell(str(each.verdict), "bad" if mark == "bad" else "good" if mark == "good" else "idle"),
        each.reason,
    ]


def _plot_map(measured: Sequence[Comparison]) -> Figure:
    """Return the index of every group (rows) in every variable (columns), those that changed most first."""
    several = len({each.version for each in measured}) > 1
    groups = list(dict.fromkeys(_map_row(each, several) for each in sorted(measured, key=_map_key)))[:_MAP_ROWS]
    variables = list(dict.fromkeys(_name_variable(each) for each in measured))[:_MAP_COLUMNS]
    table = np.full((len(groups), len(variables)), np.nan)
    figure = Figure(
        figsize=(min(11, 3.2 + 0.85 * len(variables)), 1.6 + _ROW_INCHES * len(groups)), layout="constrained"
    )
    axis = figure.subplots()
    for each in measured:
        row, name = _map_row(each, several), _name_variable(each)
        if row in groups and name in variables and each.psi is not None:
            place = groups.index(row), variables.index(name)
            table[place] = each.psi
            is_alarm = each.verdict in _ORDER[:4]
            axis.text(
                place[1] + 0.5,
                place[0] + 0.5,
                f"{each.psi:.2f}",
                ha="center",
                va="center",
                fontsize=8,
                fontweight="bold" if is_alarm else "normal",
                color="white" if each.psi > _DARKEST * 0.7 else "black",
            )
    axis.pcolormesh(np.ma.masked_invalid(table), cmap="Oranges", vmin=0, vmax=_DARKEST, edgecolors="white", linewidth=1)
    axis.set_xticks(np.arange(len(variables)) + 0.5, [to_label(name, 24) for name in variables], rotation=30, ha="left")
    axis.set_yticks(np.arange(len(groups)) + 0.5, [to_label(name, 32) for name in groups])
    axis.invert_yaxis()
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.spines[:].set_visible(False)
    return figure


def _map_row(comparison: Comparison, has_versions: bool) -> str:
    return f"{_name_group(comparison)} {comparison.version}" if has_versions else _name_group(comparison)


def _map_key(comparison: Comparison) -> tuple[int, int, float]:
    return _SCOPES.index(comparison.scope), _ORDER.index(comparison.verdict), -(comparison.psi or 0.0)


def _plot_bins(comparison: Comparison) -> Figure:
    training = max(1, sum(each.training for each in comparison.bins))
    bins = [each for each in comparison.bins if each.training or each.window]
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axis = figure.subplots()
    positions = np.arange(len(bins))
    axis.bar(positions - 0.2, [100 * each.training / training for each in bins], 0.4, label="training", color=BLUE)
    window = [100 * each.window / max(1, comparison.rows) for each in bins]
    axis.bar(positions + 0.2, window, 0.4, label="window", color=ORANGE)
    axis.set_xticks(positions, [to_label(each.label, 22) for each in bins], rotation=30, ha="right", fontsize=8)
    axis.set_ylabel("% of the rows")
    axis.spines[["top", "right"]].set_visible(False)
    psi = "" if comparison.psi is None else f", PSI {comparison.psi:.2f}"
    name = f"{to_label(_name_group(comparison))}: {to_label(_name_variable(comparison))}"
    axis.set_title(f"{name} ({comparison.verdict}{psi})", loc="right", fontsize=10)
    add_legend(axis)
    return figure
