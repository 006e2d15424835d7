"""What the hub runs in a cluster: the manifests render and fit their kinds, and all forms have one configuration."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from kfp_edge.observability.hub.rules.rule_files import RULE_FILE
from kfp_edge.observability.site.collector.check import check_collector
from kfp_edge.observability.site.collector.components import Distribution
from support import schemas
from support.manifests import rendered
from support.paths import ROOT

HUB = ROOT / "deploy/observability/hub"
COLLECTOR = HUB / "collector/collector.yaml"
OPERATOR = HUB / "collector/operator/opentelemetrycollector.yaml"
OTELCOL = os.environ.get("KFP_EDGE_OTELCOL") or shutil.which("otelcol")


@pytest.mark.parametrize("folder", ["collector", "fleet-metrics"])
def test_the_objects_fit_their_kinds(folder: str) -> None:
    for resource in rendered(HUB / folder):
        schemas.check(resource)


def test_the_operator_gets_the_same_configuration() -> None:
    resource = yaml.safe_load(OPERATOR.read_text())
    schemas.check(resource)
    assert resource["spec"]["config"] == yaml.safe_load(COLLECTOR.read_text())


def test_the_operator_gives_the_collector_the_same_options() -> None:
    deployment = yaml.safe_load((HUB / "collector/deployment.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    options = yaml.safe_load(OPERATOR.read_text())["spec"]["args"]
    assert [f"--{name}={text}" for name, text in options.items()] == container["args"][1:]


@pytest.mark.parametrize("file", [COLLECTOR, OPERATOR], ids=lambda path: path.name)
def test_our_check_finds_nothing_in_the_configuration(file: Path) -> None:
    assert check_collector([file], Distribution.HUB) == []


def test_a_queue_in_memory_at_the_hub_is_found(tmp_path: Path) -> None:
    """A site would take an answer for stored what the hub loses when it ends."""
    text = COLLECTOR.read_text()
    file = tmp_path / "collector.yaml"
    file.write_text(text.replace("    remote_write_queue:\n      enabled: false\n", ""))
    assert file.read_text() != text
    assert any("has no sending_queue" in each.message for each in check_collector([file], Distribution.HUB))


def test_promtool_accepts_the_example_of_prometheus(tmp_path: Path) -> None:
    for file in (HUB / "prometheus/prometheus.yaml", HUB / "rules" / RULE_FILE):
        shutil.copy(file, tmp_path)
    subprocess.run(["promtool", "check", "config", tmp_path / "prometheus.yaml"], check=True, capture_output=True)


def test_the_window_for_late_samples_is_longer_than_the_outage_of_the_queues() -> None:
    storage = yaml.safe_load((HUB / "prometheus/prometheus.yaml").read_text())["storage"]
    assert storage["tsdb"]["out_of_order_time_window"] == "4d"  # 72 h, and a day to send them


@pytest.mark.skipif(OTELCOL is None, reason="needs a Collector: set KFP_EDGE_OTELCOL to its program")
def test_a_real_collector_accepts_the_configuration(tmp_path: Path) -> None:
    certificates = ("tls.crt", "tls.key", "ca.crt")
    text = COLLECTOR.read_text()
    for name in certificates:
        text = text.replace(f"/etc/otelcol/tls/{name}", str(tmp_path / name))
    (tmp_path / "collector.yaml").write_text(text)
    environment = os.environ | {"KFP_EDGE_STORAGE": "https://prometheus.example/api/v1/write"}
    command = [str(OTELCOL), "validate", f"--config={tmp_path / 'collector.yaml'}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
