"""A site of a fleet gets a collector: a component of its ring, its labels, the kinds that Argo CD has to allow."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from yaml import safe_load

from kfp_edge.cli.app import app
from kfp_edge.errors import GitError, ParameterError
from kfp_edge.fleet.check.check import check_repository
from kfp_edge.fleet.repository.new_repository import Agent
from support import schemas
from support.fleets import site_with, write_fleet
from support.manifests import rendered

IMAGE = f"quay.io/plant/kfp-edge-collector@sha256:{'a' * 64}"
OPTIONS = ("--hub", "https://telemetry.plant.example", "--image", IMAGE)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    sites = [
        site_with("hall-1"),
        site_with("hall-2", "all"),
        site_with("hall-3", delivery="site"),
        site_with("hall-4", registry="registry.hall-4:5000", pullSecret="login"),
    ]
    return write_fleet(tmp_path / "fleet", sites, agents=(Agent.HUB,))


def add(fleet: Path, *arguments: str) -> list[str]:
    command = ["observe", "add-collector", "--repository", str(fleet), *OPTIONS, *arguments]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.split()


def collector(fleet: Path, site: str) -> dict[str, dict[str, Any]]:
    objects = rendered(fleet / "sites" / site)
    return {each["kind"]: each for each in objects if each["metadata"]["name"].startswith("kfp-edge-")}


def test_the_sites_of_a_ring_get_valid_objects_in_their_namespace(fleet: Path) -> None:
    add(fleet, "--ring", "canary")
    for site in ("hall-1", "hall-3", "hall-4"):
        objects = rendered(fleet / "sites" / site)
        for each in objects:
            schemas.check(each)
            assert each["metadata"]["namespace"] == "edge-models"
        kinds = sorted(collector(fleet, site))
        assert kinds == ["ConfigMap", "Deployment", "NetworkPolicy", "PersistentVolumeClaim", "Service"]


def test_site_and_ring_are_labels_of_its_pod(fleet: Path) -> None:
    add(fleet, "--ring", "canary")
    labels = collector(fleet, "hall-1")["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert {"kfp-edge.io/site": "hall-1", "kfp-edge.io/ring": "canary"}.items() <= labels.items()


def test_other_rings_and_the_models_stay_as_they_are(fleet: Path) -> None:
    models = rendered(fleet / "sites/hall-1")
    add(fleet, "--ring", "canary")
    assert collector(fleet, "hall-2") == {}
    assert [each for each in rendered(fleet / "sites/hall-1") if each in models] == models


def test_image_hub_and_queue_are_those_that_were_named(fleet: Path) -> None:
    add(fleet, "--site", "hall-1", "--outage", "24h")
    objects = collector(fleet, "hall-1")
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE
    assert {"name": "KFP_EDGE_HUB", "value": "https://telemetry.plant.example"} in container["env"]
    configuration = safe_load(objects["ConfigMap"]["data"]["collector.yaml"])
    size = configuration["exporters"]["otlp_http"]["sending_queue"]["queue_size"]
    add(fleet, "--site", "hall-1", "--outage", "72h")
    configuration = safe_load(collector(fleet, "hall-1")["ConfigMap"]["data"]["collector.yaml"])
    assert configuration["exporters"]["otlp_http"]["sending_queue"]["queue_size"] > 2 * size


def test_a_site_with_a_registry_of_its_own_pulls_from_there_with_its_login(fleet: Path) -> None:
    add(fleet, "--site", "hall-4")
    pod = collector(fleet, "hall-4")["Deployment"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == IMAGE.replace("quay.io", "registry.hall-4:5000")
    assert pod["imagePullSecrets"] == [{"name": "login"}]


def test_the_fleet_passes_its_check(fleet: Path) -> None:
    assert check_repository(fleet) == []
    add(fleet, "--ring", "canary")
    add(fleet, "--ring", "all")
    assert check_repository(fleet) == []


def test_argo_cd_may_sync_every_kind(fleet: Path) -> None:
    project = fleet / "argocd/project/appproject.yaml"
    text = project.read_text()
    first, last = text.index("    # those of a collector\n"), text.index("      kind: PersistentVolumeClaim\n")
    project.write_text(text[:first] + text[last:].partition("\n")[2])  # as a fleet of an earlier version has it
    changed = add(fleet, "--ring", "canary")
    assert "argocd/project/appproject.yaml" in changed
    allowed = safe_load(project.read_text())["spec"]["namespaceResourceWhitelist"]
    kinds = {(each["group"], each["kind"]) for each in allowed}
    assert {("", "ConfigMap"), ("", "PersistentVolumeClaim"), ("apps", "Deployment")} <= kinds


def test_a_second_time_nothing_changes(fleet: Path) -> None:
    assert add(fleet, "--ring", "canary") != []
    assert add(fleet, "--ring", "canary") == []


def test_a_site_that_moved_to_another_ring_is_named(fleet: Path) -> None:
    add(fleet, "--site", "hall-1")
    path = fleet / "sites/hall-1/kustomization.yaml"
    path.write_text(path.read_text().replace("../collector-canary", "../collector-all"))
    with pytest.raises(GitError, match=r"has ../collector-all, the collector of another ring; write ../collector-can"):
        add(fleet, "--site", "hall-1")


def test_a_file_that_is_no_text_is_named(fleet: Path) -> None:
    (fleet / "sites/hall-1/kustomization.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(GitError, match=r"^sites/hall-1/kustomization.yaml is not UTF-8 text\.$"):
        add(fleet, "--site", "hall-1")


def test_a_site_without_kubernetes_is_refused_with_the_command_for_it(tmp_path: Path) -> None:
    fleet = write_fleet(tmp_path / "fleet", [site_with("hall-1", delivery="podman")], agents=(Agent.PODMAN,))
    with pytest.raises(ParameterError, match="observe render --form podman --site hall-1 --ring canary"):
        add(fleet, "--ring", "canary")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "name the sites that get a collector"),
        (("--ring", "canry"), "canary"),
        (("--site", "hall-9"), "there is no site hall-9"),
        (("--ring", "canary", "--image", "quay.io/plant/collector:1"), "name it by its digest"),
    ],
)
def test_a_mistake_changes_nothing(fleet: Path, arguments: tuple[str, ...], reason: str) -> None:
    before = sorted(path for path in fleet.rglob("*"))
    with pytest.raises((ParameterError, GitError), match=reason):
        add(fleet, *arguments)
    assert sorted(path for path in fleet.rglob("*")) == before
