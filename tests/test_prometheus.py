"""The HTTP API of Prometheus: what a real one answers, and one sentence for each failure."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from kfp_edge.errors import KfpEdgeError
from kfp_edge.prometheus import Prometheus
from support.fleets import DIGESTS
from support.prometheus import NOW, Served, answering, prometheus_with

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    servers = [Served("hall-1", DIGESTS[0], (2, 0), requests=10, client_errors=0)]
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), servers) as url:
        yield url


def test_values_over_time_have_a_value_for_each_step_that_has_one(prometheus: str) -> None:
    (series,) = Prometheus(prometheus).query_range('kfp_edge_requests_total{code="200"}', NOW - 3 * HOUR, NOW, HOUR)
    assert series.labels["site"] == "hall-1"
    assert series.values == ((NOW - 2 * HOUR, 0.0), (NOW - HOUR, 600.0), (NOW, 1200.0))


def test_samples_are_those_that_were_scraped(prometheus: str) -> None:
    (series,) = Prometheus(prometheus).query_samples('kfp_edge_requests_total{code="200"}[150s]', NOW)
    assert [(NOW - at, value) for at, value in series.values] == [
        (timedelta(minutes=2), 1180.0),
        (timedelta(minutes=1), 1190.0),
        (timedelta(0), 1200.0),
    ]


def test_a_query_over_time_that_is_refused(prometheus: str) -> None:
    with pytest.raises(KfpEdgeError, match="refuses a query: .*exceeded maximum resolution of 11,000 points"):
        Prometheus(prometheus).query_range("up", NOW - 24 * HOUR, NOW, timedelta(seconds=1))


def test_the_setting_that_names_another_server_is_in_the_message(prometheus: str) -> None:
    with pytest.raises(KfpEdgeError, match=r"no Prometheus \(HTTP 404\); check the parameter prometheus\."):
        Prometheus(f"{prometheus}/elsewhere", "the parameter prometheus").query_samples("up[1h]", NOW)


@pytest.mark.parametrize("value", ["NaN", "+Inf"])
def test_a_value_over_time_that_is_no_number_is_refused(value: str) -> None:
    result = [{"metric": {"site": "hall-1"}, "values": [[1.0, "2"], [2.0, value]]}]
    with (
        answering({"status": "success", "data": {"resultType": "matrix", "result": result}}) as url,
        pytest.raises(KfpEdgeError, match="as a value of site=hall-1: up"),
    ):
        Prometheus(url).query_range("up", NOW - HOUR, NOW, HOUR)


class TestOneSentenceSays:
    def test_a_server_that_cannot_be_reached(self) -> None:
        with pytest.raises(KfpEdgeError, match="cannot be reached; check metrics.prometheus in fleet.yaml"):
            Prometheus("http://127.0.0.1:9").query("up", NOW)

    def test_a_server_without_tls(self, prometheus: str) -> None:
        with pytest.raises(KfpEdgeError, match="does not answer with TLS; check metrics.prometheus"):
            Prometheus(prometheus.replace("http:", "https:")).query("up", NOW)

    def test_a_query_that_is_refused(self, prometheus: str) -> None:
        with pytest.raises(KfpEdgeError, match="refuses a query: .*parse error"):
            Prometheus(prometheus).query("up(", NOW)

    def test_another_server(self, prometheus: str) -> None:
        with pytest.raises(KfpEdgeError, match=r"is no Prometheus \(HTTP 404\)"):
            Prometheus(f"{prometheus}/elsewhere").query("up", NOW)

    @pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
    def test_a_value_that_no_limit_can_be_compared_with(self, value: str) -> None:
        result = [{"metric": {"site": "hall-1"}, "value": [1.0, value]}]
        with (
            answering({"status": "success", "data": {"resultType": "vector", "result": result}}) as url,
            pytest.raises(KfpEdgeError, match="as a value of site=hall-1: up"),
        ):
            Prometheus(url).query("up", NOW)

    def test_an_answer_without_data(self) -> None:
        with (
            answering({"status": "success"}) as url,
            pytest.raises(KfpEdgeError, match="answers a query without data; check metrics.prometheus"),
        ):
            Prometheus(url).query("up", NOW)

    def test_a_part_of_the_metrics(self) -> None:
        data = {"resultType": "vector", "result": []}
        with (
            answering({"status": "success", "data": data, "warnings": ["a store\nis away"]}) as url,
            pytest.raises(KfpEdgeError, match="has only a part of the metrics: a store is away"),
        ):
            Prometheus(url).query("up", NOW)

    def test_a_token_is_not_sent_unencrypted(self, prometheus: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KFP_EDGE_METRICS_TOKEN", "s3cret")
        with pytest.raises(KfpEdgeError, match="unencrypted") as caught:
            Prometheus(prometheus)
        assert "s3cret" not in str(caught.value)
