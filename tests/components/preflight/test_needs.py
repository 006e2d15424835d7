"""What the build of an image and the candidate of a staging test need, by the parameters of a run."""

from typing import Any

from kfp_edge.components.preflight.needs import find_needs
from kfp_edge.prerequisites.pod_needs import Destination, ObjectNeed, PodNeeds

VALUES: dict[str, Any] = {
    "registry": "docker://registry.example.com:5000/edge",
    "model_name": "pump",
    "serving_image": "docker://quay.io/plant/serving@sha256:" + "0" * 64,
    "data_connection": "kfp-edge-data",
    "build_options": {"context": "s3://b/p", "service_account": "builder", "registry_secret": "push", "memory": "3Gi"},
    "staging_options": {"namespace": "edge-staging", "pull_secret": "pull", "cpu": "2"},
}


def pods(**changes: Any) -> dict[str, PodNeeds]:
    return {pod.title: pod for pod in find_needs(VALUES | changes)}


def test_a_build_needs_its_service_account_and_secret_and_reaches_both_registries() -> None:
    build = pods()["the build"]
    assert set(build.objects) == {
        ObjectNeed("ServiceAccount", "builder", parameter="build_options"),
        ObjectNeed("Secret", "push", parameter="build_options"),
    }
    registries = (Destination("the registry registry.example.com", 5000), Destination("the registry quay.io", 443))
    assert (build.destinations, build.object_store_secret) == (registries, "kfp-edge-data")
    assert {each.name: each.limits.get("memory") for each in build.containers} == {
        "fetch": "256Mi",
        "build-and-push": "3Gi",
        "prepare": None,
        "place-scripts": None,
    }


def test_a_build_pulls_its_image_with_the_login_that_pushes_where_the_registry_is_the_same() -> None:
    mirrored = {**VALUES["build_options"], "builder_image": "registry.example.com:5000/mirror/buildah:1"}
    build = pods(build_options=mirrored)["the build"]
    assert build.pull_secret == ObjectNeed("Secret", "push", parameter="build_options")
    assert build.image == "registry.example.com:5000/mirror/buildah:1"
    assert pods()["the build"].pull_secret is None
    named = {**VALUES["build_options"], "pull_secret": "pull"}
    assert pods(build_options=named)["the build"].pull_secret == ObjectNeed("Secret", "pull", parameter="build_options")


def test_a_candidate_needs_its_namespace_and_pull_secret() -> None:
    candidate = pods()["the candidate of the staging test"]
    assert candidate.namespace == "edge-staging"
    assert candidate.pull_secret == ObjectNeed("Secret", "pull", parameter="staging_options")
    assert candidate.image == "registry.example.com:5000/edge/pump-candidate"
    assert candidate.objects == (ObjectNeed("ServiceAccount", "default", parameter="staging_options"),)
    assert candidate.counts == {"pods": 1, "services": 1, "deployments.apps": 1}
    assert candidate.containers[0].limits == {"cpu": "2", "memory": "256Mi"}


def test_without_tekton_and_a_cluster_for_the_test_there_are_no_pods() -> None:
    assert set(pods(build="append", staging="podman")) == {"the run"}


def logins(**values: Any) -> dict[str, str]:
    """Return why each Secret is needed, by its name."""
    names = {"data_connection": "data", "registry_secret": "push", "git_secret": "git"}
    return {need.name: need.reason for pod in find_needs(names | values) for need in pod.objects}


def test_addresses_that_need_a_login_need_its_secret() -> None:
    assert logins(data="synthetic:ai4i") == {}
    assert logins(data="s3://b/t.csv") == {"data": "the run has no other login for s3://b/t.csv"}
    assert logins(assets=[{"data": "s3://b/1.csv"}]) == {"data": "the run has no other login for s3://b/1.csv"}
    delivery = {"registry": "docker://quay.io/a", "gitops_repo": "https://git.example.com/a.git"}
    assert set(logins(**delivery, build="append", staging="podman")) == {"push", "git"}
