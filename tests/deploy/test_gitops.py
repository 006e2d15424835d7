"""The template of a fleet's repository: strictly valid objects for every way of serving and of delivery."""

from pathlib import Path
from typing import Any

import pytest

from kfp_edge.fleet.contracts import Serving
from kfp_edge.fleet.repository.new_repository import Agent, new_fleet
from kfp_edge_serving.limits import Limits
from support import schemas
from support.fleets import DIGESTS, URL, read_yaml, rendered, site_with, write_fleet
from support.manifests import KSERVE
from support.manifests import rendered as rendered_list

WINDOWS = [{"schedule": "0 22 * * *", "duration": "4h", "timeZone": "Europe/Berlin"}]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sites = [
        site_with("hall-1", windows=WINDOWS),
        site_with("hall-2", "all", namespace="lines", cluster="south", windows=WINDOWS),
        site_with("hall-3", delivery="site", namespace="lines", windows=WINDOWS),
        site_with("hall-4", registry="registry.hall-4:5000", pullSecret="login"),
    ]
    return write_fleet(tmp_path_factory.mktemp("fleet"), sites, agents=(Agent.HUB, Agent.ACM))


@pytest.fixture(scope="module")
def kserve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fleet = new_fleet("plant", URL, rings=("canary",)).model_copy(update={"serving": Serving.KSERVE})
    sites = [site_with("hall-1"), site_with("hall-4", registry="registry.hall-4:5000", pullSecret="login")]
    return write_fleet(tmp_path_factory.mktemp("kserve"), sites, fleet=fleet)


@pytest.fixture(scope="module")
def objects(fleet: Path) -> dict[str, dict[str, Any]]:
    """The objects of a site."""
    return rendered(fleet / "sites/hall-1")


@pytest.fixture(scope="module")
def hub(fleet: Path) -> dict[str, dict[str, Any]]:
    return rendered(fleet / "argocd/hub")


class TestEveryObject:
    @pytest.mark.parametrize("site", ["hall-1", "hall-2", "hall-3", "hall-4"])
    def test_of_a_site_is_valid(self, fleet: Path, site: str) -> None:
        kinds = rendered(fleet / "sites" / site)
        assert sorted(kinds) == ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"]
        for each in kinds.values():
            schemas.check(each)

    @pytest.mark.parametrize("site", ["hall-1", "hall-4"])
    def test_of_a_site_with_kserve_is_valid(self, kserve: Path, site: str) -> None:
        kinds = rendered(kserve / "sites" / site)
        assert sorted(kinds) == ["InferenceService", "NetworkPolicy", "PodDisruptionBudget"]
        for each in kinds.values():
            schemas.check(each)

    @pytest.mark.parametrize("folder", ["argocd/hub", "acm"])
    def test_of_a_hub_is_valid(self, fleet: Path, folder: str) -> None:
        for each in rendered_list(fleet / folder):
            schemas.check(each)

    def test_of_a_site_without_a_hub_is_valid(self, fleet: Path) -> None:
        for each in read_yaml(fleet / "argocd/site/hall-3.yaml"):
            schemas.check(each)


class TestAModel:
    def test_its_image_is_named_by_digest(self, objects: dict[str, dict[str, Any]]) -> None:
        (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"quay.io/team/pump@{DIGESTS[0]}"

    @pytest.mark.parametrize("site", ["hall-1", "hall-4"])
    def test_the_server_reports_the_digest_of_its_image(self, fleet: Path, kserve: Path, site: str) -> None:
        (container,) = rendered(fleet / "sites" / site)["Deployment"]["spec"]["template"]["spec"]["containers"]
        model = rendered(kserve / "sites" / site)["InferenceService"]["spec"]["predictor"]["model"]
        for each in (container, model):
            assert {"name": "KFP_EDGE_IMAGE_DIGEST", "value": DIGESTS[0]} in each["env"]

    def test_site_and_ring_are_labels_of_its_objects_and_pods(self, objects: dict[str, dict[str, Any]]) -> None:
        labels = {"kfp-edge.io/site": "hall-1", "kfp-edge.io/ring": "canary"}
        deployment = objects["Deployment"]
        for metadata in (deployment["metadata"], deployment["spec"]["template"]["metadata"]):
            assert labels.items() <= metadata["labels"].items()
        # a selector cannot be changed, and the ring of a site can
        assert deployment["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": "pump"}

    def test_services_policies_and_budgets_select_its_pods(self, objects: dict[str, dict[str, Any]]) -> None:
        labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
        for selector in (
            objects["Service"]["spec"]["selector"],
            objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
            objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        ):
            assert selector.items() <= labels.items()

    def test_it_meets_the_restricted_pod_security_standard(self, objects: dict[str, dict[str, Any]]) -> None:
        pod = objects["Deployment"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()

    def test_it_calls_nobody_and_is_called_at_its_port_only(self, objects: dict[str, dict[str, Any]]) -> None:
        policy = objects["NetworkPolicy"]["spec"]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert "egress" not in policy
        (rule,) = policy["ingress"]
        assert [port["port"] for port in rule["ports"]] == [8080]

    def test_the_drain_of_a_node_is_not_blocked_by_one_replica(self, objects: dict[str, dict[str, Any]]) -> None:
        # eviction is allowed while the healthy pods are more than those that have to stay (policy/v1)
        replicas = objects["Deployment"]["spec"]["replicas"]
        budget = objects["PodDisruptionBudget"]["spec"]
        assert "minAvailable" not in budget
        assert replicas - budget["maxUnavailable"] < replicas
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"

    def test_a_pod_that_ends_has_time_for_requests_in_flight(self, objects: dict[str, dict[str, Any]]) -> None:
        pod = objects["Deployment"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        set_by_name = {variable["name"]: variable["value"] for variable in container["env"]}
        del set_by_name["KFP_EDGE_IMAGE_DIGEST"]
        variables = {name: float(value) for name, value in set_by_name.items()}
        # they are options of the server, here with their defaults
        assert variables == {
            "KFP_EDGE_SHUTDOWN_DELAY": Limits.shutdown_delay,
            "KFP_EDGE_DRAIN_TIMEOUT": Limits.drain_timeout,
        }
        assert pod["terminationGracePeriodSeconds"] > sum(variables.values())


class TestKServe:
    def test_it_uses_our_runtime_and_its_model_format(self, kserve: Path) -> None:
        model = rendered(kserve / "sites/hall-1")["InferenceService"]["spec"]["predictor"]["model"]
        runtimes = {each["metadata"]["name"]: each for each in rendered_list(KSERVE)}
        formats = {each["name"] for each in runtimes[model["runtime"]]["spec"]["supportedModelFormats"]}
        assert model["modelFormat"]["name"] in formats

    def test_the_policy_and_the_budget_select_the_pods_that_kserve_makes(self, kserve: Path) -> None:
        kinds = rendered(kserve / "sites/hall-1")
        # pkg/constants/constants.go of KServe: InferenceServicePodLabelKey
        labels = {"serving.kserve.io/inferenceservice": kinds["InferenceService"]["metadata"]["name"]}
        assert kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
        assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels

    def test_the_image_is_named_by_digest(self, kserve: Path) -> None:
        model = rendered(kserve / "sites/hall-1")["InferenceService"]["spec"]["predictor"]["model"]
        assert model["storageUri"] == f"oci://quay.io/team/pump@{DIGESTS[0]}"

    def test_a_site_with_a_registry_pulls_from_it_with_its_pull_secret(self, kserve: Path) -> None:
        predictor = rendered(kserve / "sites/hall-4")["InferenceService"]["spec"]["predictor"]
        assert predictor["model"]["storageUri"] == f"oci://registry.hall-4:5000/team/pump@{DIGESTS[0]}"
        assert predictor["imagePullSecrets"] == [{"name": "login"}]


class TestAHub:
    def test_each_site_file_is_an_application_whose_keys_the_contract_requires(
        self, hub: dict[str, dict[str, Any]], fleet: Path
    ) -> None:
        spec = hub["ApplicationSet"]["spec"]
        (generator,) = spec["generators"]
        assert generator["git"]["files"] == [{"path": "sites/*/site.yaml"}]
        assert spec["goTemplateOptions"] == ["missingkey=error"]
        keys = {word for word in _placeholders(spec["template"]) if not word.startswith("path.")}
        site = read_yaml(fleet / "sites/hall-1/site.yaml")[0]
        assert keys == {"ring", "cluster", "namespace"}
        assert keys <= site.keys()

    def test_sites_that_it_does_not_deliver_to_are_left_out(self, hub: dict[str, dict[str, Any]]) -> None:
        (generator,) = hub["ApplicationSet"]["spec"]["generators"]
        assert generator["selector"] == {"matchLabels": {"delivery": "hub"}}

    @pytest.mark.parametrize("folder", ["argocd/hub", "acm"])
    def test_a_site_that_is_removed_goes_on_running_and_syncs_are_tried_for_ever(
        self, fleet: Path, folder: str
    ) -> None:
        spec = rendered(fleet / folder)["ApplicationSet"]["spec"]
        assert spec["syncPolicy"]["preserveResourcesOnDeletion"] is True
        policy = spec["template"]["spec"]["syncPolicy"]
        assert policy["automated"] == {"prune": True, "selfHeal": True}
        assert policy["retry"]["limit"] < 0
        assert "strategy" not in spec  # rings are commits
        assert "finalizers" not in spec["template"]["metadata"]

    @pytest.mark.parametrize("folder", ["argocd/hub", "acm"])
    def test_its_project_allows_what_models_need_from_this_repository_only(self, fleet: Path, folder: str) -> None:
        kinds = rendered(fleet / folder)
        project = kinds["AppProject"]["spec"]
        assert project["sourceRepos"] == [URL]
        assert [each["namespace"] for each in project["destinations"]] == ["edge-models", "lines"]
        assert [(each["kind"], each["name"]) for each in project["clusterResourceWhitelist"]] == [
            ("Namespace", "edge-models"),
            ("Namespace", "lines"),
        ]
        allowed = {each["kind"] for each in project["namespaceResourceWhitelist"]}
        of_models = {"Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget", "InferenceService"}
        assert allowed == of_models | {"ConfigMap", "PersistentVolumeClaim"}  # of a collector
        assert kinds["ApplicationSet"]["spec"]["template"]["spec"]["project"] == kinds["AppProject"]["metadata"]["name"]

    def test_sites_with_one_window_share_its_entry(self, hub: dict[str, dict[str, Any]]) -> None:
        assert hub["AppProject"]["spec"]["syncWindows"] == [
            {
                "kind": "allow",
                "schedule": "0 22 * * *",
                "duration": "4h",
                "timeZone": "Europe/Berlin",
                "manualSync": True,
                "applications": ["hall-1", "hall-2"],
            }
        ]

    def test_a_duration_of_days_is_in_hours_as_go_has_no_days(self, tmp_path: Path) -> None:
        site = site_with("hall-1", windows=[{"schedule": "0 0 * * 6", "duration": "2d"}])
        (window,) = rendered(write_fleet(tmp_path, [site]) / "argocd/hub")["AppProject"]["spec"]["syncWindows"]
        assert window["duration"] == "48h"

    def test_no_digest_stands_in_it(self, fleet: Path) -> None:
        for path in (fleet / "argocd").rglob("*.yaml"):
            assert "sha256:" not in path.read_text()


class TestASiteWithoutAHub:
    def test_its_application_may_write_to_its_namespace_only_and_in_its_windows(self, fleet: Path) -> None:
        project, application = read_yaml(fleet / "argocd/site/hall-3.yaml")
        assert project["spec"]["destinations"] == [{"server": "https://kubernetes.default.svc", "namespace": "lines"}]
        assert [each["name"] for each in project["spec"]["clusterResourceWhitelist"]] == ["lines"]
        assert project["spec"]["syncWindows"][0]["applications"] == ["hall-3"]
        assert application["spec"]["source"] == {"repoURL": URL, "targetRevision": "main", "path": "sites/hall-3"}
        assert application["spec"]["project"] == project["metadata"]["name"]
        assert application["spec"]["syncPolicy"]["retry"]["limit"] < 0
        assert "finalizers" not in application["metadata"]


def test_the_placement_the_application_set_and_the_cluster_label_of_acm_fit_each_other(fleet: Path) -> None:
    kinds = rendered(fleet / "acm")
    (generator,) = kinds["ApplicationSet"]["spec"]["generators"]
    decisions, site = (each.popitem()[1] for each in generator["matrix"]["generators"])
    assert decisions["configMapRef"] == kinds["ConfigMap"]["metadata"]["name"]
    placement = kinds["Placement"]["metadata"]["name"]
    assert decisions["labelSelector"]["matchLabels"] == {"cluster.open-cluster-management.io/placement": placement}
    assert kinds["GitOpsCluster"]["spec"]["placementRef"]["name"] == placement
    # Argo CD 3.3.11 refuses an Application whose own namespace is not that of a site, as the AppProject allows no other
    assert site["files"] == [{"path": "sites/{{ .name }}/site.yaml"}]
    assert kinds["ApplicationSet"]["spec"]["template"]["spec"]["destination"]["namespace"] == "{{ .namespace }}"
    # a site that is offline is not taken out of the placement
    keys = {each["key"].rpartition("/")[2] for each in kinds["Placement"]["spec"]["tolerations"]}
    assert keys == {"unreachable", "unavailable"}


def _placeholders(value: Any) -> set[str]:
    """Return the names in `{{ .NAME }}` of a template."""
    if isinstance(value, dict):
        return {name for each in value.values() for name in _placeholders(each)}
    if isinstance(value, str) and value.startswith("{{"):
        return {value.strip("{} .")}
    return set()
