"""What a run leaves in a cluster is deleted when it ends, and by the next run if it could not end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.cluster import ClusterError
from kfp_edge.cluster.labels import CONTEXT, EXPIRES, MANAGED_BY, Component, expires, labels
from kfp_edge.components.clean_up.clean_up import clean_up
from kfp_edge.errors import KfpEdgeError
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


def leave(fake: FakeKubernetes, run: str, *, seconds: float = 3600) -> None:
    """What a run makes, left there; its time is over after so many seconds."""
    _leave(fake, run, "build", PROJECT, ("TaskRun", "Secret"), seconds)
    _leave(fake, run, "staging", STAGING, ("Deployment", "Service"), seconds)


def _leave(
    fake: FakeKubernetes, run: str, component: Component, namespace: str, kinds: tuple[str, ...], seconds: float
) -> None:
    for kind in kinds:
        metadata = {
            "name": f"{component}-{run or 'nobody'}",
            "namespace": namespace,
            "labels": labels(component, run),
            "annotations": {EXPIRES: expires(seconds)},
        }
        fake.apply({**SPECS[kind], "kind": kind, "metadata": metadata})


def left(fake: FakeKubernetes) -> list[str]:
    return sorted(f"{kind} {one['metadata']['name']}" for kind in KINDS for one in fake.objects(kind))


def test_all_that_this_run_left_is_deleted_and_told(
    cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(cluster, "mine")
    clean_up("mine", OPTIONS)
    assert left(cluster) == []
    told = capsys.readouterr().out
    assert "deleted Deployment staging-mine in edge-staging: this run left it" in told
    assert "deleted TaskRun build-mine in ds-project: this run left it" in told


def test_what_another_run_still_uses_stays(cluster: FakeKubernetes) -> None:
    leave(cluster, "another")
    clean_up("mine", OPTIONS)
    assert len(left(cluster)) == len(KINDS)


def test_what_dead_runs_left_is_swept_up(cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]) -> None:
    leave(cluster, "dead", seconds=-1)
    clean_up("mine", OPTIONS)
    assert left(cluster) == []
    assert "its time was over" in capsys.readouterr().out


def test_what_is_not_ours_stays_even_with_our_marks(cluster: FakeKubernetes) -> None:
    leave(cluster, "mine", seconds=-1)
    for kind, namespace in (("Secret", PROJECT), ("Deployment", STAGING)):
        name = cluster.objects(kind)[0]["metadata"]["name"]
        cluster.update(kind, namespace, name, lambda one: one["metadata"]["labels"].update({MANAGED_BY: "Helm"}))
    clean_up("mine", OPTIONS)
    assert left(cluster) == ["Deployment staging-mine", "Secret build-mine"]


def test_without_a_run_only_what_is_over_goes(cluster: FakeKubernetes) -> None:
    leave(cluster, "", seconds=3600)
    leave(cluster, "dead", seconds=-1)
    clean_up("", OPTIONS)
    assert left(cluster) == [
        "Deployment staging-nobody",
        "Secret build-nobody",
        "Service staging-nobody",
        "TaskRun build-nobody",
    ]


def test_without_a_staging_namespace_the_pipelines_own_is_cleaned(cluster: FakeKubernetes) -> None:
    _leave(cluster, "mine", "staging", PROJECT, ("Deployment", "Service"), 3600)
    clean_up("mine", {})
    assert left(cluster) == []


def test_what_is_gone_already_is_no_failure(cluster: FakeKubernetes) -> None:
    leave(cluster, "mine")
    cluster.fail("delete", "deployments", 404)
    clean_up("mine", OPTIONS)
    assert left(cluster) == ["Deployment staging-mine"]


@pytest.mark.parametrize("status", [403, 404], ids=["not allowed to look", "no Tekton in the cluster"])
def test_where_nothing_of_ours_can_be_is_no_failure(cluster: FakeKubernetes, status: int) -> None:
    leave(cluster, "mine")
    cluster.fail("list", "taskruns", status)
    clean_up("mine", OPTIONS)
    assert left(cluster) == ["TaskRun build-mine"]


def test_an_api_that_fails_for_a_moment_is_asked_again(cluster: FakeKubernetes) -> None:
    leave(cluster, "mine")
    cluster.fail("*", "*", 429, times=2, retry_after=0)
    cluster.drop_connections()
    clean_up("mine", OPTIONS)
    assert left(cluster) == []


def test_what_cannot_be_deleted_fails_after_all_else_is_deleted(cluster: FakeKubernetes) -> None:
    leave(cluster, "mine")
    cluster.fail("delete", "taskruns", 422, message="a webhook refuses")
    with pytest.raises(ClusterError, match="delete taskruns.tekton.dev build-mine .* a webhook refuses"):
        clean_up("mine", OPTIONS)
    assert left(cluster) == ["TaskRun build-mine"]


class TestWhatABuildKeptInTheObjectStore:
    def test_is_deleted_with_what_names_it(
        self, cluster: FakeKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _leave(cluster, "mine", "build", PROJECT, ("Secret",), 3600)
        cluster.update("Secret", PROJECT, "build-mine", _name_context)
        with s3_server(tmp_path / "s3") as store:
            for name, value in store.env.items():
                monkeypatch.setenv(name, value)
            store.client().create_bucket(Bucket="lake")
            store.client().put_object(Bucket="lake", Key="builds/context.tar", Body=b"context")
            clean_up("mine", OPTIONS)
            assert store.client().list_objects_v2(Bucket="lake")["KeyCount"] == 0
        assert left(cluster) == []

    def test_stays_named_when_the_store_is_away(self, cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
        leave(cluster, "mine")
        cluster.update("Secret", PROJECT, "build-mine", _name_context)
        monkeypatch.setenv("AWS_S3_ENDPOINT", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        with pytest.raises(KfpEdgeError, match="s3://lake/builds/context.tar"):
            clean_up("mine", OPTIONS)
        assert left(cluster) == ["Secret build-mine"]


def _name_context(left: dict[str, Any]) -> None:
    left["metadata"]["annotations"][CONTEXT] = "s3://lake/builds/context.tar"


def test_on_a_laptop_nothing_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeKubernetes(tmp_path) as fake:
        monkeypatch.setenv("KUBECONFIG", str(fake.kubeconfig()))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        leave(fake, "mine", seconds=-1)
        clean_up("mine", OPTIONS)
        assert len(left(fake)) == len(KINDS)
        assert fake.requests == []
    assert "nothing to clean up" in capsys.readouterr().out
