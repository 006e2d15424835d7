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
    decision = _decide(comparisons, quarantined, options)
    return DriftResult(
        model=model,
        versions=tuple(sorted({each.version for each in window.sites})),
        start=window.start,
        end=window.end,
        options=options,
        decision=decision,
        reasons=tuple(_give_reasons(comparisons, quarantined, options)),
        quarantined=quarantined,
        comparisons=tuple(comparisons),
    )


def _decide(comparisons: Sequence[Comparison], quarantined: Sequence[Quarantine], options: DriftOptions) -> Decision:
    drifted = [each for each in comparisons if each.verdict is Verdict.DRIFT]
    is_wide = any(each.scope is not Scope.SITE for each in drifted)
    if drifted and (is_wide or _share_of_sites(comparisons) >= options.min_site_share):
        return Decision.RETRAIN
    if quarantined:
        return Decision.REPAIR
    if any(each.verdict in (Verdict.DRIFT, Verdict.WATCH) for each in comparisons):
        return Decision.WATCH
    return Decision.NONE


def _share_of_sites(comparisons: Sequence[Comparison]) -> float:
    """Return the share of the sites with a verdict that drift."""
    return len(_drifted_sites(comparisons)) / max(1, len(_judged_sites(comparisons)))


def _judged_sites(comparisons: Sequence[Comparison]) -> set[str]:
    return {each.name for each in comparisons if each.scope is Scope.SITE and each.p_value is not None}


def _drifted_sites(comparisons: Sequence[Comparison]) -> list[str]:
    return sorted({each.name for each in comparisons if each.scope is Scope.SITE and each.verdict is Verdict.DRIFT})


def _give_reasons(
    comparisons: Sequence[Comparison], quarantined: Sequence[Quarantine], options: DriftOptions
) -> Iterator[str]:
    for verdict, verb in ((Verdict.DRIFT, "drifts"), (Verdict.WATCH, "changes"), (Verdict.SEASONAL, "is seasonal")):
        for scope in (Scope.FLEET, Scope.RING, Scope.SITE):
            names = sorted({each.name for each in comparisons if each.scope is scope and each.verdict is verdict})
            for name in names[:_NAMED]:
                key = scope, name, verdict
                of_group = _order([each for each in comparisons if (each.scope, each.name, each.verdict) == key])
                subject, reason = _name_subject(of_group[0]), of_group[0].reason
                yield f"{subject} {verb} in {_name_variables(of_group)}. {reason}".strip()
            if len(names) > _NAMED:
                yield f"{count_of(len(names) - _NAMED, f'more {scope}')} likewise: {verdict}."
    sites = _drifted_sites(comparisons)
    if sites and _share_of_sites(comparisons) < options.min_site_share:
        yield (
            f"Drift at {len(sites)} of {count_of(len(_judged_sites(comparisons)), 'site')} is no reason to retrain the "
            f"model of all; the share has to be {options.min_site_share:.0%}."
        )
    for each in quarantined:
        yield f"Site {each.site} has a broken sensor ({each.reason}). Repair it, and do not retrain on its rows."
    if not any(each.p_value is not None for each in comparisons):
        most = max(comparisons, key=lambda each: each.rows, default=None)
        yield f"There is no verdict. {most.reason if most else 'There are no rows.'}"
    elif all(each.verdict in (Verdict.STABLE, Verdict.NO_VERDICT) for each in comparisons):
        largest = _order([each for each in comparisons if each.verdict is Verdict.STABLE])[0]
        if largest.reason:
            yield f"{_name_subject(largest)} differs most in {_name_variables([largest])}. {largest.reason}"


def _name_subject(comparison: Comparison) -> str:
    is_fleet = comparison.scope is Scope.FLEET
    return "The whole fleet" if is_fleet else f"{comparison.scope.capitalize()} {comparison.name}"


def _order(comparisons: Sequence[Comparison]) -> list[Comparison]:
    return sorted(comparisons, key=lambda each: -(each.psi or 0))


def _name_variables(comparisons: Sequence[Comparison]) -> str:
    names = [each.variable if each.kind is Kind.FEATURE else f"output {each.variable}" for each in comparisons]
    more = f" and {count_of(len(names) - _NAMED, 'more variable')}" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
