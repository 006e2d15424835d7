"""The objects that a run created are deleted when it ends, or by a later run if it was killed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.components.clean_up.clean_up import clean_up
from kfp_edge.errors import KfpEdgeError
from kfp_edge.kubernetes import ClusterError
from kfp_edge.kubernetes.metadata import (
    CONTEXT_ANNOTATION,
    EXPIRES_ANNOTATION,
    MANAGED_BY_LABEL,
    Component,
    expiry_time,
    run_labels,
)
from kfp_edge.retraining.claims import ClaimPolicy, claim
from support.fake_kubernetes import FakeKubernetes
from support.s3 import s3_server

USER = "system:serviceaccount:ds-project:pipeline-runner-dspa"
PROJECT, STAGING = "ds-project", "edge-staging"
OPTIONS = {"namespace": STAGING}
KINDS = ("TaskRun", "Secret", "Deployment", "Service")

SPECS: dict[str, dict[str, Any]] = {
    "Deployment": {
        "apiVersion": "apps/v1",
        "spec": {
            "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "x", "image": "x"}]}},
        },
    },
    "Service": {"apiVersion": "v1", "spec": {"ports": [{"port": 8080}]}},
    "Secret": {"apiVersion": "v1", "stringData": {"url": "presigned"}},
    "TaskRun": {
        "apiVersion": "tekton.dev/v1",
        "spec": {"taskSpec": {"steps": [{"name": "build", "image": "quay.io/x"}]}},
    },
}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    """A cluster, and this process in one of its pods."""
    with FakeKubernetes(tmp_path) as fake:
        for name, value in fake.pod(USER, PROJECT).items():
            monkeypatch.setenv(name, value)
        yield fake


def create_leftovers(fake: FakeKubernetes, run: str, *, seconds: float = 3600) -> None:
    """Create what a run leaves in the cluster; it expires after so many seconds."""
    _create_objects(fake, run, "build", PROJECT, ("TaskRun", "Secret"), seconds)
    _create_objects(fake, run, "staging", STAGING, ("Deployment", "Service"), seconds)


def _create_objects(
    fake: FakeKubernetes, run: str, component: Component, namespace: str, kinds: tuple[str, ...], seconds: float
) -> None:
    for kind in kinds:
        metadata = {
            "name": f"{component}-{run or 'nobody'}",
            "namespace": namespace,
            "labels": run_labels(component, run),
            "annotations": {EXPIRES_ANNOTATION: expiry_time(seconds)},
        }
        fake.apply({**SPECS[kind], "kind": kind, "metadata": metadata})


def remaining(fake: FakeKubernetes) -> list[str]:
    return sorted(f"{kind} {one['metadata']['name']}" for kind in KINDS for one in fake.objects(kind))


def test_everything_that_this_run_left_is_deleted_and_logged(
    cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    create_leftovers(cluster, "mine")
    clean_up("mine", OPTIONS)
    assert remaining(cluster) == []
    log = capsys.readouterr().out
    assert "deleted Deployment staging-mine in edge-staging: left by this run" in log
    assert "deleted TaskRun build-mine in ds-project: left by this run" in log


def test_what_another_run_uses_stays(cluster: FakeKubernetes) -> None:
    create_leftovers(cluster, "another")
    clean_up("mine", OPTIONS)
    assert len(remaining(cluster)) == len(KINDS)


def test_what_killed_runs_left_is_deleted_once_it_has_expired(
    cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    create_leftovers(cluster, "dead", seconds=-1)
    clean_up("mine", OPTIONS)
    assert remaining(cluster) == []
    assert "expired" in capsys.readouterr().out


def test_objects_of_other_tools_stay_even_with_our_labels(cluster: FakeKubernetes) -> None:
    create_leftovers(cluster, "mine", seconds=-1)
    for kind, namespace in (("Secret", PROJECT), ("Deployment", STAGING)):
        name = cluster.objects(kind)[0]["metadata"]["name"]
        cluster.update(
            kind, namespace, name, lambda resource: resource["metadata"]["labels"].update({MANAGED_BY_LABEL: "Helm"})
        )
    clean_up("mine", OPTIONS)
    assert remaining(cluster) == ["Deployment staging-mine", "Secret build-mine"]


def test_without_a_run_only_expired_objects_are_deleted(cluster: FakeKubernetes) -> None:
    create_leftovers(cluster, "", seconds=3600)
    create_leftovers(cluster, "dead", seconds=-1)
    clean_up("", OPTIONS)
    assert remaining(cluster) == [
        "Deployment staging-nobody",
        "Secret build-nobody",
        "Service staging-nobody",
        "TaskRun build-nobody",
    ]


def test_without_a_staging_namespace_the_pipelines_own_is_cleaned_up(cluster: FakeKubernetes) -> None:
    _create_objects(cluster, "mine", "staging", PROJECT, ("Deployment", "Service"), 3600)
    clean_up("mine", {})
    assert remaining(cluster) == []


def test_an_object_that_is_already_deleted_is_no_error(cluster: FakeKubernetes) -> None:
    create_leftovers(cluster, "mine")
    cluster.fail("delete", "deployments", 404)
    clean_up("mine", OPTIONS)
    assert remaining(cluster) == ["Deployment staging-mine"]


@pytest.mark.parametrize("status", [403, 404], ids=["forbidden", "no Tekton in the cluster"])
def test_a_kind_that_cannot_be_listed_is_no_error(cluster: FakeKubernetes, status: int) -> None:
    create_leftovers(cluster, "mine")
    cluster.fail("list", "taskruns", status)
    clean_up("mine", OPTIONS)
    assert remaining(cluster) == ["TaskRun build-mine"]


def test_transient_errors_are_retried(cluster: FakeKubernetes) -> None:
    create_leftovers(cluster, "mine")
    cluster.fail("*", "*", 429, times=2, retry_after=0)
    cluster.drop_connections()
    clean_up("mine", OPTIONS)
    assert remaining(cluster) == []


def test_an_object_that_cannot_be_deleted_is_an_error_after_all_others_are_deleted(cluster: FakeKubernetes) -> None:
    create_leftovers(cluster, "mine")
    cluster.fail("delete", "taskruns", 422, message="a webhook refuses")
    with pytest.raises(ClusterError, match="delete taskruns.tekton.dev build-mine .* a webhook refuses"):
        clean_up("mine", OPTIONS)
    assert remaining(cluster) == ["TaskRun build-mine"]


class TestTheBuildContextInTheObjectStore:
    def test_is_deleted_with_the_object_that_refers_to_it(
        self, cluster: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _create_objects(cluster, "mine", "build", PROJECT, ("Secret",), 3600)
        cluster.update("Secret", PROJECT, "build-mine", _set_context)
        with s3_server(tmp_path / "s3") as store:
            for name, value in store.env.items():
                monkeypatch.setenv(name, value)
            store.client().create_bucket(Bucket="lake")
            store.client().put_object(Bucket="lake", Key="builds/context.tar", Body=b"context")
            clean_up("mine", OPTIONS)
            assert store.client().list_objects_v2(Bucket="lake")["KeyCount"] == 0
        assert remaining(cluster) == []

    def test_is_deleted_after_the_task_run_that_reads_it(self, cluster: FakeKubernetes) -> None:
        create_leftovers(cluster, "mine")
        clean_up("mine", OPTIONS)
        deleted = [call.resource for call in cluster.requests if call.verb == "delete"]
        assert deleted.index("taskruns") < deleted.index("secrets")

    def test_is_still_referred_to_when_the_store_cannot_be_reached(
        self, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create_leftovers(cluster, "mine")
        cluster.update("Secret", PROJECT, "build-mine", _set_context)
        monkeypatch.setenv("AWS_S3_ENDPOINT", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        with pytest.raises(KfpEdgeError, match="s3://lake/builds/context.tar"):
            clean_up("mine", OPTIONS)
        assert remaining(cluster) == ["Secret build-mine"]


def _set_context(resource: dict[str, Any]) -> None:
    resource["metadata"]["annotations"][CONTEXT_ANNOTATION] = "s3://lake/builds/context.tar"


def test_outside_a_pod_nothing_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeKubernetes(tmp_path) as fake:
        monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig()))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        create_leftovers(fake, "mine", seconds=-1)
        clean_up("mine", OPTIONS)
        assert len(remaining(fake)) == len(KINDS)
        assert fake.requests == []
    assert "nothing to delete" in capsys.readouterr().out


def test_the_claim_of_the_run_on_a_retraining_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    now, policy = datetime.now(UTC), ClaimPolicy.parse("0s", 9, "24h")
    assert claim(str(tmp_path), "press", "mine", policy, now).is_granted
    clean_up("mine", {}, str(tmp_path), "press")
    assert claim(str(tmp_path), "press", "next", policy, now).is_granted


def test_objects_are_deleted_though_the_claim_cannot_be_ended(cluster: FakeKubernetes, tmp_path: Path) -> None:
    (tmp_path / "press").mkdir()
    (tmp_path / "press" / "claims.json").write_text("no JSON")
    create_leftovers(cluster, "mine")
    with pytest.raises(KfpEdgeError, match="no claims that can be read"):
        clean_up("mine", OPTIONS, str(tmp_path), "press")
    assert remaining(cluster) == []
