"""The stage `drift`: from a real Prometheus to a decision, a document and a page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.components.drift.parameters import DriftParameters, read_parameters
from kfp_edge.components.drift.run import Result, run
from kfp_edge.drift.result import DriftResult, Verdict
from kfp_edge.errors import MetricsError, ParameterError
from kfp_edge.ml.bundle import Histogram, Reference
from support.bundles import tiny_bundle
from support.counting_servers import CountingServer
from support.prometheus import NOW, prometheus_with

SERVERS = [
    *(CountingServer(f"hall-{number}", (400, 0)) for number in range(1, 5)),
    CountingServer("hall-5", (400, 0), heat=(0, 0, 0, 0, 3)),
    *(
        CountingServer(f"plant-{number}", (400, 0), heat=(0, 0, 1, 2, 0), model="pump", ring="all")
        for number in range(1, 4)
    ),
    CountingServer("hall-1", (400, 0), heat=(0, 0, 1, 2, 0), model="old", has_reference=False),
    CountingServer("hall-1", (400, 0), heat=(0, 0, 1, 2, 0), model="fan"),
    CountingServer("hall-2", (400, 0), model="fan", version="0.9.0", has_reference=False),
    CountingServer("hall-1", (20, 0), model="new"),
]
OLD_REFERENCE = Reference(rows=300, features={"heat": Histogram(edges=(0, 1, 2, 3), counts=(100, 100, 100))})
DEFAULTS: dict[str, Any] = {
    "model_name": "press",
    "prometheus": "",
    "site_label": "site",
    "bundle": "",
    "drift_window": "280m",
    "drift_until": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
    "season": "",
    "watch_psi": 0.1,
    "drift_psi": 0.2,
    "drift_alarm_rate": 0.01,
    "min_rows": 100,
    "min_drifted_sites": 0.1,
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prometheus_with(tmp_path_factory.mktemp("prometheus"), SERVERS) as url:
        yield url


def decide(folder: Path, **values: Any) -> Result:
    return run(read(**values), folder / "result", folder / "report.html")


def read(**values: Any) -> DriftParameters:
    return read_parameters(**{**DEFAULTS, **values})


def test_drift_of_all_sites_is_a_reason_to_retrain(prometheus: str, tmp_path: Path) -> None:
    result = decide(tmp_path, model_name="pump", prometheus=prometheus)
    assert (result.decision, result.quarantined) == ("retrain", [])
    assert result.reasons[0].startswith("The whole fleet drifts in heat.")
    assert result.warnings == result.reasons
    assert (result.metrics["sites"], result.metrics["drifted"]) == (3.0, 4.0)


def test_a_run_that_has_no_verdict_warns_of_it(prometheus: str, tmp_path: Path) -> None:
    result = decide(tmp_path, prometheus=prometheus, min_rows=1_000_000)
    assert result.decision == "none"
    assert result.warnings == result.reasons
    assert result.warnings[0].startswith("There is no verdict. ")
    assert result.warnings[0].endswith("of which 1,000,000 are needed.")


def test_a_broken_sensor_is_to_be_repaired(prometheus: str, tmp_path: Path) -> None:
    result = decide(tmp_path, prometheus=prometheus)
    assert result.decision == "repair"
    (quarantine,) = result.quarantined
    assert (quarantine["site"], quarantine["features"]) == ("hall-5", ["heat"])
    assert quarantine["end"] == f"{NOW:%Y-%m-%dT%H:%M:%SZ}"


def test_the_document_has_every_comparison(prometheus: str, tmp_path: Path) -> None:
    decide(tmp_path, prometheus=prometheus)
    result = DriftResult.load(tmp_path / "result")
    assert (result.model, result.versions, result.end) == ("press", ("1.0.0",), NOW)
    # heat, kind and class of five sites and of the fleet
    assert len(result.comparisons) == 18
    assert [each.name for each in result.comparisons if each.verdict is Verdict.BROKEN] == ["hall-5"]


def test_the_page_has_the_reasons_first_and_plots_of_what_changed(prometheus: str, tmp_path: Path) -> None:
    result = decide(tmp_path, model_name="pump", prometheus=prometheus)
    page = (tmp_path / "report.html").read_text()
    assert page.index("Decision: retrain") < page.index(result.reasons[0].partition("“")[0]) < page.index("<img")
    assert 'alt="the whole fleet, heat: shares of rows in each bin"' in page


def test_a_bundle_has_the_training_that_an_old_server_does_not_publish(prometheus: str, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", "old", reference=OLD_REFERENCE)
    result = decide(tmp_path, model_name="old", prometheus=prometheus, bundle=str(bundle.folder))
    assert result.reasons[0].startswith("Site hall-1 drifts in heat.")


def test_what_servers_publish_of_training_counts_before_the_bundle(prometheus: str, tmp_path: Path) -> None:
    """Of integers, a server has fewer bins than its bundle."""
    other = Reference(rows=300, features={"heat": Histogram(edges=(0, 1, 2, 2.5, 3), counts=(100, 100, 100, 0))})
    bundle = tiny_bundle(tmp_path / "bundle", "pump", reference=other)
    assert decide(tmp_path, model_name="pump", prometheus=prometheus, bundle=str(bundle.folder)).decision == "retrain"


def test_a_version_of_which_nothing_is_known_does_not_hold_up_the_others(prometheus: str, tmp_path: Path) -> None:
    result = decide(tmp_path, model_name="fan", prometheus=prometheus)
    assert result.decision == "retrain"
    assert result.reasons[-1] == (
        "Nothing is known of the training of 0.9.0, so what its servers see is not compared; name its bundle in the "
        "parameter bundle."
    )


def test_too_few_rows_are_warned_of(prometheus: str, tmp_path: Path) -> None:
    result = decide(tmp_path, model_name="new", prometheus=prometheus)
    assert (result.decision, result.warnings) == (
        "none",
        ["There is no verdict. 60 rows, of which 100 are needed."],
    )


def test_the_environment_may_have_the_url(prometheus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_EDGE_METRICS_URL", prometheus)
    assert decide(tmp_path).decision == "repair"


class TestOneSentenceSays:
    @pytest.fixture(autouse=True)
    def _without_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KFP_EDGE_METRICS_URL", raising=False)

    def test_that_nothing_names_the_metrics(self, tmp_path: Path) -> None:
        with pytest.raises(ParameterError, match="give the parameter prometheus, or set KFP_EDGE_METRICS_URL"):
            decide(tmp_path)

    def test_that_the_model_has_no_metrics_and_writes_nothing(self, prometheus: str, tmp_path: Path) -> None:
        with pytest.raises(MetricsError, match="no server reported the model valve between .* Prometheus has .*press"):
            decide(tmp_path, model_name="valve", prometheus=prometheus)
        assert list(tmp_path.iterdir()) == []

    def test_that_nothing_is_known_of_its_training(self, prometheus: str, tmp_path: Path) -> None:
        with pytest.raises(MetricsError, match=r"old 1\.0\.0 publish nothing of its training; name its bundle in the"):
            decide(tmp_path, model_name="old", prometheus=prometheus)

    def test_that_the_bundle_is_not_the_one_that_is_served(self, prometheus: str, tmp_path: Path) -> None:
        bundle = tiny_bundle(tmp_path / "bundle", "old", "0.9.0", reference=OLD_REFERENCE)
        with pytest.raises(ParameterError, match=r"bundle is old 0\.9\.0, and old 1\.0\.0 is served; give the bundle"):
            decide(tmp_path, model_name="old", prometheus=prometheus, bundle=str(bundle.folder))

    def test_that_the_server_cannot_be_reached(self, tmp_path: Path) -> None:
        with pytest.raises(MetricsError, match=r"cannot be reached; check the parameter prometheus"):
            decide(tmp_path, prometheus="http://127.0.0.1:9")

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"model_name": ""}, "model_name is empty"),
            ({"prometheus": "thanos:9090"}, "prometheus must be a URL such as"),
            ({"prometheus": "https://user:word@thanos"}, "prometheus must be a URL such as"),
            ({"site_label": "the site"}, "site_label is 'the site', which is no name of a label"),
            ({"drift_window": "a week"}, "drift_window is 'a week', which is no duration such as 24h"),
            ({"drift_window": "10s"}, "drift_window is 10s; it has to be at least 28s"),
            ({"drift_window": "90000d"}, "drift_window is 90000d; it has to be at most 366d"),
            ({"season": "10000d"}, "season is 10000d; it has to be at most 366d"),
            ({"drift_until": "0001-01-01"}, "drift_until is '0001-01-01', before any metrics were there"),
            ({"drift_until": "yesterday"}, "drift_until is 'yesterday', which is no time such as"),
            ({"season": "0d"}, "season is 0d; it has to be above 0"),
            ({"watch_psi": 0.0}, "watch_psi is 0; it has to be above 0"),
            ({"drift_psi": 0.05}, "drift_psi is 0.05; it has to be at least watch_psi, 0.1"),
            ({"drift_alarm_rate": 1.0}, "drift_alarm_rate is 1; it has to be between 0 and 1"),
            ({"min_rows": 0}, "min_rows is 0; it has to be at least 1"),
            ({"min_drifted_sites": 10}, "min_drifted_sites is 10; it has to be a share from 0 to 1"),
        ],
    )
    def test_what_is_wrong_with_a_parameter(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(ParameterError, match=message) as caught:
            read(**values)
        assert "word@" not in str(caught.value)
