"""Asks a Prometheus what the panels of a dashboard ask it in Grafana."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kfp_edge.errors import MetricsError
from kfp_edge.observability.dashboards.contracts import Panel, Query
from kfp_edge.prometheus import Prometheus

#: What Grafana makes of it for scrapes every minute, unless a point of the graph is longer than that.
_RATE_INTERVAL = "4m"
_SCRAPED_EVERY = timedelta(minutes=1)
#: Points of a line.
_POINTS = 240


@dataclass(frozen=True)
class Choice:
    """What a reader has chosen: a model, a site for the dashboard of one, and a time range; of all else, all.

    Attributes:
        model: The name of the model.
        site: The name of the site.
        end: The end of the time range.
        length: How long it is.
    """

    model: str
    site: str
    end: datetime
    length: timedelta

    def fill_in(self, expression: str) -> str:
        """Return an expression with values in place of its variables."""
        # several sites may be chosen where the label is matched by a regular expression; here, all are
        everywhere = re.sub(r'=~"\$\w+"', '=~".*"', expression)
        values = {"$model": self.model, "$site": self.site, "$__rate_interval": _RATE_INTERVAL}
        for variable, value in values.items():
            everywhere = everywhere.replace(variable, value)
        return everywhere


@dataclass(frozen=True)
class Answer:
    """One series of a panel.

    Attributes:
        name: As the legend has it.
        labels: All of its labels.
        values: Values with their times; of a panel of present values, only the last one.
    """

    name: str
    labels: Mapping[str, str]
    values: tuple[tuple[datetime, float], ...]


def choose(prometheus: Prometheus, model: str | None, site: str | None, end: datetime, length: timedelta) -> Choice:
    """Return a choice in which what is not given is the first that Prometheus has, in the order of the alphabet.

    Raises:
        MetricsError: there is no such model, or it runs at no such site; or as for `Prometheus.query`.
    """
    samples = prometheus.query('last_over_time(kfp_edge_model_info{site!=""}[1d])', end)
    running = sorted({(each.labels["model"], each.labels["site"]) for each in samples})
    for chosen_model, chosen_site in running:
        if model in (None, chosen_model) and site in (None, chosen_site):
            return Choice(chosen_model, chosen_site, end, length)
    if not running:
        raise MetricsError("Prometheus has no model of any site: kfp_edge_model_info has no series with a label site.")
    what = " ".join(filter(None, (f"model {model}" if model else "", f"at site {site}" if site else "")))
    raise MetricsError(f"Prometheus has no {what}; there is {running[0][0]} at site {running[0][1]}.")


def ask(prometheus: Prometheus, panel: Panel, choice: Choice) -> list[Answer]:
    """Return the answers to the queries of a panel, in their order.

    Raises:
        MetricsError: as for `Prometheus.query`.
    """
    return [answer for query in panel.queries for answer in _ask(prometheus, panel, query, choice)]


def _ask(prometheus: Prometheus, panel: Panel, query: Query, choice: Choice) -> list[Answer]:
    expression = choice.fill_in(query.expression)
    if panel.is_of_now:
        samples = prometheus.query(expression, choice.end)
        return [Answer(_name(query, each.labels), each.labels, ((choice.end, each.value),)) for each in samples]
    step = max(_SCRAPED_EVERY, choice.length / _POINTS)
    series = prometheus.query_range(expression, choice.end - choice.length, choice.end, step)
    return [Answer(_name(query, each.labels), each.labels, each.values) for each in series]


def _name(query: Query, labels: Mapping[str, str]) -> str:
    if query.legend:
        return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), query.legend).strip()
    return ", ".join(f"{name}={text}" for name, text in sorted(labels.items()))
