"""The decision: whether a model still fits what its sites see."""

from collections.abc import Iterator, Mapping, Sequence

from kfp_edge.drift.comparing import compare_all
from kfp_edge.drift.counts import Kind, Reference, WindowCounts
from kfp_edge.drift.result import Comparison, Decision, DriftOptions, DriftResult, Quarantine, Scope, Verdict
from kfp_edge.drift.season import ReadCounts, mark_seasonal
from kfp_edge.drift.sensors import describe_faults, find_faults
from kfp_edge.wording import count_of

#: More variables or sites than these are not named in one sentence.
_NAMED = 5


def evaluate(
    model: str,
    window: WindowCounts,
    references: Mapping[str, Reference],
    options: DriftOptions,
    read: ReadCounts | None = None,
    history: WindowCounts | None = None,
) -> DriftResult:
    """Compare a window with training, and decide.

    Args:
        model: The name of the model.
        window: What its servers counted.
        references: The training of each version in the window.
        options: Limits.
        read: Reads another window, for the season; without it, nothing is seasonal.
        history: What the servers counted before, each part as long as the window.
    """
    faults = find_faults(window, references, options.min_rows, history)
    comparisons = compare_all(window, references, options, faults, history)
    if read is not None:
        comparisons = mark_seasonal(comparisons, window, references, options, faults, read)
    quarantined = tuple(describe_faults(faults, window))
    decision = _decide(comparisons, quarantined, options, window)
    return DriftResult(
        model=model,
        versions=tuple(sorted({each.version for each in window.sites})),
        start=window.start,
        end=window.end,
        options=options,
        decision=decision,
        reasons=tuple(_give_reasons(comparisons, quarantined, options, decision)),
        quarantined=quarantined,
        comparisons=tuple(comparisons),
    )


def _decide(
    comparisons: Sequence[Comparison], quarantined: Sequence[Quarantine], options: DriftOptions, window: WindowCounts
) -> Decision:
    drifted = [each for each in comparisons if each.verdict is Verdict.DRIFT]
    is_wide = any(_is_wide(each, options, window) for each in drifted)
    if drifted and (is_wide or _share_of_sites(comparisons) >= options.min_site_share):
        return Decision.RETRAIN
    if quarantined:
        return Decision.REPAIR
    if any(each.verdict in (Verdict.DRIFT, Verdict.WATCH) for each in comparisons):
        return Decision.WATCH
    return Decision.NONE


def _is_wide(comparison: Comparison, options: DriftOptions, window: WindowCounts) -> bool:
    """Return whether a ring or the fleet drifts, not just the few of its sites that still have an older version."""
    if comparison.scope is Scope.SITE:
        return False
    counted = [each for each in window.sites if comparison.scope is Scope.FLEET or each.ring == comparison.name]
    of_version = {each.site for each in counted if each.version == comparison.version}
    return len(of_version) >= options.min_site_share * len({each.site for each in counted})


def _share_of_sites(comparisons: Sequence[Comparison]) -> float:
    """Return the share of the sites with a verdict that drift."""
    return len(_drifted_sites(comparisons)) / max(1, len(_judged_sites(comparisons)))


def _judged_sites(comparisons: Sequence[Comparison]) -> set[str]:
    return {each.name for each in comparisons if each.scope is Scope.SITE and each.p_value is not None}


def _drifted_sites(comparisons: Sequence[Comparison]) -> list[str]:
    return sorted({each.name for each in comparisons if each.scope is Scope.SITE and each.verdict is Verdict.DRIFT})


def _give_reasons(
    comparisons: Sequence[Comparison], quarantined: Sequence[Quarantine], options: DriftOptions, decision: Decision
) -> Iterator[str]:
    has_versions = len({each.version for each in comparisons}) > 1
    for verdict, verb in ((Verdict.DRIFT, "drifts"), (Verdict.WATCH, "changes"), (Verdict.SEASONAL, "is seasonal")):
        for scope in (Scope.FLEET, Scope.RING, Scope.SITE):
            changed = [each for each in comparisons if each.scope is scope and each.verdict is verdict]
            groups = sorted({(each.name, each.version) for each in changed})
            for name, version in groups[:_NAMED]:
                of_group = _order([each for each in changed if (each.name, each.version) == (name, version)])
                subject = _name_group(scope, name, version if has_versions else "")
                yield f"{subject} {verb} in {_name_variables(of_group)}. {of_group[0].reason}".strip()
            if len(groups) > _NAMED:
                yield f"{count_of(len(groups) - _NAMED, f'more {scope}')} likewise: {verdict}."
    sites = _drifted_sites(comparisons)
    if sites and decision is not Decision.RETRAIN:
        yield (
            f"Drift at {len(sites)} of {count_of(len(_judged_sites(comparisons)), 'site')} is no reason to retrain the "
            f"model of all; the share has to be {options.min_site_share:.0%}."
        )
    for each in quarantined:
        subject = _name_group(Scope.SITE, each.site)
        yield f"{subject} has a broken sensor ({each.reason}). Repair it, and do not retrain on its rows."
    if not any(each.p_value is not None for each in comparisons):
        most = max(comparisons, key=lambda each: each.rows, default=None)
        yield f"There is no verdict. {most.reason if most else 'There are no rows.'}"
    elif all(each.verdict in (Verdict.STABLE, Verdict.NO_VERDICT) for each in comparisons):
        largest = _order([each for each in comparisons if each.verdict is Verdict.STABLE])[0]
        if largest.reason:
            subject = _name_group(largest.scope, largest.name, largest.version if has_versions else "")
            yield f"{subject} differs most in {_name_variables([largest])}. {largest.reason}"


def _order(comparisons: Sequence[Comparison]) -> list[Comparison]:
    return sorted(comparisons, key=lambda each: -(each.psi or 0))


def _name_group(scope: Scope, name: str, version: str = "") -> str:
    """Return what a sentence begins with; `version` only where there are several."""
    if scope is Scope.FLEET:
        return f"The fleet with version {version}" if version else "The whole fleet"
    group = f"{scope.capitalize()} {name or '(without a name)'}"
    return f"{group} with version {version}" if version else group


def _name_variables(comparisons: Sequence[Comparison]) -> str:
    names = [each.variable if each.kind is Kind.FEATURE else f"output {each.variable}" for each in comparisons]
    more = f" and {count_of(len(names) - _NAMED, 'more variable')}" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
