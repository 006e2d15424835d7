"""The report of a comparison: both models on the rows of each period, as a table and as a plot."""

from pathlib import Path

from matplotlib.figure import Figure

from kfp_edge.metrics.catalog import Direction, find_metric
from kfp_edge.reports.html import BLUE, GREY, MarkedCell, Page
from kfp_edge.reports.legends import add_legend
from kfp_edge.reports.numbers import format_number
from kfp_edge.retraining.comparison import Comparison, Period, PeriodComparison

_NAMES = {
    Period.OLD: "rows before the recent period",
    Period.RECENT: "recent rows",
    Period.ALL: "all held-out rows",
}


def write_report(path: Path, comparison: Comparison, champion: str) -> None:
    """Write the comparison as one self-contained HTML page.

    Raises:
        StorageError: the file system refuses.
    """
    verdict = "The new model is better" if comparison.is_better else "The new model is not better"
    page = Page("New model and model in use", f"{verdict}. In use: {champion}.")
    page.text(f"{comparison.reason[0].upper()}{comparison.reason[1:]}.")
    page.heading("On held-out rows").table(
        (
            "rows",
            "number",
            f"{comparison.metric}, in use",
            f"{comparison.metric}, new",
            "gain",
            "gain, at least (95 %)",
        ),
        [_to_row(period) for period in comparison.periods],
    )
    metric = find_metric(comparison.metric)
    if metric is not None:
        direction = "more" if metric.direction is Direction.HIGHER else "less"
        page.text(
            f"{comparison.metric}: {metric.description}; {direction} is better. A gain above 0 is in favour of "
            "the new model."
        )
    page.figure(_plot(comparison), "both models on the rows of each period")
    page.text(
        "The lower end of the gain comes from leaving out one machine, or one stretch of time, after the other "
        "(delete-a-group jackknife): rows that resemble each other do not count as independent ones."
    )
    page.write(path)


def _to_row(period: PeriodComparison) -> tuple[object, ...]:
    values = period.values
    if values is None:
        return (_NAMES[period.period], period.rows, "not measured", "not measured", "", "")
    gain = MarkedCell(format_number(values.gain), "good" if values.gain > 0 else "bad")
    low = "too few rows" if values.low is None else format_number(values.low)
    return (_NAMES[period.period], period.rows, values.champion, values.challenger, gain, low)


def _plot(comparison: Comparison) -> Figure:
    measured = [(_NAMES[each.period], each.values) for each in comparison.periods if each.values is not None]
    figure = Figure(figsize=(9, 1.2 + 0.7 * len(measured)), layout="constrained")
    axis = figure.subplots()
    for row, (_, values) in enumerate(measured):
        axis.plot([values.champion, values.challenger], [row, row], color=GREY, linewidth=1, zorder=1)
    rows = range(len(measured))
    axis.scatter([values.champion for _, values in measured], rows, color=GREY, s=70, label="in use", zorder=2)
    axis.scatter([values.challenger for _, values in measured], rows, color=BLUE, s=70, label="new", zorder=2)
    axis.set_yticks(rows, [name for name, _ in measured])
    axis.set(xlabel=comparison.metric, ylim=(len(measured) - 0.5, -0.5))
    add_legend(axis)
    return figure
