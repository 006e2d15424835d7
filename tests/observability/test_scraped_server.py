"""What a real Prometheus sees of a real server: also the first alarm and the first error of one that it knows."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from serving_support.bundles import mixed_bundle, mixed_request
from serving_support.server_process import running
from support.prometheus import prometheus_scraping

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's package prometheus")

WAIT_SECONDS = 60
#: What the requests below count first.
FIRST_EVENTS = [
    'kfp_edge_output_class_total{class="1"}',
    'kfp_edge_requests_total{code="200"}',
    'kfp_edge_requests_total{code="400"}',
    "kfp_edge_request_errors_total",
    "kfp_edge_request_duration_seconds_count",
    'kfp_edge_refused_requests_total{reason="not_found"}',
    'kfp_edge_input_category_total{category="H"}',
    'kfp_edge_input_feature_count{feature="count"}',
]


def until(is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def increases(url: str) -> dict[str, float]:
    """Return the increase of each of the series in the last minute, as far as Prometheus sees one."""

    def query(expression: str) -> list[float]:
        answer = requests.get(f"{url}/api/v1/query", params={"query": expression}, timeout=10).json()
        return [float(sample["value"][1]) for sample in answer["data"]["result"]]

    return {series: sum(values) for series in FIRST_EVENTS if (values := query(f"increase({series}[1m])"))}


def test_the_first_alarm_and_the_first_error_are_increases(tmp_path: Path) -> None:
    mixed_bundle(tmp_path / "models")
    with (
        running(tmp_path / "models") as server,
        prometheus_scraping(tmp_path / "prometheus", f"127.0.0.1:{server.port}") as url,
    ):
        until(lambda: increases(url) == dict.fromkeys(FIRST_EVENTS, 0))
        assert server.infer("mill", mixed_request())[0] == 200
        assert server.infer("mill", {})[0] == 400
        assert server.infer("lathe", {})[0] == 404
        until(lambda: all(increases(url).values()))
