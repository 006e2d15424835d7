"""The log of a container is followed to its end, whatever happens to the connection."""

import threading
from typing import Any

import pytest

from kfp_edge.kubernetes import Cluster, ClusterError
from support.cluster import RUNNER
from support.fake_kubernetes import FakeKubernetes


def _pod(fake: FakeKubernetes) -> str:
    name = fake.pod(RUNNER, "ds-project")["HOSTNAME"]
    _set_state(fake, name, {"running": {"startedAt": "2026-01-01T00:00:00Z"}})
    return name


def _set_state(fake: FakeKubernetes, pod: str, state: dict[str, Any]) -> None:
    about = {"name": "main", "image": "x", "imageID": "x", "ready": False, "restartCount": 0, "state": state}
    fake.update("Pod", "ds-project", pod, lambda found: found["status"].update(containerStatuses=[about]))


def _end(fake: FakeKubernetes, pod: str) -> None:
    _set_state(fake, pod, {"terminated": {"exitCode": 0}})


def test_a_log_is_followed_until_the_container_ends(cluster: Cluster, fake: FakeKubernetes) -> None:
    pod = _pod(fake)
    lines = cluster.log(pod, "main")
    with fake.set_log("ds-project", pod, "main") as log:
        log.write("first\n")
        assert next(lines) == "first"
        log.write("second\n\nth")
        assert [next(lines), next(lines)] == ["second", ""]
        log.write("ird")
        _end(fake, pod)
    assert list(lines) == ["third"]


def test_a_log_that_breaks_continues_where_it_broke(cluster: Cluster, fake: FakeKubernetes, short_delays: None) -> None:
    pod = _pod(fake)
    lines = cluster.log(pod, "main")
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


def test_lines_with_equal_timestamps_are_neither_lost_nor_repeated(
    cluster: Cluster, fake: FakeKubernetes, short_delays: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.fake_kubernetes.logs._now", lambda: "2026-01-01T00:00:00.000000000Z")
    pod = _pod(fake)
    lines = cluster.log(pod, "main")
    with fake.set_log("ds-project", pod, "main") as log:
        log.write("a\na\n")
        assert [next(lines), next(lines)] == ["a", "a"]
        fake.drop_watches()
        log.write("a\nb\n")
        _end(fake, pod)
    assert list(lines) == ["a", "b"]


def test_a_log_ends_with_its_pod(cluster: Cluster, fake: FakeKubernetes, short_delays: None) -> None:
    pod = _pod(fake)
    lines = cluster.log(pod, "main")
    fake.set_log("ds-project", pod, "main").write("only\n")
    assert next(lines) == "only"
    fake.delete("Pod", "ds-project", pod)
    assert list(lines) == []


def test_an_empty_log_ends_with_its_pod(cluster: Cluster, fake: FakeKubernetes, short_delays: None) -> None:
    pod = _pod(fake)
    fake.set_log("ds-project", pod, "main")
    deletes = threading.Thread(target=_delete_once_followed, args=(fake, pod))
    deletes.start()
    assert list(cluster.log(pod, "main")) == []
    deletes.join()


def _delete_once_followed(fake: FakeKubernetes, pod: str) -> None:
    fake.wait_for_request("get", "pods/log")
    fake.delete("Pod", "ds-project", pod)


def test_a_container_that_has_not_started_has_no_log(cluster: Cluster, fake: FakeKubernetes) -> None:
    with pytest.raises(ClusterError, match="is waiting to start") as caught:
        next(cluster.log(_pod(fake), "main"))
    assert caught.value.status == 400


def test_a_pod_that_does_not_exist_has_no_log(cluster: Cluster) -> None:
    with pytest.raises(ClusterError) as caught:
        next(cluster.log("none", "main"))
    assert caught.value.status == 404


def test_a_log_that_keeps_failing_is_an_error(cluster: Cluster, fake: FakeKubernetes, short_delays: None) -> None:
    pod = _pod(fake)
    fake.set_log("ds-project", pod, "main")
    fake.fail("get", "pods/log", status=500, times=9)
    with pytest.raises(ClusterError, match="answered 500 to the request to get pods/log"):
        next(cluster.log(pod, "main"))
