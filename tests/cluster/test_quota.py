"""A namespace with a quota on limits: it takes the pods of runs with the LimitRange of deploy/openshift/quota only.

The pods are those of the run of `edge_mlops`, as the API server keeps them; they are created in a dry run, for which
the server asks quotas and LimitRanges as it does for every pod.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from kfp_edge.kubernetes import Cluster
from support.live_cluster.commands import Completed, KfpEdge
from support.live_cluster.kubectl import KubectlError, apply, kubectl
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.projects import new_namespace
from support.live_cluster.settings import RUN_SECONDS
from support.live_cluster.story import Story
from support.manifests import OPENSHIFT

QUOTA = {"requests.cpu": "20", "requests.memory": "40Gi", "limits.cpu": "40", "limits.memory": "80Gi"}
#: Seconds in which the API server knows of a quota or a LimitRange that was created.
KNOWN_SECONDS = 60.0


@pytest.fixture(scope="module")
def namespace(live: LiveCluster) -> Iterator[str]:
    """A namespace with a quota and nothing else."""
    with new_namespace(f"{live.settings.namespace}-kfp-edge-quota") as name:
        metadata = {"name": "limits", "namespace": name}
        apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": QUOTA}})
        wait_until_counted(name, live.settings.seconds(KNOWN_SECONDS))
        yield name


@pytest.fixture(scope="module")
def pods(live: LiveCluster, story: Story) -> list[dict[str, Any]]:
    """The pods of a complete run, drivers included."""
    story.command.wait(live.settings.seconds(RUN_SECONDS))
    pods = live.pods(story.command.run_id)
    assert pods
    return pods


@pytest.fixture(scope="module")
def refusals(namespace: str, pods: list[dict[str, Any]]) -> list[str]:
    """What the server says of each pod without the LimitRange."""
    return [refusal(namespace, pod) for pod in pods]


@pytest.fixture(scope="module")
def doctor(live: LiveCluster, kfp_edge: KfpEdge, namespace: str) -> Completed:
    return kfp_edge.with_options("--namespace", namespace)("doctor", "training")


@pytest.fixture(scope="module")
def limit_range(live: LiveCluster, namespace: str, refusals: list[str], doctor: Completed) -> None:
    """The LimitRange of deploy/openshift/quota, once the server heeds it."""
    manifest = yaml.safe_load((OPENSHIFT / "quota/limits.yaml").read_text())
    manifest["metadata"]["namespace"] = namespace
    apply(manifest)
    deadline = time.monotonic() + live.settings.seconds(KNOWN_SECONDS)
    empty = {"metadata": {"name": "empty"}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
    while refusal(namespace, empty):
        assert time.monotonic() < deadline, refusal(namespace, empty)
        time.sleep(1)


def test_without_the_limit_range_the_quota_admits_no_pod(refusals: list[str]) -> None:
    assert [text for text in refusals if "must specify" not in text] == []


def test_doctor_says_that_the_limit_range_is_missing(doctor: Completed) -> None:
    assert "create a LimitRange with defaults, such as the one of deploy/openshift/quota" in doctor.output


@pytest.mark.usefixtures("limit_range")
def test_with_the_limit_range_the_quota_admits_every_pod(namespace: str, pods: list[dict[str, Any]]) -> None:
    assert [text for pod in pods if (text := refusal(namespace, pod))] == []


@pytest.mark.usefixtures("limit_range")
def test_doctor_then_finds_no_fault_with_the_quota(kfp_edge: KfpEdge, namespace: str) -> None:
    assert "create a LimitRange" not in kfp_edge.with_options("--namespace", namespace)("doctor", "training").output


def wait_until_counted(namespace: str, seconds: float) -> None:
    cluster = Cluster.connect(namespace)
    deadline = time.monotonic() + seconds
    while not any(each.get("status", {}).get("hard") for each in cluster.list("ResourceQuota")):
        assert time.monotonic() < deadline, "the quota is not counted"
        time.sleep(0.5)


def refusal(namespace: str, pod: dict[str, Any]) -> str:
    """Return why the API server does not admit a pod; empty if it does."""
    try:
        kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(as_new(pod, namespace)))
    except KubectlError as error:
        return str(error)
    return ""


def as_new(pod: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return a pod as its creator sent it, for another namespace: without what the API server has added."""
    spec = {key: value for key, value in pod["spec"].items() if not key.startswith(("serviceAccount", "nodeName"))}
    spec["volumes"] = [each for each in spec.get("volumes", ()) if "projected" not in each]
    kept = {each["name"] for each in spec["volumes"]}
    for kind in ("initContainers", "containers"):
        spec[kind] = [
            {**each, "volumeMounts": [mount for mount in each.get("volumeMounts", ()) if mount["name"] in kept]}
            for each in spec.get(kind, ())
        ]
    metadata = {"name": pod["metadata"]["name"], "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
