"""`kfp-edge observe charts`: a page with what the dashboards show, without Grafana."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.observability.dashboards.all_dashboards import DASHBOARDS
from kfp_edge.observability.dashboards.page import write_page
from kfp_edge.observability.dashboards.queries import Choice
from kfp_edge.prometheus import Prometheus
from support.counting_servers import CountingServer
from support.hub_of_sites import Hub
from support.prometheus import NOW, prometheus_with


def charts(*options: str) -> None:
    CliRunner().invoke(app, ["observe", "charts", *options], catch_exceptions=False)


@pytest.mark.slow
@pytest.mark.xdist_group("dashboards")
def test_the_page_has_every_row_of_every_dashboard(hub: Hub, tmp_path: Path) -> None:
    charts("--prometheus", hub.url, "--output", str(tmp_path / "page.html"), "--last", "1h")
    page = (tmp_path / "page.html").read_text()
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings == [f"{dashboard.title}: {row.title}" for dashboard in DASHBOARDS for row in dashboard.rows]
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels():
            assert panel.title in page
    assert "model pump, site drifted" in page


def test_a_prometheus_without_models_is_said_to_be_one(tmp_path: Path) -> None:
    with (
        prometheus_with(tmp_path / "empty", []) as url,
        pytest.raises(KfpEdgeError, match="has no model of any site: kfp_edge_model_info has no series with a label"),
    ):
        charts("--prometheus", url, "--output", str(tmp_path / "page.html"))
    assert not (tmp_path / "page.html").exists()


def test_without_the_metrics_of_the_repository_the_page_says_that_no_state_is_known(tmp_path: Path) -> None:
    with prometheus_with(tmp_path / "hub", [CountingServer("hall-1", (280, 0))]) as url:
        write_page(Prometheus(url), Choice("press", "hall-1", NOW, timedelta(minutes=60)), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "which sites are well, ill or unseen, and what they should run, is not known." in page
    assert "<li>Drifted features by model. Features at sites, of which the population stability index" in page


def test_a_time_range_is_a_duration(tmp_path: Path) -> None:
    with pytest.raises(KfpEdgeError, match="--last yesterday must be a duration such as 30m, 24h or 7d"):
        charts("--prometheus", "http://localhost:1", "--output", str(tmp_path / "p.html"), "--last", "yesterday")
