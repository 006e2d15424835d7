"""Drift that comes with the season: the window is as it was a season before, and in between there was no drift."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from kfp_edge.drift.comparing import Group, add_up, find_groups
from kfp_edge.drift.counts import Reference, Variable, WindowCounts
from kfp_edge.drift.result import Comparison, DriftOptions, Verdict
from kfp_edge.drift.sensors import Faults
from kfp_edge.drift.statistics import compare
from kfp_edge.ml.arrays import Int64s

#: Returns what was counted between two times.
ReadCounts = Callable[[datetime, datetime], WindowCounts]
#: A window differs from the one a season before if chance explains it with less than this probability.
_P_VALUE = 0.05


def mark_seasonal(
    comparisons: Sequence[Comparison],
    window: WindowCounts,
    references: Mapping[str, Reference],
    options: DriftOptions,
    faults: Faults,
    read: ReadCounts,
) -> list[Comparison]:
    """Return the comparisons, with the verdict `seasonal` where it holds.

    Nothing is read if nothing drifts, or if the window is as long as the season.
    """
    alarms = [each for each in comparisons if each.verdict in (Verdict.DRIFT, Verdict.WATCH)]
    season = options.season
    if not alarms or season is None or window.end - window.start >= season:
        return list(comparisons)
    earlier = read(window.start - season, window.end - season)
    between = read(window.end - season, window.start)
    groups = {(each.scope, each.name, each.version): each for each in find_groups(window)}
    marked = []
    for each in comparisons:
        if each in alarms:
            group = groups[each.scope, each.name, each.version]
            variable = Variable(each.kind, each.variable)
            training = references[each.version].variables[variable].counts
            now = add_up(window, group, variable, faults)
            if now is not None and _is_seasonal(now, training, earlier, between, group, variable, options):
                reason = f"{each.reason} It was so {_format(season)} before, too, and not in between."
                marked.append(each.model_copy(update={"verdict": Verdict.SEASONAL, "reason": reason.strip()}))
                continue
        marked.append(each)
    return marked


def _is_seasonal(
    now: Int64s,
    training: Int64s,
    earlier: WindowCounts,
    between: WindowCounts,
    group: Group,
    variable: Variable,
    options: DriftOptions,
) -> bool:
    then, rest = add_up(earlier, group, variable, {}), add_up(between, group, variable, {})
    if then is None or rest is None or min(then.sum(), rest.sum()) < options.min_rows:
        return False
    since = compare(now, then.sum(axis=0))
    is_as_then = since.psi < options.watch_psi or (since.p_value is not None and since.p_value >= _P_VALUE)
    return is_as_then and compare(rest, training).psi < options.watch_psi


def _format(season: timedelta) -> str:
    days, seconds = season.days, season.seconds
    return f"{days} d" if not seconds else f"{days * 24 + seconds / 3600:g} h"
