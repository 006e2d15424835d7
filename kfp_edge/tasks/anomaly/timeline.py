"""Anomaly scores over time: one panel for each group, broken at gaps, with the labelled failures shaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kfp_edge.metrics.events import Event, find_events
from kfp_edge.ml.arrays import Float64s, Floats, Int64s, Labels, Mask
from kfp_edge.ml.dataset import Dataset
from kfp_edge.reports.html import BLUE, ORANGE, RED
from kfp_edge.reports.labels import to_label
from kfp_edge.tasks.anomaly.predictions import AnomalyPredictions
from kfp_edge.tasks.time_axis import format_axis, to_axis_values
from kfp_edge.wording import count_of

MAX_PANELS = 12
#: A time step that is longer than this many median steps is a gap.
_GAP_STEPS = 10
#: Points that a panel can show beside each other; of more, it shows the lowest and the highest score of each.
_COLUMNS = 600
#: Least width of a shaded failure, as a share of the axis.
_MIN_SHADE = 0.004
#: Panels share one axis where the time of all of them is at most this many times that of the longest.
_SHARED_AXIS_RATIO = 1.5


@dataclass(frozen=True)
class Panel:
    """The held-out rows of one group in the order of time; all arrays have shape [rows].

    `x` are numbers: the time as it is, days since 1970 where it is a date, or the number of the row where there is
    no time. `labels` is 1 for anomalous rows, all 0 without labels.
    """

    name: str
    x: Float64s
    score: Floats
    alarm: Mask
    labels: Labels
    #: The group's place in the sort order of all groups.
    position: int = 0

    @cached_property
    def events(self) -> list[Event]:
        return find_events(self.labels)

    @cached_property
    def step(self) -> float:
        """The median time between two rows; 0 where no two rows differ in time."""
        steps = np.diff(self.x)
        return float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0

    @cached_property
    def gaps(self) -> Int64s:
        """The numbers of the rows before which there is a gap."""
        return np.flatnonzero(np.diff(self.x) > _GAP_STEPS * self.step) + 1


def make_panels(data: Dataset, predictions: AnomalyPredictions) -> list[Panel]:
    """Return a panel for each group: those with events first, then by their highest score."""
    x = to_axis_values(data)
    labels = data.y() if data.roles.target else np.zeros(len(data.frame), np.int64)
    panels = []
    for position, (name, rows) in enumerate(_find_groups(data)):
        in_order = rows[np.argsort(x[rows], kind="stable")] if data.roles.time else rows
        panels.append(
            Panel(
                name,
                x[in_order] if data.roles.time else np.arange(1, len(rows) + 1, dtype=np.float64),
                predictions.ranking_score[in_order],
                predictions.label[in_order] == 1,
                labels[in_order],
                position,
            )
        )
    return sorted(panels, key=lambda panel: (not panel.events, -panel.score.max()))


def _find_groups(data: Dataset) -> list[tuple[str, Int64s]]:
    if not data.roles.group:
        return [("", np.arange(len(data.frame)))]
    codes, names = pd.factorize(data.frame[data.roles.group], sort=True, use_na_sentinel=False)
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1])
    return [(str(name), rows) for name, rows in zip(names, parts, strict=True)]


def describe_panels(data: Dataset, panels: Sequence[Panel]) -> str:
    """Return what the reader of the timeline has to know about its lines, shades and panels."""
    sentences = ["An alarm, a red dot, is a score above the dashed threshold."]
    if data.roles.target:
        events = sum(len(panel.events) for panel in panels)
        shaded = f"Shaded stretches are labelled as failures ({count_of(events, 'event')})."
        sentences.append(shaded if events else "No row is labelled as a failure.")
    gaps = sum(len(panel.gaps) for panel in panels)
    if not data.roles.time:
        sentences.append("Without a time column the rows have no order in time, so no line joins them.")
    elif gaps:
        size = f"steps in time of more than {_GAP_STEPS} times the median"
        sentences.append(f"The line is broken at {count_of(gaps, 'gap')}: {size}.")
    hidden = panels[MAX_PANELS:]
    if hidden:
        events = sum(len(panel.events) for panel in hidden)
        alarms = sum(int(panel.alarm.sum()) for panel in hidden)
        sentences.append(
            f"{MAX_PANELS} of {len(panels):,} groups are drawn, those with events and then those with the highest "
            f"scores; the other {len(hidden):,} have {count_of(events, 'event')}, {count_of(alarms, 'row')} with an "
            f"alarm and no score above {max(panel.score.max() for panel in hidden):.3g}."
        )
    return " ".join(sentences)


def plot_timeline(data: Dataset, panels: Sequence[Panel], threshold: float) -> Figure:
    """Plot the first panels below each other, ordered by name or time.

    All have the same axis of scores and, where it fits, the same axis of time.
    """
    drawn = _order_panels(panels[:MAX_PANELS])
    height = 3.4 if len(drawn) == 1 else 0.9 + 1.6 * len(drawn)
    figure = Figure(figsize=(11, height), layout="constrained")
    is_shared = _has_common_times(drawn)
    axes = figure.subplots(len(drawn), squeeze=False, sharey=True, sharex=is_shared)[:, 0]
    for axis, panel in zip(axes, drawn, strict=True):
        limits = _find_limits(drawn if is_shared else [panel])
        _draw_panel(axis, panel, threshold, limits, is_line=bool(data.roles.time))
        format_axis(axis, data)
        if panel.name:
            axis.set_title(to_label(panel.name, 80), loc="left", fontsize="medium")
    axes[-1].set_xlabel(_name_axis(data))
    figure.supylabel("anomaly score", fontsize="medium")
    handles: dict[str, Artist] = {}
    for axis in axes:
        handles |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside upper left", ncols=3, frameon=False)
    return figure


def _order_panels(panels: Sequence[Panel]) -> list[Panel]:
    """Return panels in the order of their groups' names, or of time where the groups follow each other in time."""
    by_name = sorted(panels, key=lambda panel: panel.position)
    return by_name if _has_common_times(panels) else sorted(by_name, key=lambda panel: float(panel.x[0]))


def _has_common_times(panels: Sequence[Panel]) -> bool:
    spans = [panel.x[-1] - panel.x[0] for panel in panels]
    whole = max(panel.x[-1] for panel in panels) - min(panel.x[0] for panel in panels)
    return bool(whole <= _SHARED_AXIS_RATIO * max(spans))


def _name_axis(data: Dataset) -> str:
    if not data.roles.time:
        return "row of the group" if data.roles.group else "held-out row"
    return to_label(data.roles.time, 80)


def _find_limits(panels: Sequence[Panel]) -> tuple[float, float]:
    """Return the ends of an axis that shows every row of the panels."""
    first, last = min(panel.x[0] for panel in panels), max(panel.x[-1] for panel in panels)
    margin = max(*(panel.step / 2 for panel in panels), (last - first) * 0.01) or 0.5
    return float(first - margin), float(last + margin)


def _draw_panel(axis: Axes, panel: Panel, threshold: float, limits: tuple[float, float], *, is_line: bool) -> None:
    rows = _select_points(panel)
    if is_line:
        _draw_lines(axis, panel, rows)
    else:
        _draw_dots(axis, panel, rows)
    alarms = rows[panel.alarm[rows]]
    if len(alarms):
        axis.scatter(panel.x[alarms], panel.score[alarms], color=RED, s=8, label="alarm", zorder=3, rasterized=True)
    axis.axhline(threshold, color="black", linestyle="--", linewidth=0.9, label=f"threshold {threshold:.3f}")
    for start, stop in _find_shades(panel, limits[1] - limits[0]):
        axis.axvspan(start, stop, color=ORANGE, alpha=0.3, linewidth=0, label="labelled as failure")
    axis.set_xlim(limits)


def _select_points(panel: Panel) -> Int64s:
    """Return the numbers of the rows that a panel can show: the lowest and highest of each column of pixels."""
    rows = len(panel.x)
    if rows <= 2 * _COLUMNS:
        return np.arange(rows)
    columns = ((panel.x - panel.x[0]) / ((panel.x[-1] - panel.x[0]) or 1) * _COLUMNS).astype(np.int64)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(columns)) + 1, [rows]))
    extremes = [
        start + extreme
        for start, stop in pairwise(starts)
        for extreme in (panel.score[start:stop].argmin(), panel.score[start:stop].argmax())
    ]
    return np.unique(extremes)


def _draw_lines(axis: Axes, panel: Panel, rows: Int64s) -> None:
    """Draw one line that is interrupted at every gap; a row between two gaps is a dot."""
    segment = np.searchsorted(panel.gaps, rows, side="right")
    first = np.flatnonzero(np.diff(segment)) + 1
    x, score = (np.insert(values[rows].astype(np.float64), first, np.nan) for values in (panel.x, panel.score))
    axis.plot(x, score, color=BLUE, linewidth=0.7)
    _, position, count = np.unique(segment, return_index=True, return_counts=True)
    alone = rows[position[count == 1]]
    if len(alone):
        _draw_dots(axis, panel, alone)


def _draw_dots(axis: Axes, panel: Panel, rows: Int64s) -> None:
    axis.plot(panel.x[rows], panel.score[rows], color=BLUE, linestyle="none", marker=".", markersize=3, rasterized=True)


def _find_shades(panel: Panel, width: float) -> list[tuple[float, float]]:
    """Return the stretches of the events, each wide enough to be seen; stretches that would overlap are one."""
    shades: list[tuple[float, float]] = []
    for event in panel.events:
        start, stop = panel.x[event.rows[0]] - panel.step / 2, panel.x[event.rows[-1]] + panel.step / 2
        missing = max(_MIN_SHADE * width - (stop - start), 0.0)
        start, stop = float(start - missing / 2), float(stop + missing / 2)
        if shades and start < shades[-1][1]:
            shades[-1] = (shades[-1][0], max(stop, shades[-1][1]))
        else:
            shades.append((start, stop))
    return shades
