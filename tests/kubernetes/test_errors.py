"""Transient errors are retried; all others are one sentence that says what to do."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.kubernetes import Cluster, ClusterError, api
from support.cluster import RUNNER, config_map, set_environment, status_codes
from support.fake_kubernetes import FakeKubernetes


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_transient_error_is_retried(cluster: Cluster, fake: FakeKubernetes, short_delays: None, status: int) -> None:
    fake.fail("create", "configmaps", status=status, times=2)
    assert cluster.create(config_map())["metadata"]["name"] == "one"
    assert status_codes(fake, "create") == [status, status, 201]


def test_a_quota_that_changed_at_the_same_moment_is_retried(
    cluster: Cluster, fake: FakeKubernetes, short_delays: None
) -> None:
    conflict = 'Operation cannot be fulfilled on resourcequotas "q": the object has been modified; please apply your'
    fake.fail("create", "configmaps", status=409, message=conflict)
    assert cluster.create(config_map())["metadata"]["name"] == "one"
    assert status_codes(fake, "create") == [409, 201]


def test_what_a_quota_refuses_is_no_missing_permission(cluster: Cluster, fake: FakeKubernetes) -> None:
    metadata = {"name": "small", "namespace": "ds-project"}
    spec = {"hard": {"count/configmaps": "0"}}
    fake.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec})
    with pytest.raises(
        ClusterError,
        match="the namespace ds-project refuses our request to create configmaps: the ResourceQuota small can never "
        "allow it: count/configmaps 1 asked for, 0 allowed; ask for less, or have the quota raised.$",
    ):
        cluster.create(config_map())


def test_retry_after_is_respected(cluster: Cluster, fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    monkeypatch.setattr("time.sleep", delays.append)
    fake.fail("list", "pods", status=429, retry_after=7)
    cluster.list("Pod")
    assert delays == [7]


def test_a_dropped_connection_is_retried(cluster: Cluster, fake: FakeKubernetes, short_delays: None) -> None:
    fake.drop_connections(2)
    assert cluster.list("Pod") == []


def test_a_request_without_a_response_is_retried(
    cluster: Cluster, fake: FakeKubernetes, short_delays: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_READ_TIMEOUT", 0.5)
    fake.stall()
    assert cluster.list("Pod") == []


def test_a_lasting_error_is_raised_after_five_attempts(
    cluster: Cluster, fake: FakeKubernetes, short_delays: None
) -> None:
    fake.fail("get", "pods", status=503, times=9)
    with pytest.raises(
        ClusterError, match="answered 503 to the request to get pods x in the namespace ds-project"
    ) as caught:
        cluster.get("Pod", "x")
    assert caught.value.status == 503
    assert status_codes(fake, "get") == [503] * 5


def test_an_api_that_cannot_be_reached_is_an_error_without_status(
    cluster: Cluster, fake: FakeKubernetes, short_delays: None
) -> None:
    fake.drop_connections(5)
    with pytest.raises(ClusterError, match="failed in the request to list pods in the namespace ds-project") as caught:
        cluster.list("Pod")
    assert caught.value.status == 0


def test_a_create_whose_response_was_lost_happens_once(
    cluster: Cluster, fake: FakeKubernetes, short_delays: None
) -> None:
    fake.drop_connections(done=True)
    assert cluster.create(config_map(a="1")) == cluster.get("ConfigMap", "one")
    assert status_codes(fake, "create") == [409]


def test_a_delete_whose_response_was_lost_has_deleted(
    cluster: Cluster, fake: FakeKubernetes, short_delays: None
) -> None:
    fake.apply(config_map())
    fake.drop_connections(done=True)
    assert cluster.delete("ConfigMap", "one")


def test_an_object_that_another_client_created_is_not_ours(cluster: Cluster, fake: FakeKubernetes) -> None:
    fake.apply(config_map(a="1"))
    with pytest.raises(ClusterError, match='"one" already exists') as caught:
        cluster.create(config_map(a="1"))
    assert caught.value.status == 409


def test_an_object_that_another_client_created_is_not_ours_after_a_lost_connection_either(
    cluster: Cluster, fake: FakeKubernetes, short_delays: None
) -> None:
    fake.apply(config_map(a="1"))
    fake.drop_connections()
    with pytest.raises(ClusterError) as caught:
        cluster.create(config_map(a="1"))
    assert caught.value.status == 409


def test_a_renewed_token_is_used_once_the_old_one_is_refused(
    fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, fake.pod(RUNNER, "ds-project"))
    in_cluster = Cluster.connect()
    in_cluster.list("Pod")
    fake.expire_token(RUNNER)
    assert len(in_cluster.list("Pod")) == 1
    assert in_cluster.token == fake.token(RUNNER)


def test_a_kubeconfig_is_read_again_once_its_token_is_refused(cluster: Cluster, fake: FakeKubernetes) -> None:
    cluster.list("Pod")
    fake.expire_token(RUNNER)
    assert cluster.list("Pod") == []


def test_the_error_about_an_expired_token_says_to_log_in_and_does_not_show_it(
    cluster: Cluster, fake: FakeKubernetes
) -> None:
    token = cluster.token
    fake.expire_token(RUNNER, renew=False)
    with pytest.raises(
        ClusterError, match="does not accept our token to list pods.*log in again with `oc login`"
    ) as caught:
        cluster.list("Pod")
    assert caught.value.status == 401
    assert token not in str(caught.value)


def test_the_error_about_a_missing_permission_says_who_grants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with FakeKubernetes(tmp_path, roles=[]) as fake:
        set_environment(monkeypatch, fake.environ(RUNNER, "ds-project"))
        with pytest.raises(ClusterError) as caught:
            Cluster.connect().list("TaskRun")
    assert caught.value.status == 403
    assert str(caught.value).startswith(
        "the Kubernetes API does not allow us to list taskruns.tekton.dev in the namespace ds-project ("
    )
    assert "deploy/openshift/README.md lists the permissions" in str(caught.value)


def test_the_error_about_an_invalid_object_has_the_message_of_the_api(cluster: Cluster) -> None:
    with pytest.raises(
        ClusterError, match="answered 422 to the request to create configmaps .*'extra' was unexpected"
    ) as caught:
        cluster.create({**config_map(), "extra": 1})
    assert caught.value.status == 422


def test_a_server_that_is_not_a_kubernetes_api_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with _web_page() as url:
        user, target = {"token": "x"}, {"server": url}
        config = {
            "clusters": [{"name": "c", "cluster": target}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        file = tmp_path / "config"
        file.write_text(json.dumps(config))
        monkeypatch.setenv("KUBECONFIG", str(file))
        with pytest.raises(ClusterError, match="does not respond like a Kubernetes API"):
            Cluster.connect().list("Pod")


@contextmanager
def _web_page() -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
