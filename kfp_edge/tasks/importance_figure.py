"""Permutation importance in a training report."""

from matplotlib.figure import Figure

from kfp_edge.reports.html import BLUE, GREY, Page
from kfp_edge.reports.labels import to_wrapped_label
from kfp_edge.reports.numbers import format_number
from kfp_edge.tasks.importance import Importance

_MAX_FEATURES = 15


def add_importance(page: Page, importance: Importance, measure: str) -> None:
    """Add the importance of the features to a report; `measure` says what it is, such as `drop in accuracy`."""
    page.heading("Permutation importance").text(_describe_importance(importance, measure))
    page.figure(plot_importance(importance, measure), "permutation importance by feature")


def plot_importance(importance: Importance, measure: str) -> Figure:
    """Plot the most important features, the first at the top; `measure` is what their bars show."""
    count = min(_MAX_FEATURES, len(importance.names))
    positions = range(count)
    figure = Figure(figsize=(11, 0.8 + 0.4 * count), layout="constrained")
    axis = figure.subplots()
    mean, deviation = importance.mean[:count], importance.deviation[:count]
    axis.barh(positions, mean, xerr=deviation, color=BLUE, ecolor=GREY)
    axis.set_yticks(positions, [to_wrapped_label(name, 42) for name in importance.names[:count]], fontsize="small")
    axis.invert_yaxis()
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set(xlabel=measure)
    return figure


def _describe_importance(importance: Importance, measure: str) -> str:
    text = (
        f"{measure[0].upper()}{measure[1:]} when a feature's values are shuffled; the line is one standard deviation."
    )
    if importance.unmeasured:
        text += f" Left out are {importance.unmeasured:,} features on which the model relies less."
    rest = importance.mean[_MAX_FEATURES:]
    if not len(rest):
        return text
    if rest[0] <= 0:
        return f"{text} Shuffling any of the other {len(rest):,} features costs nothing."
    most = format_number(float(rest[0]))
    return f"{text} Shuffling any of the other {len(rest):,} features costs at most {most}."
