"""The demo as a page: load, latency, drift and alerts over time, and the decision."""

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kfp_edge.observability.demo.compression import Compression
from kfp_edge.observability.demo.press import DRIFTED
from kfp_edge.observability.demo.story import SITES, Outcome
from kfp_edge.observability.demo.timeline import Firing, Timeline
from kfp_edge.observability.hub.rules.contracts import Severity
from kfp_edge.prometheus import Series
from kfp_edge.reports.html import BLUE, GREEN, GREY, ORANGE, RED, MarkedCell, Page
from kfp_edge.reports.labels import to_label
from kfp_edge.wording import count_of

_COLOURS = dict(zip((name for name, _ in SITES), (BLUE, ORANGE, GREEN), strict=True))
#: Inches of a panel with lines, and of the bar of an alert.
_PANEL, _BAR = 1.75, 0.26


def write_page(outcome: Outcome, compression: Compression, has_collectors: bool, path: Path) -> None:
    """Write the page.

    Raises:
        StorageError: the file system refuses.
    """
    timeline = outcome.timeline
    way = "the collectors of site and hub" if has_collectors else "no collectors: Prometheus scraped the servers"
    page = Page(
        "From a request to an alert",
        f"{count_of(len(outcome.sites), 'site')} with real servers on one machine, a real Prometheus with "
        f"the rules of the hub, and {way}.",
    )
    page.figure(_draw(timeline), _describe(timeline))
    page.heading("Alerts that fired")
    page.table(("alert", "severity", "site", "about", "from", "for", "text"), _alert_rows(outcome))
    page.heading(f"Decision: {outcome.decided.decision}").items(outcome.decided.reasons)
    page.link("The report of the run", quote(os.path.relpath(outcome.drift_report, path.parent)))
    if outcome.retrained and (git := outcome.retrained.summary["git"]):
        sentence = "The new model was better than the one in use: commit {commit} on {branch}.".format(**git)
        page.heading("Retraining").text(sentence)
    page.heading("What was compressed, and what was not").items(compression.describe())
    page.write(path)


def _alert_rows(outcome: Outcome) -> list[tuple[object, ...]]:
    timeline = outcome.timeline
    known = {alert.key: alert for alert in outcome.alerts}
    alerts = [(each, known.get((each.name, each.site, each.subject))) for each in timeline.alerts]
    return [
        (
            MarkedCell(each.name, "bad" if alert and alert.severity == Severity.CRITICAL else "idle"),
            alert.severity if alert else "",
            each.site or "hub",
            each.subject,
            f"{_seconds(timeline, each.times[0]):.0f} s",
            f"{len(each.times) * timeline.step.total_seconds():.0f} s",
            f"{alert.summary} {alert.description}" if alert else "",
        )
        for each, alert in alerts
    ]


def _describe(timeline: Timeline) -> str:
    alerts = "; ".join(
        f"{each.name} of {each.site or 'the hub'} from {_seconds(timeline, each.times[0]):.0f} s on"
        for each in timeline.alerts
    )
    return (
        "Requests a second, latency, population stability index and alerts over time. The rows of one site change "
        f"after {_seconds(timeline, timeline.drift_at):.0f} s, and the server of another stops after "
        f"{_seconds(timeline, timeline.stop_at):.0f} s. Alerts: {alerts or 'none'}."
    )


def _draw(timeline: Timeline) -> Figure:
    heights = [_PANEL, _PANEL, _PANEL * 1.3, _BAR * (len(timeline.alerts) + 1)]
    figure = Figure(figsize=(10.5, sum(heights) + 1.6), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True, gridspec_kw={"height_ratios": heights})
    load, latency, psi, alerts = panels
    _draw_lines(load, timeline, timeline.requests, "requests a second", _name_site)
    _draw_lines(latency, timeline, timeline.latency, "99th percentile of the latency [ms]", _name_site, 1000)
    _draw_psi(psi, timeline)
    _draw_alerts(alerts, timeline)
    for axes in panels:
        for at in (timeline.drift_at, timeline.stop_at):
            axes.axvline(_seconds(timeline, at), color="black", linewidth=0.8, linestyle=":")
        axes.spines[["top", "right"]].set_visible(False)
    load.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(SITES), frameon=False, fontsize=9)
    _, drifting, stopping = (name for name, _ in SITES)
    for at, text in (
        (timeline.drift_at, f"{drifting}: another product "),
        (timeline.stop_at, f" {stopping}: server stops"),
    ):
        side = "right" if text.endswith(" ") else "left"
        load.text(_seconds(timeline, at), 0.05, text, transform=load.get_xaxis_transform(), ha=side, fontsize=8)
    alerts.set_xlabel("seconds since the first scrape of all sites")
    alerts.set_xlim(0, _seconds(timeline, timeline.end))
    return figure


def _draw_lines(
    axes: Axes,
    timeline: Timeline,
    series: Sequence[Series],
    title: str,
    name: Callable[[Series], str],
    factor: float = 1,
) -> None:
    for each in series:
        times = [_seconds(timeline, at) for at, _ in each.values]
        values = [factor * value for _, value in each.values]
        axes.plot(times, values, color=_COLOURS.get(each.labels.get("site", ""), GREY), label=name(each), linewidth=1.4)
    axes.set_ylim(bottom=0)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")


def _draw_psi(axes: Axes, timeline: Timeline) -> None:
    for each in timeline.psi:
        is_drifted = each.labels["feature"] == DRIFTED
        times = [_seconds(timeline, at) for at, _ in each.values]
        colour = _COLOURS.get(each.labels["site"], GREY)
        axes.plot(times, [value for _, value in each.values], color=colour, linewidth=1.6 if is_drifted else 0.8)
        highest = max((value for _, value in each.values), default=0.0)
        if times and highest > 1:
            label = to_label(f"{each.labels['feature']}, {each.labels['site']} ")
            axes.text(times[-1], each.values[-1][1], label, ha="right", va="bottom", fontsize=8, color=colour)
    for each in timeline.psi_limit:
        times = [_seconds(timeline, at) for at, _ in each.values]
        axes.plot(times, [value for _, value in each.values], color=RED, linewidth=0.8, linestyle="--")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_yticks([0, 0.1, 0.2, 1, 5], ["0", "0.1", "0.2", "1", "5"])
    axes.set_ylim(0, 20)
    title = "population stability index of each feature at each site; dashed: from which on it is drift"
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")


def _draw_alerts(axes: Axes, timeline: Timeline) -> None:
    for row, each in enumerate(timeline.alerts):
        colour = _COLOURS.get(each.site, GREY)
        spans = _join_times(timeline, each.times)
        axes.broken_barh(spans, (row - 0.38, 0.76), facecolors=colour)
        start = spans[0][0]
        axes.text(start - 0.5, row, to_label(_name_alert(each), 60), ha="right", va="center", fontsize=8)
    axes.set_ylim(len(timeline.alerts) - 0.4, -0.6)
    axes.set_yticks([])
    axes.set_title("alerts that fire", loc="left", fontsize=10, fontweight="bold")


def _join_times(timeline: Timeline, times: Sequence[datetime]) -> list[tuple[float, float]]:
    """Return start and length of each time without a gap, in seconds."""
    spans: list[tuple[float, float]] = []
    step = timeline.step / timedelta(seconds=1)
    for at in times:
        second = _seconds(timeline, at)
        if spans and second - sum(spans[-1]) < step / 2:
            spans[-1] = (spans[-1][0], spans[-1][1] + step)
        else:
            spans.append((second, step))
    return spans


def _name_alert(alert: Firing) -> str:
    # the server has its site in its name
    about = f" ({alert.subject})" if alert.subject and ":" not in alert.subject else ""
    return f"{alert.name}{about}, {alert.site or 'hub'}"


def _name_site(series: Series) -> str:
    return series.labels.get("site", "")


def _seconds(timeline: Timeline, at: datetime) -> float:
    return (at - timeline.start) / timedelta(seconds=1)
