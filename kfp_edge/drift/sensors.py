"""Sites with a broken sensor: one feature of one site that is far from those of all other sites."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

import numpy as np

from kfp_edge.drift.counts import Bins, Kind, Reference, SiteCounts, Variable, WindowCounts
from kfp_edge.drift.result import Quarantine
from kfp_edge.drift.statistics import MIN_CLUSTERS

#: The share of rows in one bin from which on a sensor does not move.
_STUCK = 0.999
#: The share of that bin in training above which that is normal.
_USUALLY_STUCK = 0.5
#: The share of rows in one bin of a usual window from which on a sensor moves slowly.
_SLOW = 0.8
#: How much larger the share of missing values or of values out of range has to be than in training.
_MORE_THAN_TRAINING = 0.5


class Fault(StrEnum):
    """What is wrong with a sensor."""

    MISSING = "its values are missing"
    STUCK = "its values do not change"
    OUT_OF_RANGE = "its values are outside of the range of training"


#: Faults by site, version and feature.
Faults = Mapping[tuple[str, str, Variable], Fault]


def find_faults(
    window: WindowCounts, references: Mapping[str, Reference], min_rows: int, history: WindowCounts | None = None
) -> Faults:
    """Return the broken sensors.

    A fault that most of the other sites have in the same feature is none: the process has changed, or what delivers the
    rows. A site that is alone can have a missing or a stuck sensor beside others that work; values out of range are
    then drift, since nothing tells them from a new state of the machine. If most features of a site are stuck or
    missing, the site sends no measurements, and all of them are faulty. What stayed in one bin in most of the windows
    before moves slowly, and is not stuck.
    """
    slow = set() if history is None else set(_find_slow(history))
    faults: dict[tuple[str, str, Variable], Fault] = {}
    for version, reference in references.items():
        sites = [each for each in window.sites if each.version == version]
        for variable, bins in reference.variables.items():
            if variable.kind is not Kind.FEATURE:
                continue
            counted = [each for each in sites if each.rows(variable) >= min_rows]
            by_site = {each.site: _find_fault(each, variable, bins) for each in counted}
            for site, fault in by_site.items():
                others = [other for name, other in by_site.items() if name != site]
                is_slow = fault is Fault.STUCK and (site, version, variable) in slow
                if fault and not is_slow and _is_exception(fault, others):
                    faults[site, version, variable] = fault
    return {**faults, **_spread(faults, window, references)}


def _find_slow(history: WindowCounts) -> Iterator[tuple[str, str, Variable]]:
    for site in history.sites:
        for variable, windows in site.parts.items():
            counted = windows[windows.sum(axis=1) > 0]
            if len(counted) and np.median(counted.max(axis=1) / counted.sum(axis=1)) >= _SLOW:
                yield site.site, site.version, variable


def describe_faults(faults: Faults, window: WindowCounts) -> list[Quarantine]:
    """Return the rows that a model should not be retrained on, by site."""
    by_site: dict[str, dict[str, Fault]] = defaultdict(dict)
    for (site, _, variable), fault in sorted(faults.items()):
        by_site[site][variable.name] = fault
    quarantined = []
    for site, features in by_site.items():
        texts = {fault: [name for name, each in features.items() if each is fault] for fault in features.values()}
        reason = "; ".join(f"{', '.join(names)}: {fault}" for fault, names in texts.items())
        rows = {"site": site, "start": window.start, "end": window.end}
        quarantined.append(Quarantine.model_validate({**rows, "features": tuple(features), "reason": reason}))
    return quarantined


def _find_fault(site: SiteCounts, variable: Variable, bins: Bins) -> Fault | None:
    parts = site.parts[variable]
    counts = parts.sum(axis=0)
    shares = counts / counts.sum()
    training = bins.shares
    if shares[-1] >= training[-1] + _MORE_THAN_TRAINING:
        return Fault.MISSING
    if not bins.is_numeric:
        return None
    outside = shares[0] + shares[-2] - training[0] - training[-2]
    if outside >= _MORE_THAN_TRAINING:
        return Fault.OUT_OF_RANGE
    most = int(np.argmax(shares))
    covers_window = np.count_nonzero(parts.sum(axis=1)) >= MIN_CLUSTERS
    if shares[most] >= _STUCK and training[most] <= _USUALLY_STUCK and covers_window:
        return Fault.STUCK
    return None


def _is_exception(fault: Fault, others: Sequence[Fault | None]) -> bool:
    if not others:
        return fault is not Fault.OUT_OF_RANGE
    return sum(other is fault for other in others) <= len(others) / 2


def _spread(faults: Faults, window: WindowCounts, references: Mapping[str, Reference]) -> Faults:
    """Return the faults of all other features of the sites most of whose features are stuck or missing."""
    spread: dict[tuple[str, str, Variable], Fault] = {}
    for each in window.sites:
        reference = references.get(each.version)
        if reference is None:
            continue
        features = [variable for variable in reference.variables if variable.kind is Kind.FEATURE]
        own = {
            variable: fault
            for variable in features
            if (fault := faults.get((each.site, each.version, variable))) in (Fault.MISSING, Fault.STUCK)
        }
        if len(own) >= 2 and len(own) > len(features) / 2:
            most = max(own.values(), key=list(own.values()).count)
            spread |= {(each.site, each.version, variable): most for variable in features if variable not in own}
    return spread
