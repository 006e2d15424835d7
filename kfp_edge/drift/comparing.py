"""Comparisons of a window with training: of each site, each ring and the whole fleet, in each variable."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kfp_edge.drift.counts import Bins, Kind, Reference, SiteCounts, Variable, WindowCounts
from kfp_edge.drift.result import BinCount, Comparison, DriftOptions, Scope, Verdict
from kfp_edge.drift.sensors import Faults
from kfp_edge.drift.statistics import MIN_CLUSTERS, Change, compare, has_history
from kfp_edge.ml.arrays import Int64s
from kfp_edge.wording import count_of

#: The share of one value in training from which on a model has learned nothing of the feature.
_CONSTANT = 0.9999
#: With fewer independent rows, a window does not show how much it may differ without drift.
_MIN_INDEPENDENT = 30
_CONSTANT_REASON = "It was constant in training, so the model does not use it."


@dataclass(frozen=True)
class Group:
    """Sites whose rows are taken together; all have the same version."""

    scope: Scope
    name: str
    version: str
    sites: tuple[str, ...]

    def __str__(self) -> str:
        return {Scope.FLEET: "the whole fleet"}.get(self.scope, f"{self.scope} {self.name}")


def find_groups(window: WindowCounts) -> list[Group]:
    """Return the groups that have a verdict of their own: a ring of one site has that of the site."""
    groups = []
    by_version: dict[str, list[SiteCounts]] = defaultdict(list)
    for each in window.sites:
        by_version[each.version].append(each)
    for version, sites in by_version.items():
        groups += [Group(Scope.SITE, each.site, version, (each.site,)) for each in sites]
        rings: dict[str, list[str]] = defaultdict(list)
        for each in sites:
            rings[each.ring].append(each.site)
        rings = {ring: names for ring, names in rings.items() if len(names) > 1}
        if len(sites) > 1:
            groups.append(Group(Scope.FLEET, "", version, tuple(each.site for each in sites)))
            smaller = {ring: names for ring, names in rings.items() if len(names) < len(sites)}
            groups += [Group(Scope.RING, ring, version, tuple(names)) for ring, names in smaller.items()]
    return groups


def add_up(window: WindowCounts, group: Group, variable: Variable, faults: Faults) -> Int64s | None:
    """Return the rows of a group by part and bin, without those of broken sensors; None if there are none."""
    counted = (window.by_site.get((site, group.version)) for site in group.sites)
    parts = [
        each.parts[variable]
        for each in counted
        if each is not None and variable in each.parts and not _is_quarantined(each, variable, faults)
    ]
    if not parts:
        return None
    total: Int64s = np.sum(parts, axis=0)
    return total


def compare_all(
    window: WindowCounts,
    references: Mapping[str, Reference],
    options: DriftOptions,
    faults: Faults,
    history: WindowCounts | None = None,
) -> list[Comparison]:
    """Return a comparison of each group and variable with training, corrected for their number."""
    compared = [
        _compare(window, group, variable, bins, options, faults, history)
        for group in find_groups(window)
        for variable, bins in references[group.version].variables.items()
    ]
    return list(_judge(compared, references, options))


def is_quarantined(site: str, version: str, faults: Faults) -> bool:
    """Return whether a site has a broken sensor."""
    return any((site, version) == key[:2] for key in faults)


def _is_quarantined(site: SiteCounts, variable: Variable, faults: Faults) -> bool:
    # what the model answers to the values of a broken sensor says nothing about the model
    if variable.kind is Kind.OUTPUT:
        return is_quarantined(site.site, site.version, faults)
    return (site.site, site.version, variable) in faults


def _compare(
    window: WindowCounts,
    group: Group,
    variable: Variable,
    bins: Bins,
    options: DriftOptions,
    faults: Faults,
    history: WindowCounts | None,
) -> Comparison:
    parts = add_up(window, group, variable, faults)
    all_parts = add_up(window, group, variable, {}) if parts is None else parts
    counts = np.zeros_like(bins.counts) if all_parts is None else all_parts.sum(axis=0)
    rows = int(counts.sum())
    comparison = Comparison(
        scope=group.scope,
        name=group.name,
        version=group.version,
        kind=variable.kind,
        variable=variable.name,
        rows=rows,
        verdict=Verdict.NO_VERDICT,
        bins=tuple(
            BinCount(label=label, training=int(training), window=int(count))
            for label, training, count in zip(bins.labels, bins.counts, counts, strict=True)
        ),
    )
    if parts is None and all_parts is not None:
        return _explain_quarantine(comparison, [(site, group.version, variable) for site in group.sites], faults)
    if parts is None or rows < options.min_rows:
        return _without_verdict(comparison, f"{count_of(rows, 'row')}, of which {options.min_rows:,} are needed.")
    before = None if history is None else add_up(history, group, variable, {})
    return _measure(comparison, compare(parts, bins.counts, before), before is not None and has_history(before))


def _explain_quarantine(
    comparison: Comparison, keys: Sequence[tuple[str, str, Variable]], faults: Faults
) -> Comparison:
    if own := [faults[key] for key in keys if key in faults]:
        return comparison.model_copy(update={"verdict": Verdict.BROKEN, "reason": f"The sensor is broken: {own[0]}."})
    return _without_verdict(comparison, "A sensor of the site is broken.")


def _measure(comparison: Comparison, change: Change, is_history_known: bool) -> Comparison:
    measured = comparison.model_copy(update={"psi": change.psi})
    if change.p_value is None:
        few = f"Rows in fewer than {MIN_CLUSTERS} parts of the window do not show how much they depend on each other."
        return _without_verdict(measured, few)
    independent = comparison.rows / change.rows_per_independent
    if independent < _MIN_INDEPENDENT and not is_history_known:
        rows = count_of(comparison.rows, "row")
        return _without_verdict(
            measured, f"{rows} say as much as {independent:.0f} independent rows; a longer window is needed."
        )
    update = {"p_value": change.p_value, "rows_per_independent": change.rows_per_independent}
    return measured.model_copy(update={**update, "verdict": Verdict.STABLE})


def _without_verdict(comparison: Comparison, reason: str) -> Comparison:
    return comparison.model_copy(update={"reason": reason})


def _judge(
    comparisons: Sequence[Comparison], references: Mapping[str, Reference], options: DriftOptions
) -> Iterator[Comparison]:
    adjusted = adjust_p_values([each.p_value for each in comparisons if each.p_value is not None])
    remaining = iter(adjusted)
    for each in comparisons:
        if each.p_value is None or each.psi is None:
            yield each
            continue
        p_value = next(remaining)
        update: dict[str, object] = {"adjusted_p_value": p_value}
        if p_value < options.false_alarm_rate and each.psi >= options.watch_psi:
            bins = references[each.version].variables[Variable(each.kind, each.variable)]
            is_constant = each.kind is Kind.FEATURE and float(bins.shares.max()) >= _CONSTANT
            is_drift = each.psi >= options.drift_psi and not is_constant
            update["verdict"] = Verdict.DRIFT if is_drift else Verdict.WATCH
            update["reason"] = _CONSTANT_REASON if is_constant else _describe(each, p_value)
        elif each.psi >= options.watch_psi:
            update["reason"] = _describe_chance(each, p_value)
        yield each.model_copy(update=update)


def _describe_chance(comparison: Comparison, p_value: float) -> str:
    """Say why a large difference is no drift."""
    independent = comparison.rows / (comparison.rows_per_independent or 1.0)
    return (
        f"PSI {comparison.psi:.2f}, which is not significant: {count_of(comparison.rows, 'row')} say as much as "
        f"{independent:,.0f} independent ones (adjusted p-value {p_value:.2g})."
    )


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number by Holm's method, which holds whatever they have in common.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted


def _describe(comparison: Comparison, p_value: float) -> str:
    training = max(1, sum(each.training for each in comparison.bins))
    most = max(comparison.bins, key=lambda each: each.window / comparison.rows - each.training / training)
    return (
        f"PSI {comparison.psi:.2f}, adjusted p-value {p_value:.2g}; the largest increase is in “{most.label}”: "
        f"{most.window / comparison.rows:.0%} of the rows, {most.training / training:.0%} in training."
    )
