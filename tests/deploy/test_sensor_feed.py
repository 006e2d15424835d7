"""The sensor feed in a fleet: a component that a site names adds it to the pods of a model, at the ring's digest."""

import getpass
import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import yaml
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from kfp_edge.gitops.template_files import Part, render_part
from kfp_edge.storage.files import write_files
from kfp_edge_serving.sensor_feed.settings_reader import parse_settings
from support.manifests import rendered
from support.paths import ROOT
from support.schemas import check
from support.site_collectors import free_port

#: Debian has it where the PATH of ordinary users does not lead.
BROKER = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
FEED = ROOT / "deploy/sensor-feed"
DIGEST = "sha256:" + "1" * 64
SITE = {
    "resources": ["../../rings/canary/press"],
    "components": ["../sensor-feed"],
    "namespace": "edge-models",
}


@pytest.fixture
def objects(tmp_path: Path) -> dict[str, Any]:
    """Return the objects of a site with the component, by their kinds."""
    values = {
        "model": "press",
        "ring": "canary",
        "image": "press",
        "image_name": "registry.example/models/press",
        "digest": DIGEST,
    }
    write_files(tmp_path, render_part(Part.DEPLOYMENT, values))
    shutil.copytree(FEED / "kubernetes", tmp_path / "sites/sensor-feed")
    (tmp_path / "sites/hall-7").mkdir()
    (tmp_path / "sites/hall-7/kustomization.yaml").write_text(yaml.safe_dump(SITE))
    return {each["kind"]: each for each in rendered(tmp_path / "sites/hall-7")}


def test_the_feed_is_a_second_container_of_the_image_of_the_model(objects: dict[str, Any]) -> None:
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    model, feed = pod["containers"]
    assert (model["name"], feed["name"]) == ("inference", "sensor-feed")
    assert feed["image"] == model["image"] == f"registry.example/models/press@{DIGEST}"
    mounted = {mount["name"]: mount["mountPath"] for mount in feed["volumeMounts"]}
    assert mounted == {"sensor-feed": "/etc/kfp-edge", "sensor-feed-buffer": "/var/lib/kfp-edge-feed"}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["sensor-feed"]["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    claim = volumes["sensor-feed-buffer"]["persistentVolumeClaim"]["claimName"]
    assert claim == objects["PersistentVolumeClaim"]["metadata"]["name"]


def test_every_object_fits_the_strict_schema_of_its_kind(objects: dict[str, Any]) -> None:
    for each in objects.values():
        check(each)


def test_the_feed_may_reach_a_broker_and_is_scraped(objects: dict[str, Any]) -> None:
    policy = objects["NetworkPolicy"]["spec"]
    assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == {1883, 8883, 53, 5353}
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == {8080, 8082}


def test_its_configuration_is_valid_and_fits_the_volume(objects: dict[str, Any]) -> None:
    settings = parse_settings(tomllib.loads(objects["ConfigMap"]["data"]["sensor-feed.toml"]))
    assert str(settings.buffer.folder) == "/var/lib/kfp-edge-feed"
    assert objects["PersistentVolumeClaim"]["spec"]["resources"]["requests"]["storage"] == "512Mi"
    assert settings.buffer.size + settings.buffer.history + 2 * (8 << 20) < 512 << 20


def test_the_same_configuration_is_for_podman() -> None:
    assert (FEED / "podman/sensor-feed.toml").read_bytes() == (FEED / "kubernetes/sensor-feed.toml").read_bytes()


def _answer(port: int, login: tuple[str, str] | None) -> str:
    """Return what a broker answers to a client."""
    answers: Queue[str] = Queue()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    if login is not None:
        client.username_pw_set(*login)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.put(str(reason))
    client.connect_async("127.0.0.1", port)
    client.reconnect_delay_set(1, 1)
    client.loop_start()
    try:
        return answers.get(timeout=30)
    finally:
        client.loop_stop()


@pytest.mark.skipif(BROKER is None, reason="needs mosquitto")
def test_the_broker_takes_the_clients_that_have_a_login_as_the_document_says(tmp_path: Path) -> None:
    port = free_port()
    subprocess.run(["mosquitto_passwd", "-b", "-c", tmp_path / "passwd", "feed", "word"], check=True)
    text = (FEED / "mosquitto.conf").read_text().replace("/etc/mosquitto/passwd", f"{tmp_path}/passwd")
    text = text.replace("listener 1883", f"listener {port} 127.0.0.1").replace("/var/lib/mosquitto", str(tmp_path))
    (tmp_path / "mosquitto.conf").write_text(f"{text}user {getpass.getuser()}\n")
    with subprocess.Popen([str(BROKER), "-c", tmp_path / "mosquitto.conf"]) as broker:
        try:
            assert _answer(port, ("feed", "word")) == "Success"
            assert _answer(port, None) == "Not authorized"
        finally:
            broker.terminate()


def test_the_document_has_the_configuration_of_the_broker() -> None:
    text = (ROOT / "docs/sensor-feed.md").read_text()
    assert (FEED / "mosquitto.conf").read_text().partition("\n")[2] in text
