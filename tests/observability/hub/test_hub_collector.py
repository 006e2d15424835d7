"""The real collector of the hub between a site and a real Prometheus: late samples are stored, none is lost."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from kfp_edge.fleet.simulation.http_server import Handler, serving
from kfp_edge.ml.bundle import ModelIdentity
from kfp_edge.observability.demo.certificates import write_certificates
from serving_support.server_process import running
from support.models import verify_model, write_model
from support.paths import ROOT
from support.prometheus import prometheus_receiving
from support.site_collectors import NO_COLLECTOR, find_collector, free_port, wait_until
from support.tables import failures

PROGRAM = find_collector() or Path()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("collector"),
    pytest.mark.skipif(find_collector() is None, reason=NO_COLLECTOR),
]

HUB = ROOT / "deploy/observability/hub"
HOUR = 3600


@dataclass(frozen=True)
class Hub:
    """A collector of the hub; `certificates` has those of a site."""

    port: int
    metrics_port: int
    certificates: Path
    process: "subprocess.Popen[bytes]"

    def send(self, *points: tuple[str, float, float], is_site: bool = True) -> int:
        """Send gauges of a site, by name, value and time; return the HTTP status."""
        pair = (str(self.certificates / "server.crt"), str(self.certificates / "server.key"))
        return requests.post(
            f"https://127.0.0.1:{self.port}/v1/metrics",
            json=otlp(points),
            cert=pair if is_site else None,
            verify=self.certificates / "client/ca.crt",
            timeout=60,
        ).status_code


def otlp(points: tuple[tuple[str, float, float], ...]) -> dict[str, Any]:
    """Return a request of OTLP/HTTP in JSON."""
    attributes = [{"key": key, "value": {"stringValue": text}} for key, text in (("site", "hall-7"), ("ring", "all"))]
    metrics = [
        {
            "name": name,
            "gauge": {"dataPoints": [{"attributes": attributes, "timeUnixNano": f"{at * 1e9:.0f}", "asDouble": value}]},
        }
        for name, value, at in points
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "kfp-edge"}}]}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]}


@contextmanager
def hub_with(folder: Path, storage: str) -> Iterator[Hub]:
    """Run the collector of the hub, with its own configuration but for ports and files."""
    folder.mkdir()
    write_certificates(folder)
    port, health, metrics = free_port(), free_port(), free_port()
    text = (HUB / "collector/collector.yaml").read_text()
    for old, new in (
        ("/etc/otelcol/tls/tls.crt", folder / "server.crt"),
        ("/etc/otelcol/tls/tls.key", folder / "server.key"),
        ("/etc/otelcol/tls/ca.crt", folder / "client/ca.crt"),
        (":4318", f":{port}"),
        (":13133", f":{health}"),
        ("port: 8888", f"port: {metrics}"),
    ):
        assert old in text
        text = text.replace(old, str(new))
    (folder / "collector.yaml").write_text(text)
    variables = {"KFP_EDGE_LISTEN": "127.0.0.1", "KFP_EDGE_STORAGE": f"{storage}/api/v1/write"}
    with (folder / "log").open("w") as log:
        command = [PROGRAM, f"--config={folder / 'collector.yaml'}", *options_of_deployment()]
        process = subprocess.Popen(command, env=os.environ | variables, stdout=log, stderr=log)
    try:
        wait_until(lambda: process.poll() is not None or _is_well(health), "the collector of the hub")
        assert process.poll() is None, (folder / "log").read_text()
        yield Hub(port, metrics, folder, process)
    finally:
        process.kill()
        process.wait()


def options_of_deployment() -> list[str]:
    """Return what the Deployment gives the collector beside its configuration."""
    deployment = yaml.safe_load((HUB / "collector/deployment.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return [text for text in container["args"] if not text.startswith("--config=")]


def _is_well(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=5).ok
    except requests.ConnectionError:
        return False


def storage_only() -> str:
    """Return the part of our Prometheus configuration that says which samples it takes."""
    configuration = yaml.safe_load((HUB / "prometheus/prometheus.yaml").read_text())
    return yaml.safe_dump({"storage": configuration["storage"]})


def series(url: str, selector: str) -> dict[tuple[str, str], list[float]]:
    """Return the values of all samples, by site and ring, in the order of time."""
    answer = requests.get(f"{url}/api/v1/query", params={"query": f"{selector}[10d]"}, timeout=30).json()
    return {
        (each["metric"]["site"], each["metric"]["ring"]): [float(value) for _, value in each["values"]]
        for each in answer["data"]["result"]
    }


def test_samples_of_an_outage_of_72_hours_are_stored_beside_newer_ones(tmp_path: Path) -> None:
    now = time.time()
    with (
        prometheus_receiving(tmp_path / "prometheus", storage_only()) as url,
        hub_with(tmp_path / "hub", url) as hub,
    ):
        assert hub.send(("kfp_edge_ready", 9, now)) == HTTPStatus.OK  # of another time than what comes now
        for hours in range(72, 0, -8):
            assert hub.send(("kfp_edge_ready", hours, now - hours * HOUR)) == HTTPStatus.OK
        assert series(url, "kfp_edge_ready") == {("hall-7", "all"): [*range(72, 0, -8), 9]}


def names(url: str) -> set[str]:
    """Return the names of the metrics of sites that Prometheus has."""
    parameters = {"match[]": '{site="hall-7",ring="canary"}'}
    answer = requests.get(f"{url}/api/v1/label/__name__/values", params=parameters, timeout=30).json()
    return set(answer["data"])


def test_every_metric_of_a_server_arrives_under_its_name_and_drift_can_be_computed(tmp_path: Path) -> None:
    data = failures(500)
    trained = write_model(tmp_path / "trained", data)
    bundle = verify_model(trained, data, failures(500, seed=1), ModelIdentity("pump", "1", "abc"))
    with (
        prometheus_receiving(tmp_path / "prometheus", storage_only()) as url,
        hub_with(tmp_path / "hub", url) as hub,
        running(bundle.folder) as server,
    ):
        exposed = set(re.findall(r"^(kfp_edge_\w+)", server.get("/metrics")[1], re.MULTILINE))
        with site_sending(tmp_path / "site", hub, server.port):
            wait_until(lambda: exposed | {"up"} <= names(url), f"{exposed - names(url)}")
        numbers, live = "kfp_edge_input_feature_bin_bucket", "kfp_edge_input_feature_bucket"
        bins = f"count({numbers}) == count({numbers} and on (feature, le) {live})"
        answer = requests.get(f"{url}/api/v1/query", params={"query": bins}, timeout=30).json()
        assert answer["data"]["result"], "the buckets of counts and of the numbers of bins are not the same"


@contextmanager
def site_sending(folder: Path, hub: Hub, port: int) -> Iterator[None]:
    """Run the collector of a site, with its own configuration but for what it scrapes, where, and how often."""
    folder.mkdir()
    configuration = yaml.safe_load((ROOT / "deploy/observability/site/collector.yaml").read_text())
    (job, own) = configuration["receivers"]["prometheus"]["config"]["scrape_configs"]
    del job["dns_sd_configs"]
    job |= {"static_configs": [{"targets": [f"127.0.0.1:{port}"]}], "scrape_interval": "1s", "scrape_timeout": "1s"}
    telemetry = free_port()
    own["static_configs"] = [{"targets": [f"127.0.0.1:{telemetry}"]}]
    exporter = configuration["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]
    exporter["prometheus"]["port"] = telemetry
    configuration["exporters"]["otlp_http"]["tls"] |= {
        "ca_file": str(hub.certificates / "client/ca.crt"),
        "cert_file": str(hub.certificates / "server.crt"),
        "key_file": str(hub.certificates / "server.key"),
    }
    storage = configuration["extensions"]["file_storage"]
    storage["directory"] = storage["compaction"]["directory"] = str(folder / "queue")
    configuration["extensions"]["health_check"]["endpoint"] = f"127.0.0.1:{free_port()}"
    (folder / "collector.yaml").write_text(yaml.safe_dump(configuration))
    variables = {
        "KFP_EDGE_SITE": "hall-7",
        "KFP_EDGE_RING": "canary",
        "KFP_EDGE_HUB": f"https://127.0.0.1:{hub.port}",
    }
    with (folder / "log").open("w") as log:
        command = [PROGRAM, f"--config={folder / 'collector.yaml'}"]
        process = subprocess.Popen(command, env=os.environ | variables, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_site_is_not_answered_before_its_samples_are_stored(tmp_path: Path) -> None:
    now = time.time()
    with prometheus_receiving(tmp_path / "prometheus", storage_only()) as url:
        pass
    with hub_with(tmp_path / "hub", url) as hub:
        assert hub.send(("up", 1, now)) == HTTPStatus.SERVICE_UNAVAILABLE  # which a site sends again
        own = requests.get(f"http://127.0.0.1:{hub.metrics_port}/metrics", timeout=30).text
        # of KfpEdgeHubDoesNotStore
        assert re.search(r"^otelcol_exporter_send_failed_metric_points(_total)?\{.*\} 1$", own, re.MULTILINE)


@pytest.mark.parametrize("refusal", [500, 503, 429])
def test_a_site_sends_again_what_the_storage_does_not_take_now(tmp_path: Path, refusal: int) -> None:
    with storage_answering(refusal) as url, hub_with(tmp_path / "hub", url) as hub:
        assert hub.send(("up", 1, time.time())) == HTTPStatus.SERVICE_UNAVAILABLE


def test_a_site_does_not_repeat_for_ever_what_the_storage_never_takes(tmp_path: Path) -> None:
    """Such as samples that are older than the window of Prometheus, which would block the queue of the site."""
    with storage_answering(400) as url, hub_with(tmp_path / "hub", url) as hub:
        assert hub.send(("up", 1, time.time())) == HTTPStatus.INTERNAL_SERVER_ERROR


@contextmanager
def storage_answering(status: int) -> Iterator[str]:
    """Run a storage that answers every remote write with a status; yield its URL."""

    class Refusing(Handler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(HTTPStatus(status))

    with serving(Refusing) as address:
        yield f"http://{address}"


def test_who_has_no_certificate_of_a_site_is_refused(tmp_path: Path) -> None:
    with hub_with(tmp_path / "hub", "http://127.0.0.1:9") as hub, pytest.raises(requests.ConnectionError):
        hub.send(("up", 1, time.time()), is_site=False)
