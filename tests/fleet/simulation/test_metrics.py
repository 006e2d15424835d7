"""The metrics of a simulation: queries are answered as a real Prometheus answers them."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests

from kfp_edge.errors import MetricsError
from kfp_edge.fleet.promotion.evidence import SiteEvidence, read_evidence
from kfp_edge.fleet.releases.history import RingRelease
from kfp_edge.fleet.simulation.metrics.server import metrics_server
from kfp_edge.fleet.simulation.metrics.store import MetricStore, SeriesKey
from kfp_edge.fleet.status.reports import SiteReports, read_reports
from kfp_edge.fleet.status.status import SiteStatus, State
from kfp_edge.fleet.status.windows import WindowState
from kfp_edge.gitops.images import Image
from kfp_edge.prometheus import Prometheus
from support.fleets import DIGESTS, site_with
from support.prometheus import NOW, Served, prometheus_with

OLD, NEW = DIGESTS[:2]
SERVERS = (
    Served("a", OLD, (30, 20), errors=3),
    Served("a", NEW, (20, 0), latency=0.5),
    Served("b", NEW, (12, 5), requests=7, errors=7),
    Served("b", NEW, (3, 0), is_ready=False),
    Served("c", OLD, (30, 0.2)),
    Served("d", "", (30, 0)),
    Served("a", NEW, (6, 0), model="press"),
)


def _store() -> MetricStore:
    """The samples of the servers, as a Prometheus that is always there would have scraped them."""
    scrapes: dict[tuple[str, float], dict[SeriesKey, float]] = defaultdict(dict)
    for number, server in enumerate(SERVERS):
        for name, line in server.samples():
            labels, _, rest = line.partition("{")[2].partition("} ")
            value, time = map(float, rest.split())
            pairs = tuple((key, text[1:-1]) for key, _, text in (pair.partition("=") for pair in labels.split(",")))
            scrapes[str(number), time][name, pairs] = value
    store = MetricStore()
    for (target, time), samples in sorted(scrapes.items(), key=lambda each: each[0][1]):
        store.add(target, time, samples)
    return store


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), SERVERS) as url:
        yield url


@pytest.fixture(scope="module")
def simulated() -> Iterator[str]:
    with metrics_server(_store()) as url:
        yield url


def _reports(url: str) -> dict[tuple[str, str], SiteReports]:
    release = RingRelease(Image("pump", "quay.io/team/pump", NEW), "c0ffee", NOW - timedelta(hours=25))
    wanted = {(site, "pump"): release for site in "abcd"}
    return read_reports(Prometheus(url), "site", wanted, NOW, timedelta(days=7))


def _evidence(url: str, soak: timedelta) -> list[SiteEvidence]:
    wanted = RingRelease(Image("pump", "quay.io/team/pump", NEW), "c0ffee", NOW - timedelta(hours=25))
    sites = [
        SiteStatus(site_with(name), "pump", wanted, SiteReports(), WindowState(True, None), State.CURRENT, None)
        for name in "abcd"
    ]
    return read_evidence(Prometheus(url), "site", sites, soak, NOW)


def test_the_reports_of_sites_are_those_of_a_real_prometheus(real: str, simulated: str) -> None:
    expected = _reports(real)
    assert len(expected) == 5
    assert _reports(simulated) == expected


@pytest.mark.parametrize("soak", [timedelta(hours=24), timedelta(minutes=10)])
def test_the_evidence_of_a_ring_is_that_of_a_real_prometheus(real: str, simulated: str, soak: timedelta) -> None:
    for found, expected in zip(_evidence(simulated, soak), _evidence(real, soak), strict=True):
        assert (found.ran, found.online) == (expected.ran, expected.online)
        assert found.requests.total == pytest.approx(expected.requests.total)
        assert found.requests.errors == pytest.approx(expected.requests.errors)
        assert found.requests.buckets == pytest.approx(expected.requests.buckets)


def test_what_a_target_does_not_have_any_more_ends_at_once() -> None:
    store = MetricStore()
    begin = NOW.timestamp()
    store.add("a", begin, {("up", (("site", "a"),)): 1.0})
    store.add("a", begin + 60, {})
    with metrics_server(store) as url:
        assert [each.value for each in Prometheus(url).query("max by (site) (up)", NOW)] == [1.0]
        assert not Prometheus(url).query("max by (site) (up)", NOW + timedelta(seconds=60))


@pytest.mark.parametrize(
    "query", ["rate(up[5m])", "up{", "sum(up)", "up[5m]", "1", "", "up and 1", "increase(up)", "topk(1, up)", "up + up"]
)
def test_a_query_of_another_kind_is_refused(simulated: str, query: str) -> None:
    with pytest.raises(MetricsError, match="refuses a query"):
        Prometheus(simulated).query(query, NOW)


def test_another_path_is_not_there(simulated: str) -> None:
    assert requests.get(f"{simulated}/api/v1/labels", timeout=5).status_code == 404
