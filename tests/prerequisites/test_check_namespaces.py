"""What a run would wait for without end, or be refused for, is found in its namespaces before it is started."""

import base64
import json
from typing import Any

import pytest

from kfp_edge.diagnosis import Diagnosis
from kfp_edge.kubernetes import Cluster
from kfp_edge.prerequisites import PodNeeds, check_namespaces
from kfp_edge.prerequisites.pod_needs import ContainerNeeds, Destination, ObjectNeed
from kfp_edge.prerequisites.stage_needs import ARGO_CONTAINERS
from support.fake_kubernetes import FakeKubernetes

IMAGE = "registry.example.com/plant/work:1"
MAIN = ContainerNeeds("main", {"cpu": "500m", "memory": "1Gi"}, {"cpu": "2", "memory": "4Gi"})
PULL_SECRET = ObjectNeed("Secret", "quay", is_required=False, parameter="image_pull_secret")


def stage(*objects: ObjectNeed, **fields: Any) -> PodNeeds:
    return PodNeeds("the stage train", "ds-project", objects=objects, **fields)


def manifest(kind: str, name: str, version: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "ds-project"}, **fields}


def pull_secret(*registries: str) -> dict[str, Any]:
    text = json.dumps({"auths": {registry: {"auth": "cGxhbnQ6c2VjcmV0"} for registry in registries}})
    kind = "kubernetes.io/dockerconfigjson"
    return manifest("Secret", "quay", type=kind, stringData={".dockerconfigjson": text})


def limit_range(**item: Any) -> dict[str, Any]:
    return manifest("LimitRange", "small", spec={"limits": [{"type": "Container", **item}]})


def quota(used: dict[str, str] | None = None, **hard: str) -> dict[str, Any]:
    hard = {key.replace("_", "."): amount for key, amount in hard.items()}
    return manifest("ResourceQuota", "q", spec={"hard": hard}, status={"hard": hard, "used": used or {}})


def check(cluster: Cluster, *pods: PodNeeds) -> list[Diagnosis]:
    return check_namespaces(cluster, pods)


def problem(cluster: Cluster, *pods: PodNeeds) -> tuple[str, str]:
    """Return the status of the only diagnosis that is not ok, and its sentence."""
    (found,) = [each for each in check(cluster, *pods) if each.status != "ok"]
    return found.status, str(found)


class TestObjects:
    @pytest.mark.parametrize("kind", ["Secret", "ConfigMap", "PersistentVolumeClaim"])
    def test_one_that_is_missing_prevents_the_run(self, cluster: Cluster, kind: Any) -> None:
        status, sentence = problem(cluster, stage(ObjectNeed(kind, "absent", parameter="data_connection")))
        assert status == "missing"
        assert sentence.startswith(
            f"{kind} absent: does not exist in ds-project, and the stage train cannot run without it; create it"
        )
        assert sentence.endswith("or name another one with the parameter data_connection")

    def test_one_that_is_optional_does_not_prevent_the_run(self, cluster: Cluster) -> None:
        status, sentence = problem(cluster, stage(ObjectNeed("Secret", "absent", is_required=False)))
        assert (status, "the stage train starts without it" in sentence) == ("optional", True)

    def test_several_stages_start_without_one_that_is_optional(self, cluster: Cluster) -> None:
        need = ObjectNeed("Secret", "absent", is_required=False)
        other = PodNeeds("the stage verify", "ds-project", objects=(need,))
        assert "; the stage train and 1 other start without it" in problem(cluster, stage(need), other)[1]

    def test_one_that_the_run_is_likely_to_need_is_a_warning(self, cluster: Cluster) -> None:
        need = ObjectNeed("Secret", "absent", is_required=False, reason="the run has no other login for s3://b")
        status, sentence = problem(cluster, stage(need))
        assert (status, sentence.split("; ")[0]) == (
            "warning",
            "Secret absent: does not exist in ds-project, and the run has no other login for s3://b",
        )

    def test_a_key_that_is_missing_is_named_and_no_value_is_told(self, fake: FakeKubernetes, cluster: Cluster) -> None:
        fake.apply(manifest("Secret", "login", stringData={"user": "ada", "pass": "hidden-value"}))
        status, sentence = problem(cluster, stage(ObjectNeed("Secret", "login", frozenset({"user", "password"}))))
        assert (status, sentence.split("; ")[0]) == (
            "missing",
            "Secret login: has no key password in ds-project, without which the stage train cannot start",
        )
        assert "hidden-value" not in sentence

    def test_the_keys_of_a_missing_secret_are_named(self, cluster: Cluster) -> None:
        sentence = problem(cluster, stage(ObjectNeed("Secret", "absent", frozenset({"user", "password"}))))[1]
        assert sentence.endswith("; create it with the keys password, user")

    def test_several_stages_with_one_object_are_one_diagnosis(self, cluster: Cluster) -> None:
        need = ObjectNeed("Secret", "absent")
        others = [PodNeeds(f"the stage {name}", "ds-project", objects=(need,)) for name in ("ingest", "verify")]
        assert "the stage train and 2 others cannot run" in problem(cluster, stage(need), *others)[1]

    def test_stages_that_start_without_it_are_not_named_where_another_does_not(self, cluster: Cluster) -> None:
        optional = PodNeeds(
            "the stage release", "ds-project", objects=(ObjectNeed("Secret", "absent", is_required=False),)
        )
        required = PodNeeds("the build", "ds-project", objects=(ObjectNeed("Secret", "absent", parameter="options"),))
        sentence = problem(cluster, optional, required)[1]
        assert sentence.startswith("Secret absent: does not exist in ds-project, and the build cannot run without it;")
        assert sentence.endswith("the parameter options")

    def test_what_exists_is_ok(self, fake: FakeKubernetes, cluster: Cluster) -> None:
        fake.apply(manifest("Secret", "login", stringData={"user": "ada"}))
        assert check(cluster, stage(ObjectNeed("Secret", "login", frozenset({"user"})))) == [
            Diagnosis("Secret login", "exists in ds-project", "ok")
        ]


class TestServiceAccounts:
    def test_one_that_is_missing_gets_no_pod(self, cluster: Cluster) -> None:
        status, sentence = problem(cluster, stage(ObjectNeed("ServiceAccount", "nobody", parameter="build_options")))
        assert (status, sentence.split("; ")[0]) == (
            "missing",
            "ServiceAccount nobody: does not exist in ds-project, so that the stage train cannot run",
        )

    def test_a_namespace_that_does_not_exist_is_named(self, cluster: Cluster) -> None:
        pod = PodNeeds("the candidate", "elsewhere", objects=(ObjectNeed("ServiceAccount", "default"),))
        assert problem(cluster, pod)[1].startswith("namespace elsewhere: does not exist, and the candidate would run")

    def test_nothing_else_is_looked_up_in_a_namespace_that_does_not_exist(self, cluster: Cluster) -> None:
        pods = [PodNeeds(name, "elsewhere", objects=(ObjectNeed("Secret", "login"),)) for name in ("this", "that")]
        assert [str(each).split(";")[0] for each in check(cluster, *pods)] == [
            "namespace elsewhere: does not exist, and this and 1 other would run there"
        ]


class TestImagePullSecrets:
    def pod(self, image: str = IMAGE) -> PodNeeds:
        return stage(image=image, pull_secret=PULL_SECRET)

    @pytest.mark.parametrize(
        ("registry", "image"),
        [
            ("registry.example.com", IMAGE),
            ("https://registry.example.com/v1/", IMAGE),
            ("*.example.com", IMAGE),
            ("registry.example.com/plant", IMAGE),
            ("https://index.docker.io/v1/", "library/work:1"),
            ("registry.example.com:5000", "registry.example.com:5000/work:1"),
        ],
    )
    def test_one_with_a_login_for_the_registry_is_ok(
        self, fake: FakeKubernetes, cluster: Cluster, registry: str, image: str
    ) -> None:
        fake.apply(pull_secret(registry))
        assert [each.status for each in check(cluster, self.pod(image))] == ["ok"]

    @pytest.mark.parametrize("registry", ["quay.io", "registry.example.com:5000", "registry.example.com/other"])
    def test_one_without_a_login_for_the_registry_is_a_warning(
        self, fake: FakeKubernetes, cluster: Cluster, registry: str
    ) -> None:
        fake.apply(pull_secret(registry))
        status, sentence = problem(cluster, self.pod())
        expected = f"has no login for registry.example.com in ds-project, only for {registry}; add one if"
        assert (status, expected in sentence) == ("warning", True)
        assert "cGxhbnQ6c2VjcmV0" not in sentence

    def test_one_that_is_missing_is_optional_as_the_registry_may_be_public(self, cluster: Cluster) -> None:
        status, sentence = problem(cluster, self.pod())
        assert (status, "image_pull_secret" in sentence) == ("optional", True)

    def test_one_that_is_missing_for_the_clusters_own_registry_is_a_warning(self, cluster: Cluster) -> None:
        image = "image-registry.openshift-image-registry.svc:5000/ds-project/runtime@sha256:" + "0" * 64
        assert problem(cluster, self.pod(image))[0] == "warning"

    def test_one_of_another_type_is_a_warning(self, fake: FakeKubernetes, cluster: Cluster) -> None:
        fake.apply(manifest("Secret", "quay", type="Opaque", stringData={"a": "b"}))
        assert "is of type Opaque in ds-project, which no node uses for a pull" in problem(cluster, self.pod())[1]

    def test_those_of_the_service_account_count_where_the_pod_names_none(
        self, fake: FakeKubernetes, cluster: Cluster
    ) -> None:
        fake.apply(manifest("ServiceAccount", "candidate", imagePullSecrets=[{"name": "quay"}]))
        fake.apply(pull_secret("quay.io"))
        pod = stage(ObjectNeed("ServiceAccount", "candidate"), image=IMAGE)
        assert "image pull secret quay: has no login for registry.example.com" in problem(cluster, pod)[1]


class TestQuotas:
    def test_one_on_limits_needs_a_limit_range_for_argos_containers(
        self, fake: FakeKubernetes, cluster: Cluster
    ) -> None:
        fake.apply(quota(limits_memory="20Gi"))
        pod = stage(containers=(MAIN, *ARGO_CONTAINERS))
        status, sentence = problem(cluster, pod)
        assert (status, sentence) == (
            "warning",
            "ResourceQuota q: wants limits.memory of every container in ds-project, and init, wait of the run's pods "
            "name none; create a LimitRange with defaults, such as the one of deploy/openshift/quota: else no pod is "
            "admitted",
        )
        fake.apply(limit_range(default={"memory": "256Mi"}))
        assert {each.status for each in check(cluster, pod)} == {"ok"}

    def test_one_that_is_too_small_for_a_stage_prevents_the_run(self, fake: FakeKubernetes, cluster: Cluster) -> None:
        fake.apply(quota(limits_memory="2Gi"))
        status, sentence = problem(cluster, stage(containers=(MAIN,)))
        details = "allows 2Gi of limits.memory in ds-project, and the stage train asks for 4Gi"
        assert (status, details in sentence) == ("missing", True)

    def test_one_that_is_too_small_is_found_where_argos_containers_have_no_limits(
        self, fake: FakeKubernetes, cluster: Cluster
    ) -> None:
        fake.apply(quota(limits_memory="2Gi"))
        assert problem(cluster, stage(containers=(MAIN, *ARGO_CONTAINERS)))[0] == "missing"

    def test_one_that_is_used_up_is_a_warning(self, fake: FakeKubernetes, cluster: Cluster) -> None:
        fake.apply(quota({"limits.cpu": "9"}, limits_cpu="10"))
        status, sentence = problem(cluster, stage(containers=(MAIN,)))
        details = "is used up in ds-project: 9 of 10 of limits.cpu, and the stage train asks for 2"
        assert (status, details in sentence) == ("warning", True)

    def test_one_on_services_counts_what_the_staging_test_creates(self, fake: FakeKubernetes, cluster: Cluster) -> None:
        fake.apply(quota(services="0"))
        assert problem(cluster, stage(counts={"pods": 1, "services": 1}))[0] == "missing"

    def test_one_for_other_pods_does_not_count(self, fake: FakeKubernetes, cluster: Cluster) -> None:
        other = quota(limits_memory="1Mi")
        other["spec"]["scopes"] = ["BestEffort"]
        fake.apply(other)
        assert check(cluster, stage(containers=(MAIN,))) == []


class TestLimitRanges:
    @pytest.mark.parametrize(
        ("item", "details"),
        [
            ({"max": {"memory": "2Gi"}}, "allows at most 2Gi of memory, and the container main of the stage train"),
            ({"min": {"cpu": "1"}}, "wants at least 1 of cpu, and the container main of the stage train asks for 500m"),
            ({"maxLimitRequestRatio": {"cpu": "2"}}, "allows a cpu limit of at most 2 times the request, and"),
        ],
    )
    def test_one_that_refuses_a_stage_prevents_the_run(
        self, fake: FakeKubernetes, cluster: Cluster, item: dict[str, Any], details: str
    ) -> None:
        fake.apply(limit_range(**item))
        status, sentence = problem(cluster, stage(containers=(MAIN,)))
        assert (status, details in sentence) == ("missing", True)

    def test_a_default_limit_below_the_request_is_found(self, fake: FakeKubernetes, cluster: Cluster) -> None:
        fake.apply(limit_range(default={"memory": "512Mi"}))
        pod = stage(containers=(ContainerNeeds("main", {"memory": "1Gi"}, {"cpu": "1"}),))
        assert "a memory limit of 512Mi, which is below its request of 1Gi" in problem(cluster, pod)[1]


class TestNetworkPolicies:
    def policy(self, *ports: int) -> dict[str, Any]:
        spec = {
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "build"}},
            "policyTypes": ["Egress"],
            "egress": [{"ports": [{"protocol": "TCP", "port": port} for port in ports]}],
        }
        return manifest("NetworkPolicy", "kfp-edge-build", "networking.k8s.io/v1", spec=spec)

    def pod(self, port: int, component: str = "build") -> PodNeeds:
        labels = {"app.kubernetes.io/component": component}
        destinations = (Destination("the registry registry.example.com", port),)
        return PodNeeds("the build", "ds-project", labels=labels, destinations=destinations)

    def test_a_port_that_no_rule_names_is_found(self, fake: FakeKubernetes, cluster: Cluster) -> None:
        fake.apply(self.policy(443))
        status, sentence = problem(cluster, self.pod(5000))
        assert (status, sentence) == (
            "missing",
            "NetworkPolicy kfp-edge-build: does not let the build connect to port 5000 of the registry "
            "registry.example.com in ds-project; name the port in names.yaml of deploy/openshift, and apply it again",
        )
        fake.apply(self.policy(443, 5000))
        assert check(cluster, self.pod(5000)) == []

    def test_the_port_of_the_object_store_is_read_from_its_secret(self, fake: FakeKubernetes, cluster: Cluster) -> None:
        fake.apply(self.policy(443))
        endpoint = base64.b64encode(b"https://s3.example.com:9000").decode()
        fake.apply(manifest("Secret", "data", data={"AWS_S3_ENDPOINT": endpoint}))
        labels = {"app.kubernetes.io/component": "build"}
        pod = PodNeeds("the build", "ds-project", labels=labels, object_store_secret="data")
        assert "port 9000 of the object store s3.example.com" in problem(cluster, pod)[1]

    def test_a_policy_for_other_pods_does_not_count(self, fake: FakeKubernetes, cluster: Cluster) -> None:
        fake.apply(self.policy(443))
        assert check(cluster, self.pod(5000, "stage")) == []


def test_what_may_not_be_read_is_unchecked_and_all_else_is_checked(fake: FakeKubernetes, cluster: Cluster) -> None:
    fake.fail("get", "secrets", 403)
    found = check(cluster, stage(ObjectNeed("Secret", "login"), ObjectNeed("ConfigMap", "absent")))
    assert [(each.name, each.status) for each in found] == [("Secrets", "unchecked"), ("ConfigMap absent", "missing")]
