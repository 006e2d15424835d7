import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.cluster import Cluster, ClusterError, api, cluster, in_pod, labels
from kfp_edge.errors import KfpEdgeError
from support.fake_kubernetes import FakeKubernetes

RUNNER = "system:serviceaccount:ds-project:pipeline-runner-dspa"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with FakeKubernetes(tmp_path) as running:
        yield running


@pytest.fixture
def here(fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster, seen from a laptop with a kubeconfig."""
    _set(monkeypatch, fake.environ(RUNNER, "ds-project"))
    return Cluster.connect()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_FIRST_PAUSE", 0.001)


def _set(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


def _config_map(name: str = "one", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _set_data(fake: FakeKubernetes, **data: str) -> None:
    fake.update("ConfigMap", "ds-project", "one", lambda found: found.update(data=data))


def _asked(fake: FakeKubernetes, verb: str) -> list[int]:
    return [call.status for call in fake.requests if call.verb == verb]


def test_an_object_is_made_read_changed_and_deleted(here: Cluster) -> None:
    made = here.create(_config_map(a="1", b="2"))
    assert made["metadata"]["namespace"] == "ds-project"
    assert here.get("ConfigMap", "one") == made
    assert here.patch("ConfigMap", "one", {"data": {"a": None, "c": "3"}})["data"] == {"b": "2", "c": "3"}
    assert here.delete("ConfigMap", "one")
    assert here.get("ConfigMap", "one") is None
    assert not here.delete("ConfigMap", "one")


def test_another_namespace_can_be_named(here: Cluster, fake: FakeKubernetes) -> None:
    here.create(_config_map(), namespace="edge-staging")
    assert here.get("ConfigMap", "one") is None
    assert here.get("ConfigMap", "one", "edge-staging") is not None
    assert len(fake.objects("ConfigMap", "edge-staging")) == 1


def test_a_manifest_goes_where_it_says(here: Cluster) -> None:
    manifest = _config_map()
    manifest["metadata"]["namespace"] = "edge-staging"
    assert here.create(manifest)["metadata"]["namespace"] == "edge-staging"


def test_what_an_object_owns_is_deleted_with_it(here: Cluster) -> None:
    owner = here.create(_config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    owned = _config_map("owned")
    owned["metadata"]["ownerReferences"] = [reference]
    here.create(owned)
    here.delete("ConfigMap", "owner")
    assert here.get("ConfigMap", "owned") is None


def test_a_list_follows_its_pages_and_says_what_its_items_are(
    here: Cluster, fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_PAGE", "2")
    for name in "abcde":
        fake.apply(_config_map(name))
    found = here.list("ConfigMap")
    assert [(each["kind"], each["metadata"]["name"]) for each in found] == [("ConfigMap", name) for name in "abcde"]
    assert len(_asked(fake, "list")) == 3


def test_a_list_begins_again_when_its_pages_have_expired(
    here: Cluster, fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_PAGE", "2")
    for name in "abc":
        fake.apply(_config_map(name))
    fake.fail("list", "configmaps", status=410, after=1)
    assert [each["metadata"]["name"] for each in here.list("ConfigMap")] == ["a", "b", "c"]


def test_a_list_takes_what_the_labels_select(here: Cluster) -> None:
    for name, run in (("a", "run-1"), ("b", "run-2")):
        manifest = _config_map(name)
        manifest["metadata"]["labels"] = labels.labels("build", run)
        here.create(manifest)
    found = here.list("ConfigMap", labels.selector(labels.labels("build", "run-2")))
    assert [each["metadata"]["name"] for each in found] == ["b"]


# Where the cluster is


def test_a_pod_uses_its_service_account(fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = fake.pod(RUNNER, "ds-project")
    _set(monkeypatch, environ)
    assert in_pod()
    inside = Cluster.connect()
    pod = inside.get("Pod", environ["HOSTNAME"])
    assert pod is not None
    assert inside.namespace == "ds-project"
    assert (inside.host, inside.token, inside.ca_file) == (fake.url, fake.token(RUNNER), None)
    assert fake.requests[-1].user == RUNNER


def test_a_pod_trusts_the_authority_of_its_cluster(fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = fake.pod(RUNNER, "ds-project")
    ca = Path(environ["KFP_EDGE_SERVICE_ACCOUNT"]) / "ca.crt"
    ca.write_text("a certificate")
    _set(monkeypatch, environ)
    inside = Cluster.connect()
    assert inside.ca_file == ca
    assert inside.host == fake.url.replace("http://", "https://")
    with pytest.raises(ClusterError, match="cannot be trusted .*name the authority of its certificate"):
        inside.list("Pod")


def test_a_laptop_uses_its_kubeconfig(here: Cluster, fake: FakeKubernetes) -> None:
    assert not in_pod()
    assert here.namespace == "ds-project"
    assert (here.host, here.token, here.ca_file) == (fake.url, fake.token(RUNNER), None)
    assert Cluster.connect("edge-staging").namespace == "edge-staging"


def test_without_pod_and_kubeconfig_the_user_is_told_to_log_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(KfpEdgeError, match="this is not a pod, and there is no kubeconfig .*none; log in"):
        Cluster.connect()


@pytest.mark.parametrize("text", ["", "{", "current-context: x\nusers: [{name: u, user: {token: s3cret}}]"])
def test_a_broken_kubeconfig_is_named_and_its_token_is_not_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    file = tmp_path / "config"
    file.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(KfpEdgeError, match=re.escape(f"the kubeconfig {file} cannot be read")) as caught:
        Cluster.connect()
    assert "s3cret" not in str(caught.value)


# What goes wrong and passes


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(here: Cluster, fake: FakeKubernetes, impatient: None, status: int) -> None:
    fake.fail("create", "configmaps", status=status, times=2)
    assert here.create(_config_map())["metadata"]["name"] == "one"
    assert _asked(fake, "create") == [status, status, 201]


def test_the_api_says_how_long_to_wait(here: Cluster, fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    fake.fail("list", "pods", status=429, retry_after=7)
    here.list("Pod")
    assert waited == [7]


def test_a_dropped_connection_is_tried_again(here: Cluster, fake: FakeKubernetes, impatient: None) -> None:
    fake.drop_connections(2)
    assert here.list("Pod") == []


def test_an_api_that_does_not_answer_is_asked_again(
    here: Cluster, fake: FakeKubernetes, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_READ_SECONDS", 0.5)
    fake.stall()
    assert here.list("Pod") == []


def test_a_lasting_failure_ends_after_five_tries(here: Cluster, fake: FakeKubernetes, impatient: None) -> None:
    fake.fail("get", "pods", status=503, times=9)
    with pytest.raises(ClusterError, match="answered 503, asked to get pods x in the namespace ds-project") as caught:
        here.get("Pod", "x")
    assert caught.value.status == 503
    assert _asked(fake, "get") == [503] * 5


def test_an_api_out_of_reach_is_told(here: Cluster, fake: FakeKubernetes, impatient: None) -> None:
    fake.drop_connections(5)
    with pytest.raises(ClusterError, match="was lost on the way to list pods in the namespace ds-project") as caught:
        here.list("Pod")
    assert caught.value.status == 0


def test_a_create_whose_answer_was_lost_is_done_once(here: Cluster, fake: FakeKubernetes, impatient: None) -> None:
    fake.drop_connections(done=True)
    assert here.create(_config_map(a="1")) == here.get("ConfigMap", "one")
    assert _asked(fake, "create") == [409]


def test_a_delete_whose_answer_was_lost_has_deleted(here: Cluster, fake: FakeKubernetes, impatient: None) -> None:
    fake.apply(_config_map())
    fake.drop_connections(done=True)
    assert here.delete("ConfigMap", "one")


def test_somebody_elses_object_of_that_name_is_not_ours(here: Cluster, fake: FakeKubernetes) -> None:
    fake.apply(_config_map(a="1"))
    with pytest.raises(ClusterError, match='"one" already exists') as caught:
        here.create(_config_map(a="1"))
    assert caught.value.status == 409


def test_somebody_elses_object_is_not_ours_after_a_lost_connection_either(
    here: Cluster, fake: FakeKubernetes, impatient: None
) -> None:
    fake.apply(_config_map(a="1"))
    fake.drop_connections()
    with pytest.raises(ClusterError) as caught:
        here.create(_config_map(a="1"))
    assert caught.value.status == 409


# What is refused


def test_a_pods_new_token_is_used_once_the_old_one_is_refused(
    fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(monkeypatch, fake.pod(RUNNER, "ds-project"))
    inside = Cluster.connect()
    inside.list("Pod")
    fake.expire_token(RUNNER)
    assert len(inside.list("Pod")) == 1
    assert inside.token == fake.token(RUNNER)


def test_a_kubeconfig_is_read_again_once_its_token_is_refused(here: Cluster, fake: FakeKubernetes) -> None:
    here.list("Pod")
    fake.expire_token(RUNNER)
    assert here.list("Pod") == []


def test_an_expired_token_is_told_but_not_shown(here: Cluster, fake: FakeKubernetes) -> None:
    token = here.token
    fake.expire_token(RUNNER, renew=False)
    with pytest.raises(
        ClusterError, match="does not accept our token to list pods.*log in again with `oc login`"
    ) as caught:
        here.list("Pod")
    assert caught.value.status == 401
    assert token not in str(caught.value)


def test_a_missing_right_is_told_with_where_to_ask_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with FakeKubernetes(tmp_path, roles=[]) as fake:
        _set(monkeypatch, fake.environ(RUNNER, "ds-project"))
        with pytest.raises(ClusterError) as caught:
            Cluster.connect().list("TaskRun")
    assert caught.value.status == 403
    assert str(caught.value).startswith(
        "the Kubernetes API does not allow us to list taskruns.tekton.dev in the namespace ds-project ("
    )
    assert "deploy/openshift/README.md lists the rights" in str(caught.value)


def test_an_object_that_its_kind_does_not_allow_is_told(here: Cluster) -> None:
    with pytest.raises(
        ClusterError, match="answered 422, asked to create configmaps .*'extra' was unexpected"
    ) as caught:
        here.create({**_config_map(), "extra": 1})
    assert caught.value.status == 422


def test_what_is_no_kubernetes_api_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
        with pytest.raises(ClusterError, match="does not answer like a Kubernetes API"):
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


# Watches


def test_a_watch_tells_what_is_then_what_changes_then_the_end(here: Cluster, fake: FakeKubernetes) -> None:
    fake.apply(_config_map(step="0"))
    seen = here.watch("ConfigMap", "one", seconds=60)
    assert _data(next(seen)) == {"step": "0"}
    _set_data(fake, step="1")
    assert _data(next(seen)) == {"step": "1"}
    fake.apply(_config_map("another"))
    _set_data(fake, step="2")
    assert _data(next(seen)) == {"step": "2"}
    fake.delete("ConfigMap", "ds-project", "one")
    assert list(seen) == [None]


def _data(found: dict[str, Any] | None) -> dict[str, str]:
    assert found is not None
    data: dict[str, str] = found["data"]
    return data


def test_a_watch_of_nothing_tells_so(here: Cluster) -> None:
    assert list(here.watch("ConfigMap", "one", seconds=60)) == [None]


def test_a_watch_ends_with_its_time(here: Cluster, fake: FakeKubernetes) -> None:
    fake.apply(_config_map(step="0"))
    assert [_data(found) for found in here.watch("ConfigMap", "one", seconds=0.1)] == [{"step": "0"}]


@pytest.mark.parametrize("gone", [False, True], ids=["dropped", "410 in the stream"])
def test_a_watch_that_breaks_is_taken_up_again(
    here: Cluster, fake: FakeKubernetes, impatient: None, gone: bool
) -> None:
    fake.apply(_config_map(step="0"))
    seen = here.watch("ConfigMap", "one", seconds=60)
    next(seen)
    for step in "123":
        fake.drop_watches(gone)
        _set_data(fake, step=step)
        assert _data(next(seen)) == {"step": step}
    assert len(_asked(fake, "watch")) > 1


@pytest.mark.parametrize("verb", ["get", "watch"])
@pytest.mark.parametrize("status", [410, 429, 500, 503])
def test_a_watch_outlasts_failures_of_the_api(
    here: Cluster, fake: FakeKubernetes, impatient: None, verb: str, status: int
) -> None:
    fake.apply(_config_map(step="0"))
    seen = here.watch("ConfigMap", "one", seconds=60)
    next(seen)
    fake.fail(verb, "configmaps", status=status, times=9)
    fake.drop_watches()
    _set_data(fake, step="1")
    assert _data(next(seen)) == {"step": "1"}
    _set_data(fake, step="2")
    assert _data(next(seen)) == {"step": "2"}


def test_an_object_that_vanished_while_the_watch_was_down_is_told(
    here: Cluster, fake: FakeKubernetes, impatient: None
) -> None:
    fake.apply(_config_map(step="0"))
    seen = here.watch("ConfigMap", "one", seconds=60)
    next(seen)
    fake.fail("watch", "configmaps", status=503)
    fake.delete("ConfigMap", "ds-project", "one")
    assert list(seen) == [None]


def test_a_watch_goes_on_with_a_new_token(fake: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, fake.pod(RUNNER, "ds-project"))
    fake.apply(_config_map(step="0"))
    seen = Cluster.connect().watch("ConfigMap", "one", seconds=60)
    next(seen)
    fake.expire_token(RUNNER)
    _set_data(fake, step="1")
    assert _data(next(seen)) == {"step": "1"}


def test_a_watch_of_an_api_that_stays_away_ends_with_what_was_wrong(
    here: Cluster, fake: FakeKubernetes, impatient: None
) -> None:
    fake.apply(_config_map(step="0"))
    seen = here.watch("ConfigMap", "one", seconds=2)
    next(seen)
    fake.fail("*", "configmaps", status=503, times=10**6)
    with pytest.raises(ClusterError, match="answered 503, asked to get configmaps one"):
        next(seen)


def test_a_watch_that_is_forbidden_says_so_at_once(here: Cluster, fake: FakeKubernetes) -> None:
    fake.apply(_config_map(step="0"))
    fake.fail("watch", "configmaps", status=403)
    with pytest.raises(ClusterError, match="does not allow us to watch configmaps"):
        list(here.watch("ConfigMap", "one", seconds=60))


# Logs


def _pod(fake: FakeKubernetes) -> str:
    name = fake.pod(RUNNER, "ds-project")["HOSTNAME"]
    _set_state(fake, name, {"running": {"startedAt": "2026-01-01T00:00:00Z"}})
    return name


def _set_state(fake: FakeKubernetes, pod: str, state: dict[str, Any]) -> None:
    about = {"name": "main", "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state}
    fake.update("Pod", "ds-project", pod, lambda found: found["status"].update(containerStatuses=[about]))


def _end(fake: FakeKubernetes, pod: str) -> None:
    _set_state(fake, pod, {"terminated": {"exitCode": 0}})


def test_a_log_is_followed_as_it_is_written_until_the_container_ends(here: Cluster, fake: FakeKubernetes) -> None:
    pod = _pod(fake)
    lines = here.log(pod, "main")
    with fake.set_log("ds-project", pod, "main") as log:
        log.write("first\n")
        assert next(lines) == "first"
        log.write("second\n\nth")
        assert [next(lines), next(lines)] == ["second", ""]
        log.write("ird")
        _end(fake, pod)
    assert list(lines) == ["third"]


def test_a_broken_log_goes_on_where_it_broke(here: Cluster, fake: FakeKubernetes, impatient: None) -> None:
    pod = _pod(fake)
    lines = here.log(pod, "main")
    expected = [f"line {number}" for number in range(50)]
    with fake.set_log("ds-project", pod, "main") as log:
        seen = []
        for number, line in enumerate(expected):
            log.write(f"{line}\n")
            if number % 5 == 0:
                fake.drop_watches()
            seen.append(next(lines))
        _end(fake, pod)
    assert seen + list(lines) == expected
    assert sum(call.resource == "pods/log" for call in fake.requests) > 2


def test_lines_of_the_very_same_time_are_neither_lost_nor_repeated(
    here: Cluster, fake: FakeKubernetes, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.fake_kubernetes.logs._now", lambda: "2026-01-01T00:00:00.000000000Z")
    pod = _pod(fake)
    lines = here.log(pod, "main")
    with fake.set_log("ds-project", pod, "main") as log:
        log.write("a\na\n")
        assert [next(lines), next(lines)] == ["a", "a"]
        fake.drop_watches()
        log.write("a\nb\n")
        _end(fake, pod)
    assert list(lines) == ["a", "b"]


def test_a_log_ends_with_its_pod(here: Cluster, fake: FakeKubernetes, impatient: None) -> None:
    pod = _pod(fake)
    lines = here.log(pod, "main")
    fake.set_log("ds-project", pod, "main").write("only\n")
    assert next(lines) == "only"
    fake.delete("Pod", "ds-project", pod)
    assert list(lines) == []


def test_an_empty_log_ends_with_its_pod(here: Cluster, fake: FakeKubernetes, impatient: None) -> None:
    pod = _pod(fake)
    fake.set_log("ds-project", pod, "main")
    deletes = threading.Thread(target=_delete_once_followed, args=(fake, pod))
    deletes.start()
    assert list(here.log(pod, "main")) == []
    deletes.join()


def _delete_once_followed(fake: FakeKubernetes, pod: str) -> None:
    fake.wait_for_request("get", "pods/log")
    fake.delete("Pod", "ds-project", pod)


def test_a_container_that_has_not_started_has_no_log(here: Cluster, fake: FakeKubernetes) -> None:
    with pytest.raises(ClusterError, match="is waiting to start") as caught:
        next(here.log(_pod(fake), "main"))
    assert caught.value.status == 400


def test_a_pod_that_is_not_there_has_no_log(here: Cluster) -> None:
    with pytest.raises(ClusterError) as caught:
        next(here.log("none", "main"))
    assert caught.value.status == 404


def test_a_log_that_cannot_be_had_is_given_up(here: Cluster, fake: FakeKubernetes, impatient: None) -> None:
    pod = _pod(fake)
    fake.set_log("ds-project", pod, "main")
    fake.fail("get", "pods/log", status=500, times=9)
    with pytest.raises(ClusterError, match="answered 500, asked to get pods/log"):
        next(here.log(pod, "main"))


# Names and labels


def test_names_are_valid_and_never_the_same() -> None:
    names = {labels.run_name("Build of a_model" * 9, "4F2B8A10-aaaa") for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert re.fullmatch(r"build-of-a-model[a-z0-9-]*-4f2b8a10-[0-9a-f]{8}", name)
        assert len(name) <= 63


def test_a_name_needs_no_run() -> None:
    assert re.fullmatch(r"staging-[0-9a-f]{8}", labels.run_name("staging", ""))


def test_time_to_live() -> None:
    assert labels.expired({"metadata": {"annotations": {labels.EXPIRES: labels.expires(-1)}}})
    assert not labels.expired({"metadata": {"annotations": {labels.EXPIRES: labels.expires(60)}}})
    assert datetime.fromisoformat(labels.expires(0)).tzinfo == UTC


@pytest.mark.parametrize("annotations", [None, {}, {labels.EXPIRES: "soon"}, {labels.EXPIRES: "2020-01-01T00:00:00"}])
def test_what_says_no_time_never_expires(annotations: dict[str, str] | None) -> None:
    assert not labels.expired({"metadata": {"annotations": annotations}})
