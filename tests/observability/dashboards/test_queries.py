"""Every query of the dashboards, asked of a real Prometheus with the metrics of a real server and the hub's rules."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from kfp_edge.errors import MetricsError
from kfp_edge.observability.dashboards.all_dashboards import DASHBOARDS
from kfp_edge.observability.dashboards.contracts import Panel, Query
from kfp_edge.observability.dashboards.queries import Choice, ask, choose
from kfp_edge.observability.hub.rules.contracts import Recording
from kfp_edge.observability.hub.rules.rule_files import all_groups
from kfp_edge.observability.hub.rules.settings import AlertSettings
from kfp_edge.prometheus import Prometheus
from support.hub_of_sites import Hub

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dashboards")]

PANELS = [(dashboard, panel) for dashboard in DASHBOARDS for panel in dashboard.panels()]
QUERIES = [(dashboard, panel, query) for dashboard, panel in PANELS for query in panel.queries]
#: Of a Prometheus itself.
OF_PROMETHEUS = {"ALERTS", "up"}


def choice() -> Choice:
    return Choice("pump", "drifted", datetime.now(UTC), timedelta(hours=1))


def of_query(panel: Panel, query: Query) -> Panel:
    return Panel(panel.title, panel.description, panel.unit, (query,), panel.kind)


@pytest.mark.parametrize(
    ("panel", "query"),
    [
        pytest.param(panel, query, id=f"{dashboard.name}: {panel.title}, {query.legend or number}")
        for dashboard, panel in PANELS
        for number, query in enumerate(panel.queries)
    ],
)
def test_a_query_of_a_panel_has_an_answer(hub: Hub, panel: Panel, query: Query) -> None:
    prometheus, deadline = Prometheus(hub.url), time.monotonic() + 90
    # rules that use what others record are evaluated after them
    while not (answers := ask(prometheus, of_query(panel, query), choice())) and time.monotonic() < deadline:
        time.sleep(1)
    assert answers
    assert all(answer.name for answer in answers) or not query.legend


def metrics_of(expression: str) -> set[str]:
    """Return the names of metrics in an expression: what is no label, no function and no text."""
    rest = re.sub(r'"[^"]*"', "", expression)
    rest = re.sub(r"\b(by|on|without|group_left|group_right) \([^)]*\)", "", rest)
    rest = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", rest)
    return {
        name
        for name in re.findall(r"(?<![\w:])[a-zA-Z_:][\w:]*+(?! ?\()", rest)
        if ":" in name or "_" in name or name in OF_PROMETHEUS
    }


def test_metrics_are_found_in_an_expression() -> None:
    expression = 'max by (some_label) (rate_of(a_metric{a_label="x_y"}[5m]))\nand on (b_label) c:d_e:f\n/ (up > 0)'
    assert metrics_of(expression) == {"a_metric", "c:d_e:f", "up"}


def test_every_metric_is_one_that_a_server_a_feed_a_collector_or_a_rule_has(hub: Hub) -> None:
    exposed = set(re.findall(r"^(\w+)", hub.exposition, re.MULTILINE))
    rules = [rule for group in all_groups(AlertSettings()) for rule in group.rules]
    recorded = {rule.name for rule in rules if isinstance(rule, Recording)}
    used = set().union(*(metrics_of(query.expression) for _, _, query in QUERIES))
    assert len(used) > 25
    assert used - exposed - recorded == OF_PROMETHEUS


def test_a_rate_is_over_no_shorter_window_than_four_scrapes() -> None:
    assert choice().fill_in('rate(x{model="$model", site=~"$site"}[$__rate_interval])') == (
        'rate(x{model="pump", site=~".*"}[4m])'
    )


def test_what_is_not_chosen_is_the_first_that_there_is(hub: Hub) -> None:
    now = datetime.now(UTC)
    prometheus = Prometheus(hub.url)
    assert choose(prometheus, None, None, now, timedelta(hours=1)).site == "drifted"
    assert choose(prometheus, "pump", "well", now, timedelta(hours=1)).site == "well"
    with pytest.raises(MetricsError, match="Prometheus has no model lathe at site well; there is pump at site drifted"):
        choose(prometheus, "lathe", "well", now, timedelta(hours=1))
