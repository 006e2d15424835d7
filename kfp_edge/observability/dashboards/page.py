"""A page with the plots and tables of all dashboards: the same queries, drawn here. It is no Grafana."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kfp_edge.observability.dashboards.all_dashboards import DASHBOARDS
from kfp_edge.observability.dashboards.contracts import Dashboard, Kind, Panel
from kfp_edge.observability.dashboards.queries import Answer, Choice, ask
from kfp_edge.prometheus import Prometheus
from kfp_edge.reports.html import Page
from kfp_edge.reports.labels import to_label
from kfp_edge.wording import count_of

#: More lines could not be distinguished, and more rows would not be read.
_LINES, _ROWS = 8, 20
_COLUMNS = 2
#: Units of time at an axis, from the longest one, and how many of them there are at least.
_TIME_UNITS = (("days", timedelta(days=1)), ("hours", timedelta(hours=1)), ("minutes", timedelta(minutes=1)))
_LEAST_UNITS = 3
_WIDTH, _HEIGHT = 11.0, 3.1
#: How units of Grafana are written at an axis and in a table.
_UNITS = {"s": "seconds", "percentunit": "share", "reqps": "requests a second", "cps": "a second", "bytes": "bytes"}


def write_page(prometheus: Prometheus, choice: Choice, path: Path) -> None:
    """Write the page.

    Args:
        prometheus: Whom to ask.
        choice: What a reader of the dashboards would have chosen.
        path: The HTML file.

    Raises:
        MetricsError: as for `Prometheus.query`.
        StorageError: the file system refuses.
    """
    begin = choice.end - choice.length
    lead = (
        f"{begin:%Y-%m-%d %H:%M} to {choice.end:%Y-%m-%d %H:%M} UTC; model {choice.model}, site {choice.site}. The "
        "queries are those of the Grafana dashboards; the plots are not Grafana's."
    )
    page = Page("kfp-edge: dashboards", lead)
    if not prometheus.query("kfp_edge_fleet_read_timestamp_seconds", choice.end):
        page.warnings(
            [
                "Prometheus has no metrics of `kfp-edge fleet metrics`: which sites are well, ill or unseen, and what "
                "they should run, is not known."
            ]
        )
    for dashboard in DASHBOARDS:
        _add(page, dashboard, prometheus, choice)
    page.write(path)


def _add(page: Page, dashboard: Dashboard, prometheus: Prometheus, choice: Choice) -> None:
    for number, row in enumerate(dashboard.rows):
        page.heading(f"{dashboard.title}: {row.title}")
        if number == 0:
            page.text(dashboard.description)
        answered = [(panel, ask(prometheus, panel, choice)) for panel in row.panels]
        for panel, answers in answered:
            if panel.is_of_now:
                _add_table(page, panel, answers)
        plots = [(panel, answers) for panel, answers in answered if not panel.is_of_now]
        if plots:
            page.items(f"{panel.title}. {panel.description}".strip() for panel, _ in plots)
            titles = ", ".join(panel.title for panel, _ in plots)
            page.figure(_plot(plots, choice), f"{dashboard.title}, {row.title}: {titles}")


def _add_table(page: Page, panel: Panel, answers: Sequence[Answer]) -> None:
    page.text(f"{panel.title}. {panel.description}")
    if not answers:
        page.text("No data.")
        return
    value = _UNITS.get(panel.unit, "value")
    if panel.kind is Kind.NUMBERS:
        page.table(("", value), [(each.name, each.values[-1][1]) for each in answers[:_ROWS]])
    else:
        labels = sorted({name for each in answers for name in each.labels if name != "__name__"})
        rows = [[*(each.labels.get(name, "") for name in labels), each.values[-1][1]] for each in answers[:_ROWS]]
        page.table((*labels, value), rows)
    if len(answers) > _ROWS:
        page.text(f"{count_of(len(answers) - _ROWS, 'more series', 'more series')}.")


def _plot(plots: Sequence[tuple[Panel, list[Answer]]], choice: Choice) -> Figure:
    lines = -(-len(plots) // _COLUMNS)
    figure = Figure(figsize=(_WIDTH, _HEIGHT * lines), layout="constrained")
    for number, (panel, answers) in enumerate(plots, start=1):
        axes = figure.add_subplot(lines, _COLUMNS, number)
        axes.set_title(to_label(panel.title), loc="left", fontsize=10)
        name, unit = next((each for each in _TIME_UNITS if choice.length >= _LEAST_UNITS * each[1]), _TIME_UNITS[-1])
        _draw(axes, answers, choice.end, unit)
        axes.set_xlim(-choice.length / unit, 0)
        axes.set_xlabel(f"{name} before the end", fontsize=8)
        axes.set_ylabel(_UNITS.get(panel.unit, ""))
        axes.grid(alpha=0.3)
    return figure


def _draw(axes: Axes, answers: Sequence[Answer], end: datetime, unit: timedelta) -> None:
    if not answers:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center")
        return
    # those with the highest values at the end, in the order of the answer
    drawn = sorted(sorted(answers, key=_last_value, reverse=True)[:_LINES], key=answers.index)
    for answer in drawn:
        times = [(at - end) / unit for at, _ in answer.values]
        values = [value for _, value in answer.values]
        marker = "o" if len(times) == 1 else ""
        axes.plot(times, values, label=to_label(answer.name), marker=marker, markersize=4, linewidth=1.3)
    numbers = [value for answer in drawn for _, value in answer.values]
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    axes.set_ylim(1.1 * low, 1.3 * high or 1.0)  # with room for the legend
    title = f"the {_LINES} highest of {len(answers)}" if len(answers) > _LINES else None
    axes.legend(loc="upper left", fontsize=7, ncols=2, framealpha=0.7, title=title, title_fontsize=7)


def _last_value(answer: Answer) -> float:
    return answer.values[-1][1]
