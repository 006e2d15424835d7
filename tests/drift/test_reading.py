"""What is read of a real Prometheus: exact numbers of rows, by site, version, variable and bin."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import requests

from kfp_edge.drift.counts import UNSEEN, Kind, Reference, SiteCounts, Variable
from kfp_edge.drift.families import COUNTED, REFERENCES
from kfp_edge.drift.reading import DriftMetrics, bundle_reference
from kfp_edge.errors import MetricsError, ParameterError
from kfp_edge.ml.bundle import Frequencies, Histogram
from kfp_edge.ml.bundle import Reference as BundleReference
from kfp_edge.prometheus import Prometheus
from kfp_edge_serving.telemetry.metrics import ServerSnapshot, exposition
from support.counting_servers import CountingServer, minutes
from support.drift import feature, output
from support.prometheus import NOW, prometheus_with
from support.victoria_metrics import Program

HEAT, KIND, CLASS = feature("heat"), feature("kind"), output("class")
#: 28 parts of ten minutes.
WINDOW = minutes(280)
SERVERS = [
    CountingServer("steady", (400, 0)),
    CountingServer("restarted", (400, 0), heat=(0, 1, 2, 3, 0), restarts=(135,)),
    # twice in one part, and its counter passes its old value before that part ends
    CountingServer("often", (400, 0), heat=(0, 0, 5, 0, 0), restarts=(139, 137)),
    CountingServer("new", (33, 0)),
    CountingServer("gone", (400, 33)),
    CountingServer("silent", (400, 0), silent=(200, 100)),
    CountingServer("two", (400, 0)),
    CountingServer("two", (400, 0), heat=(1, 1, 1, 1, 1), instance="pod-2:8080"),
    CountingServer("updated", (400, 100), version="0.9.0"),
    CountingServer("updated", (100, 0), instance="pod-2:8080"),
    CountingServer("odd", (400, 0), missing=2, kinds={"L": 1, "X": 1, "Y": 1}, classes={"0": 1, "1": 2}, ring="all"),
    CountingServer("bare", (400, 0), model="bare", has_reference=False),
    CountingServer("collected", (400, 0), bound_format="g"),
    CountingServer("refusing", (400, 0), unknown=3),
    CountingServer("upgraded", (400, 101), bound_format="g"),
    CountingServer("upgraded", (100, 0)),
]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), SERVERS) as url:
        yield Prometheus(url, "the parameter prometheus")


@pytest.fixture(scope="module")
def references(prometheus: Prometheus) -> dict[str, Reference]:
    reference = DriftMetrics(prometheus, "press").read_reference("1.0.0", NOW - WINDOW, NOW)
    assert reference is not None
    return {"1.0.0": reference}


@pytest.fixture(scope="module")
def sites(prometheus: Prometheus, references: dict[str, Reference]) -> dict[str, SiteCounts]:
    counted = DriftMetrics(prometheus, "press").read_window(references, NOW - WINDOW, NOW)
    return {each.site: each for each in counted.sites}


def rows(site: SiteCounts, variable: Variable) -> list[int]:
    return site.parts[variable].sum(axis=0).tolist()


def test_training_is_what_the_servers_publish(references: dict[str, Reference]) -> None:
    variables = references["1.0.0"].variables
    assert variables[HEAT].counts.tolist() == [0, 100, 100, 100, 0, 0]
    assert variables[HEAT].labels == (
        "below training",
        "0 to 1",
        "1 to 2",
        "2 to 3",
        "above training",
        "missing",
    )
    assert variables[KIND].labels == ("L", "M", "unseen in training", "missing")
    assert variables[CLASS].counts.tolist() == [200, 100, 0, 0]
    assert CLASS.kind is Kind.OUTPUT


def test_bounds_have_as_few_digits_as_tell_them_apart() -> None:
    histogram = Histogram(edges=(0.00000131130, 0.00000941753, 81.93284, 1234.5), counts=(1, 1, 1))
    labels = bundle_reference(BundleReference(rows=3, features={"heat": histogram}), "1").variables[HEAT].labels
    assert labels[1:4] == ("1.311e-06 to 9.418e-06", "9.418e-06 to 81.93", "81.93 to 1234")
    close = Histogram(edges=(299.99, 300.01, 301), counts=(1, 1))
    labels = bundle_reference(BundleReference(rows=2, features={"heat": close}), "1").variables[HEAT].labels
    assert labels[1:3] == ("299.99 to 300.01", "300.01 to 301")


def test_each_row_is_counted_once_in_its_part_and_bin(sites: dict[str, SiteCounts]) -> None:
    steady = sites["steady"]
    assert steady.parts[HEAT].tolist() == [[0, 10, 10, 10, 0, 0]] * 28
    assert steady.parts[KIND].tolist() == [[20, 10, 0, 0]] * 28
    assert steady.parts[CLASS].tolist() == [[20, 10, 0, 0]] * 28
    assert (steady.ring, steady.version) == ("canary", "1.0.0")


def test_a_restart_loses_only_what_was_not_scraped(sites: dict[str, SiteCounts]) -> None:
    """The counters begin at 0 a minute after the last scrape, whose rows nobody has seen."""
    assert rows(sites["restarted"], HEAT) == [0, 279, 558, 837, 0, 0]


def test_restarts_are_seen_though_a_counter_has_passed_its_old_value(sites: dict[str, SiteCounts]) -> None:
    assert rows(sites["often"], HEAT) == [0, 0, 278 * 5, 0, 0, 0]


def test_a_server_counts_from_its_first_scrape_to_its_last(sites: dict[str, SiteCounts]) -> None:
    assert rows(sites["new"], HEAT) == [0, 33, 33, 33, 0, 0]
    assert rows(sites["gone"], HEAT) == [0, 247, 247, 247, 0, 0]


def test_rows_of_a_time_without_metrics_count_when_these_are_back(sites: dict[str, SiteCounts]) -> None:
    assert rows(sites["silent"], HEAT) == [0, 280, 280, 280, 0, 0]
    assert np.count_nonzero(sites["silent"].parts[HEAT].sum(axis=1)) == 19


def test_the_servers_of_a_site_are_added_up(sites: dict[str, SiteCounts]) -> None:
    assert rows(sites["two"], HEAT) == [280, 560, 560, 560, 280, 0]


def test_a_version_that_is_not_in_use_any_more_is_left_out(
    prometheus: Prometheus, sites: dict[str, SiteCounts]
) -> None:
    assert DriftMetrics(prometheus, "press").find_versions(NOW - WINDOW, NOW) == ("1.0.0",)
    assert rows(sites["updated"], HEAT) == [0, 100, 100, 100, 0, 0]


def test_missing_values_and_categories_that_training_did_not_have_have_bins(sites: dict[str, SiteCounts]) -> None:
    odd = sites["odd"]
    assert rows(odd, HEAT)[-1] == 560
    assert rows(odd, KIND) == [280, 0, 560, 0]
    assert rows(odd, CLASS) == [280, 560, 0, 0]
    assert odd.ring == "all"


def test_categories_for_which_requests_are_refused_are_unseen_in_training(sites: dict[str, SiteCounts]) -> None:
    assert rows(sites["refusing"], KIND) == [560, 280, 840, 0]


def test_bounds_that_are_written_in_two_ways_are_the_same(sites: dict[str, SiteCounts]) -> None:
    """Prometheus 3 scrapes `le` as "100.0"; what comes from a Collector, or an earlier Prometheus, has "100"."""
    assert sites["collected"].parts[HEAT].tolist() == [[0, 10, 10, 10, 0, 0]] * 28
    assert rows(sites["upgraded"], HEAT) == [0, 279, 279, 279, 0, 0]


def test_what_servers_do_not_publish_of_training_is_not_known(prometheus: Prometheus) -> None:
    assert DriftMetrics(prometheus, "bare").read_reference("1.0.0", NOW - WINDOW, NOW) is None


def test_the_bundle_has_the_same_training(references: dict[str, Reference]) -> None:
    of_bundle = bundle_reference(
        BundleReference(
            rows=300,
            features={
                "heat": Histogram(edges=(0, 1, 2, 3), counts=(100, 100, 100)),
                "kind": Frequencies(counts={"L": 200, "M": 100}),
            },
        ),
        "1.0.0",
    )
    for variable in (HEAT, KIND):
        ours, published = of_bundle.variables[variable], references["1.0.0"].variables[variable]
        assert (ours.labels, ours.counts.tolist()) == (published.labels, published.counts.tolist())
    assert UNSEEN in of_bundle.variables[KIND].labels


def test_the_windows_before_are_the_parts_of_the_history(
    prometheus: Prometheus, references: dict[str, Reference]
) -> None:
    history = DriftMetrics(prometheus, "press").read_history(references, NOW - minutes(40), NOW)
    counted = {each.site: each.parts[HEAT].sum(axis=1).tolist() for each in history.sites}
    assert counted["steady"] == [120] * 8
    assert counted["two"] == [320] * 8
    assert counted["silent"] == [120, 120, 120, 117, 0, 0, 363, 120]


def test_parts_may_be_shorter_than_the_time_between_two_scrapes(
    prometheus: Prometheus, references: dict[str, Reference]
) -> None:
    counted = DriftMetrics(prometheus, "press").read_window(references, NOW - minutes(4), NOW)
    (steady,) = [each for each in counted.sites if each.site == "steady"]
    assert rows(steady, HEAT) == [0, 4, 4, 4, 0, 0]


def test_a_window_need_not_be_a_multiple_of_its_parts(prometheus: Prometheus, references: dict[str, Reference]) -> None:
    counted = DriftMetrics(prometheus, "press").read_window(references, NOW - timedelta(seconds=6000), NOW)
    (steady,) = [each for each in counted.sites if each.site == "steady"]
    assert rows(steady, HEAT) == [0, 100, 100, 100, 0, 0]


@pytest.mark.skipif(
    not shutil.which("victoria-metrics"), reason="VictoriaMetrics is not installed (package victoria-metrics)"
)
def test_victoria_metrics_gives_the_same_rows(
    references: dict[str, Reference], sites: dict[str, SiteCounts], tmp_path: Path
) -> None:
    """Its functions over time differ from those of Prometheus on new and sparse counters; none of these is used."""
    hub = Program(["victoria-metrics", f"-storageDataPath={tmp_path}", "-retentionPeriod=100y"], tmp_path / "log")
    hub.start()
    try:
        samples = [line.rsplit(" ", 1) for server in SERVERS for _, line in server.samples()]
        lines = "\n".join(f"{value} {int(time) * 1000}" for value, time in samples)
        requests.post(f"{hub.url}/api/v1/import/prometheus", data=lines, timeout=60).raise_for_status()
        requests.get(f"{hub.url}/internal/force_flush", timeout=60).raise_for_status()
        counted = DriftMetrics(Prometheus(hub.url), "press").read_window(references, NOW - WINDOW, NOW)
    finally:
        hub.end(killed=True)
    assert {each.site for each in counted.sites} == set(sites)
    for each in counted.sites:
        for variable, parts in each.parts.items():
            assert parts.tolist() == sites[each.site].parts[variable].tolist(), (each.site, variable)


class TestOneSentenceSays:
    def test_that_no_server_reported_the_model(self, prometheus: Prometheus) -> None:
        with pytest.raises(MetricsError, match="reported the model pump between .* Prometheus has bare, press: check"):
            DriftMetrics(prometheus, "pump").find_versions(NOW - WINDOW, NOW)

    def test_which_model_was_probably_meant(self, prometheus: Prometheus) -> None:
        with pytest.raises(MetricsError, match=r"UTC; did you mean press\?$"):
            DriftMetrics(prometheus, "Press").find_versions(NOW - WINDOW, NOW)

    def test_that_there_was_no_model_at_that_time(self, prometheus: Prometheus) -> None:
        before = NOW - timedelta(days=30)
        with pytest.raises(MetricsError, match="no model at that time: check the parameters prometheus, drift_window"):
            DriftMetrics(prometheus, "press").find_versions(before - WINDOW, before)

    def test_that_no_server_has_the_label_that_names_sites(self, prometheus: Prometheus) -> None:
        with pytest.raises(ParameterError, match="no server of the model press has a label of that name; the usual"):
            DriftMetrics(prometheus, "press", "plant").find_versions(NOW - WINDOW, NOW)

    def test_that_the_bins_are_those_of_another_version(self, prometheus: Prometheus) -> None:
        other = BundleReference(rows=300, features={"heat": Histogram(edges=(0, 1, 2), counts=(100, 100))})
        with pytest.raises(MetricsError, match=": heat is counted in 5 bins, and its training in 4; give the bundle"):
            DriftMetrics(prometheus, "press").read_window(
                {"1.0.0": bundle_reference(other, "1.0.0")}, NOW - timedelta(hours=1), NOW
            )


def test_the_server_publishes_the_metrics_that_are_read() -> None:
    page = exposition([], ServerSnapshot(True, 0, 0, 0, 0)).decode()
    published = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    names = {name.removesuffix("_bucket") for name in (*(each.name for each in COUNTED), *REFERENCES.values())}
    assert names - published == set()
