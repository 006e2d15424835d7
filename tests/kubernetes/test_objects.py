"""Objects are created, read, listed, patched and deleted."""

import pytest

from kfp_edge.kubernetes import Cluster
from kfp_edge.kubernetes.metadata import label_selector, run_labels
from support.cluster import config_map, status_codes
from support.fake_kubernetes import FakeKubernetes


def test_an_object_is_created_read_patched_and_deleted(cluster: Cluster) -> None:
    made = cluster.create(config_map(a="1", b="2"))
    assert made["metadata"]["namespace"] == "ds-project"
    assert cluster.get("ConfigMap", "one") == made
    assert cluster.patch("ConfigMap", "one", {"data": {"a": None, "c": "3"}})["data"] == {"b": "2", "c": "3"}
    assert cluster.delete("ConfigMap", "one")
    assert cluster.get("ConfigMap", "one") is None
    assert not cluster.delete("ConfigMap", "one")


def test_an_object_goes_into_the_namespace_that_is_passed(cluster: Cluster, fake: FakeKubernetes) -> None:
    cluster.create(config_map(), namespace="edge-staging")
    assert cluster.get("ConfigMap", "one") is None
    assert cluster.get("ConfigMap", "one", "edge-staging") is not None
    assert len(fake.objects("ConfigMap", "edge-staging")) == 1


def test_an_object_goes_into_the_namespace_of_its_manifest(cluster: Cluster) -> None:
    manifest = config_map()
    manifest["metadata"]["namespace"] = "edge-staging"
    assert cluster.create(manifest)["metadata"]["namespace"] == "edge-staging"


def test_dependents_are_deleted_with_their_owner(cluster: Cluster) -> None:
    owner = cluster.create(config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    owned = config_map("owned")
    owned["metadata"]["ownerReferences"] = [reference]
    cluster.create(owned)
    cluster.delete("ConfigMap", "owner")
    assert cluster.get("ConfigMap", "owned") is None


def test_a_list_reads_all_pages_and_its_items_have_their_kind(
    cluster: Cluster, fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfp_edge.kubernetes.cluster._PAGE_SIZE", "2")
    for name in "abcde":
        fake.apply(config_map(name))
    listed = cluster.list("ConfigMap")
    assert [(each["kind"], each["metadata"]["name"]) for each in listed] == [("ConfigMap", name) for name in "abcde"]
    assert len(status_codes(fake, "list")) == 3


def test_the_events_of_a_pod_are_those_that_name_it(cluster: Cluster, fake: FakeKubernetes) -> None:
    for name in ("one", "another"):
        about = {"kind": "Pod", "name": name, "namespace": "ds-project"}
        metadata = {"name": f"{name}.1", "namespace": "ds-project"}
        event = {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": about}
        fake.apply(event | {"type": "Warning", "reason": "FailedMount", "message": name})
    assert [each["message"] for each in cluster.list_events("one")] == ["one"]


def test_a_list_starts_again_when_its_continue_token_has_expired(
    cluster: Cluster, fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kfp_edge.kubernetes.cluster._PAGE_SIZE", "2")
    for name in "abc":
        fake.apply(config_map(name))
    fake.fail("list", "configmaps", status=410, after=1)
    assert [each["metadata"]["name"] for each in cluster.list("ConfigMap")] == ["a", "b", "c"]


def test_a_list_has_the_objects_that_match_the_label_selector(cluster: Cluster) -> None:
    for name, run in (("a", "run-1"), ("b", "run-2")):
        manifest = config_map(name)
        manifest["metadata"]["labels"] = run_labels("build", run)
        cluster.create(manifest)
    listed = cluster.list("ConfigMap", label_selector(run_labels("build", "run-2")))
    assert [each["metadata"]["name"] for each in listed] == ["b"]
