"""Events: what a person would call one failure, however many rows it lasts."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kfp_edge.ml.arrays import ClassLabel, Int64s, Labels, Mask


@dataclass(frozen=True)
class Event:
    """An unbroken run of anomalous rows of one group; `rows` are the numbers of its rows, in order."""

    rows: Int64s
    #: The group, such as a machine; "" where the data has no groups.
    group: ClassLabel = ""


@dataclass(frozen=True)
class EventCount:
    """The events of one group, and those in which at least one alarm was raised."""

    group: ClassLabel
    events: int
    detected: int


def find_events(labels: Labels | Mask, groups: Labels | None = None) -> list[Event]:
    """Return the unbroken runs of 1 in `labels`, shape [n], group by group.

    Args:
        labels: 1 for each anomalous row, in the order of time.
        groups: The group of each row, shape [n]; rows of several groups may alternate.
    """
    names: list[ClassLabel] = [""]
    codes = np.zeros(len(labels), dtype=np.int64)
    if groups is not None:
        codes, unique = pd.factorize(groups, sort=True)
        names = list(unique.tolist())
    order = np.argsort(codes, kind="stable")
    anomalous, codes = np.asarray(labels)[order] == 1, codes[order]
    continues = np.zeros(len(order), dtype=bool)
    continues[1:] = anomalous[1:] & anomalous[:-1] & (codes[1:] == codes[:-1])
    starts = np.flatnonzero(anomalous & ~continues)
    first_rows = np.cumsum(anomalous)[starts] - 1
    runs = np.split(order[anomalous], first_rows[1:]) if len(starts) else []
    return [Event(run, names[codes[start]]) for run, start in zip(runs, starts, strict=True)]


def find_rows_after_events(labels: Labels | Mask, groups: Labels | None, window_rows: int) -> Mask:
    """Return the normal rows, shape [n], whose rolling windows reach back into an event of their group.

    Their features describe the event in part, so an alarm in them is no false alarm, and they are not normal either.

    Args:
        labels: 1 for each anomalous row, shape [n], in the order of time.
        groups: The group of each row, shape [n].
        window_rows: Number of rows of the longest rolling window: a row and those before it.
    """
    after = np.zeros(len(labels), dtype=bool)
    if window_rows < 2 or not (np.asarray(labels) == 1).any():
        return after
    codes = np.zeros(len(labels), dtype=np.int64) if groups is None else pd.factorize(groups)[0]
    order = np.argsort(codes, kind="stable")
    anomalous, positions = np.asarray(labels)[order] == 1, np.arange(len(order))
    last = np.maximum.accumulate(np.where(anomalous, positions, -1))
    has_event = (last >= 0) & (codes[order][last] == codes[order])
    after[order] = has_event & ~anomalous & (positions - last < window_rows)
    return after


def count_events(labels: Labels | Mask, alarms: Mask, groups: Labels | None = None) -> list[EventCount]:
    """Return the events of each group that has any, and how many of them `alarms`, shape [n], detected."""
    detected: dict[ClassLabel, list[bool]] = {}
    for event in find_events(labels, groups):
        detected.setdefault(event.group, []).append(bool(alarms[event.rows].any()))
    return [EventCount(group, len(alarmed), sum(alarmed)) for group, alarmed in detected.items()]
