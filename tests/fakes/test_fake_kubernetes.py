"""The fake of the Kubernetes API, asked over HTTP by plain requests and by the official client."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from kubernetes import client, config, watch

from support.fake_kubernetes import FakeKubernetes, Refused
from support.rbac import Call

RUNNER = "system:serviceaccount:ds-project:runner"
ROLES = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "line", "namespace": "ds-project"},
        "rules": [
            {"apiGroups": ["tekton.dev"], "resources": ["taskruns"], "verbs": ["create", "get"]},
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["get", "watch"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        ],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "line", "namespace": "ds-project"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "line"},
        "subjects": [{"kind": "ServiceAccount", "name": "runner", "namespace": "ds-project"}],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "readers", "namespace": "edge-staging"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "Group", "name": "system:serviceaccounts:ds-project"}],
    },
]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(tmp_path) as running:
        yield running


def _ask(
    fake: FakeKubernetes, method: str, path: str, body: Any = None, user: str = "system:admin", **more: Any
) -> requests.Response:
    headers = {"Authorization": f"Bearer {fake.token(user)}", **more.pop("headers", {})}
    return requests.request(method, fake.url + path, json=body, headers=headers, timeout=20, **more)


def _config_map(name: str = "one", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


MAPS = "/api/v1/namespaces/ds-project/configmaps"
TASK_RUNS = "/apis/tekton.dev/v1/namespaces/ds-project/taskruns"


def _task_run(**spec: Any) -> dict[str, Any]:
    steps = [{"name": "build", "image": "x", "script": "true"}]
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": {"name": "build"},
        "spec": {"taskSpec": {"steps": steps}, **spec},
    }


def test_objects_get_an_identity(fake: FakeKubernetes) -> None:
    made = _ask(fake, "POST", MAPS, _config_map())
    assert made.status_code == 201
    assert {"uid", "resourceVersion", "creationTimestamp", "namespace"} <= made.json()["metadata"].keys()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (MAPS, {**_config_map(), "unknown": 1}),
        (MAPS, _config_map(labels={"a": "not a label"})),
        (MAPS, _config_map("Not_A_Name")),
        (MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        (TASK_RUNS, _task_run(unknown=1)),
        (TASK_RUNS, _task_run(timeout=5)),
    ],
)
def test_what_a_kind_does_not_allow_is_422(fake: FakeKubernetes, path: str, body: dict[str, Any]) -> None:
    answer = _ask(fake, "POST", path, body)
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")


def test_a_change_that_a_kind_does_not_allow_is_422_and_not_done(fake: FakeKubernetes) -> None:
    fake.apply(_task_run())
    merge = {"Content-Type": "application/merge-patch+json"}
    assert _ask(fake, "PATCH", f"{TASK_RUNS}/build", {"spec": {"steps": 1}}, headers=merge).status_code == 422
    with pytest.raises(Refused):
        fake.update("TaskRun", "ds-project", "build", lambda found: found["spec"].update(steps=1))
    assert "steps" not in fake.objects("TaskRun")[0]["spec"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"{MAPS}/none", 404),
        ("/apis/tekton.dev/v1beta1/namespaces/ds-project/taskruns", 404),
        ("/api/v1/namespaces/none/configmaps", 404),
    ],
)
def test_what_is_not_there_is_404(fake: FakeKubernetes, path: str, code: int) -> None:
    method, body = ("GET", None) if path.startswith(MAPS) else ("POST", _config_map())
    assert _ask(fake, method, path, body).status_code == code


def test_a_secret_keeps_its_texts_in_base64_and_errors_do_not_show_them(fake: FakeKubernetes) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"url": "text"}}
    path = "/api/v1/namespaces/ds-project/secrets"
    assert _ask(fake, "POST", path, secret).json()["data"] == {"url": "dGV4dA=="}
    wrong = {**secret, "metadata": {"name": "t"}, "data": {"url": ["hidden"]}, "stringData": {}}
    assert "hidden" not in _ask(fake, "POST", path, wrong).text


def test_a_status_is_not_written_with_the_object(fake: FakeKubernetes) -> None:
    made = _ask(fake, "POST", TASK_RUNS, {**_task_run(), "status": {"podName": "x"}})
    assert "status" not in made.json()
    merge = {"Content-Type": "application/merge-patch+json"}
    changed = _ask(fake, "PATCH", f"{TASK_RUNS}/build/status", {"status": {"podName": "x"}}, headers=merge)
    assert changed.json()["status"] == {"podName": "x"}


def test_an_update_of_an_old_version_is_409(fake: FakeKubernetes) -> None:
    first = _ask(fake, "POST", MAPS, _config_map()).json()
    assert _ask(fake, "PUT", f"{MAPS}/one", {**first, "data": {"a": "1"}}).status_code == 200
    answer = _ask(fake, "PUT", f"{MAPS}/one", {**first, "data": {"a": "2"}})
    assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")


def test_what_has_lost_all_its_owners_is_collected(fake: FakeKubernetes) -> None:
    uid = fake.apply(_config_map("owner"))["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    child = fake.apply(_config_map("child", ownerReferences=[reference]))
    reference = {**reference, "name": "child", "uid": child["metadata"]["uid"]}
    fake.apply(_config_map("grandchild", ownerReferences=[reference]))
    _ask(fake, "DELETE", f"{MAPS}/owner")
    assert fake.objects("ConfigMap") == []


def test_an_owner_in_another_namespace_is_none(fake: FakeKubernetes) -> None:
    uid = fake.apply(_config_map("owner"))["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    fake.apply(_config_map("child", namespace="edge-staging", ownerReferences=[reference]))
    assert fake.objects("ConfigMap", "edge-staging") == []


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=a", "1"),
        ("app!=a", "23"),
        ("app in (a, b)", "12"),
        ("app notin (a,b)", "3"),
        ("app", "12"),
        ("!app", "3"),
        ("app,tier==x", "2"),
    ],
)
def test_labels_select(fake: FakeKubernetes, selector: str, names: str) -> None:
    for name, labels in (("1", {"app": "a"}), ("2", {"app": "b", "tier": "x"}), ("3", {"tier": "y"})):
        fake.apply(_config_map(name, labels=labels))
    items = _ask(fake, "GET", MAPS, params={"labelSelector": selector}).json()["items"]
    assert "".join(item["metadata"]["name"] for item in items) == names


def test_a_page_of_before_is_410_once_history_is_forgotten(fake: FakeKubernetes) -> None:
    for name in "abc":
        fake.apply(_config_map(name))
    page = _ask(fake, "GET", MAPS, params={"limit": 2}).json()
    more = {"limit": 2, "continue": page["metadata"]["continue"]}
    assert [item["metadata"]["name"] for item in _ask(fake, "GET", MAPS, params=more).json()["items"]] == ["c"]
    fake.apply(_config_map("d"))
    fake.forget_history()
    assert _ask(fake, "GET", MAPS, params=more).status_code == 410
    old = {"watch": "true", "resourceVersion": page["metadata"]["resourceVersion"]}
    assert _ask(fake, "GET", MAPS, params=old).status_code == 410


def test_a_collection_is_deleted_by_its_labels(fake: FakeKubernetes) -> None:
    fake.apply(_config_map("a", labels={"app": "a"}))
    fake.apply(_config_map("b"))
    _ask(fake, "DELETE", MAPS, params={"labelSelector": "app=a"})
    assert [each["metadata"]["name"] for each in fake.objects("ConfigMap")] == ["b"]


def test_a_watch_by_label_sees_what_comes_and_goes(fake: FakeKubernetes) -> None:
    version = fake.apply(_config_map("a"))["metadata"]["resourceVersion"]
    for number, value in enumerate(("yes", "yes", "no")):
        fake.apply({**_config_map("a", labels={"app": value}), "data": {"number": str(number)}})
    query = {"watch": "true", "labelSelector": "app=yes", "resourceVersion": version, "timeoutSeconds": 1}
    lines = _ask(fake, "GET", MAPS, params=query).text.splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["ADDED", "MODIFIED", "DELETED"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", TASK_RUNS, 201),
        ("GET", f"{TASK_RUNS}/build", 404),
        ("GET", TASK_RUNS, 403),
        ("DELETE", f"{TASK_RUNS}/build", 403),
        ("POST", TASK_RUNS.replace("ds-project", "edge-staging"), 403),
        ("GET", f"{MAPS}/mine", 404),
        ("GET", f"{MAPS}/another", 403),
        ("GET", f"{MAPS}?watch=true&fieldSelector=metadata.name%3Dmine&timeoutSeconds=1", 200),
        ("GET", f"{MAPS}?watch=true&timeoutSeconds=1", 403),
        ("GET", "/api/v1/namespaces/ds-project/pods/p/log", 404),
        ("GET", "/api/v1/namespaces/ds-project/pods/p", 403),
        ("GET", "/api/v1/namespaces/edge-staging/secrets", 200),
        ("GET", "/api/v1/namespaces/ds-project/secrets", 403),
        ("GET", "/api/v1/secrets", 403),
    ],
)
def test_what_the_roles_do_not_allow_is_403(tmp_path: Path, method: str, path: str, code: int) -> None:
    with FakeKubernetes(tmp_path, roles=ROLES) as fake:
        body = _task_run() if method == "POST" else None
        assert _ask(fake, method, path, body, user=RUNNER).status_code == code


def test_a_token_that_nobody_has_is_401(fake: FakeKubernetes) -> None:
    assert requests.get(fake.url + MAPS, headers={"Authorization": "Bearer x"}, timeout=20).status_code == 401


def test_requests_are_remembered(fake: FakeKubernetes) -> None:
    _ask(fake, "GET", f"{MAPS}/one", user=RUNNER)
    assert fake.requests == [Call(RUNNER, "get", "", "configmaps", "ds-project", "one", 404)]


def test_failures_come_on_demand(fake: FakeKubernetes) -> None:
    fake.fail("list", "configmaps", status=429, times=1, retry_after=3)
    answer = _ask(fake, "GET", MAPS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
    assert _ask(fake, "GET", MAPS).status_code == 200


def test_events_of_the_fake_begin_with_what_is_there(fake: FakeKubernetes) -> None:
    fake.apply(_config_map("a"))
    events = fake.events("ConfigMap")
    fake.apply(_config_map("b"))
    fake.delete("ConfigMap", "ds-project", "a")
    seen = [next(events) for _ in range(3)]
    assert [(each.type, each.object["metadata"]["name"]) for each in seen] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("DELETED", "a"),
    ]


def test_the_official_client_finds_what_it_expects(fake: FakeKubernetes) -> None:
    core = client.CoreV1Api(config.new_client_from_config(str(fake.kubeconfig())))
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="one"), data={"a": "1"})
    made = core.create_namespaced_config_map("ds-project", body)
    assert core.list_namespaced_config_map("ds-project").items[0].metadata.uid == made.metadata.uid
    since = made.metadata.resource_version
    core.delete_namespaced_config_map("one", "ds-project")
    follow = watch.Watch()
    event = next(follow.stream(core.list_namespaced_config_map, "ds-project", resource_version=since))
    follow.stop()
    assert event["type"] == "DELETED"


def test_the_official_client_reads_logs(fake: FakeKubernetes) -> None:
    core = client.CoreV1Api(config.new_client_from_config(str(fake.kubeconfig())))
    pod = fake.pod(RUNNER, "ds-project")["HOSTNAME"]
    with fake.set_log("ds-project", pod, "main") as log:
        log.write(b"one\ntwo")
    assert core.read_namespaced_pod_log(pod, "ds-project") == "one\ntwo\n"
    with pytest.raises(client.ApiException) as caught:
        core.read_namespaced_pod_log(pod, "ds-project", container="other")
    assert caught.value.status == 400
