"""The fake's TaskRuns and their pods are as those of real servers, ending by ending."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import recorded_builds
from support.fake_kubernetes import FakeKubernetes
from support.fake_kubernetes.tekton import Fault, Image, TektonController

pytestmark = [pytest.mark.containers, pytest.mark.xdist_group(__name__), pytest.mark.root]

NAMESPACE = "ds-project"
IMAGE, ABSENT_IMAGE = "localhost/python:3.11", "registry.example.com/nothing/here:1"
VOLUME = {"name": "v", "secret": {"secretName": "absent"}}
#: What ends each of the recorded TaskRuns: its steps, the fields of its spec and its task, and what the node does.
ENDINGS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], Fault | None]] = {
    "ok": ([{"script": "printf sha256:00 > $(results.digest.path)"}], {"results": [{"name": "digest"}]}, None),
    "big-result": (
        [{"script": "head -c 6000 /dev/zero | tr '\\0' x > $(results.r.path)"}],
        {"results": [{"name": "r"}]},
        None,
    ),
    "canceled": ([{"script": "sleep 300"}], {}, None),
    "no-account": ([{"script": "true"}], {"serviceAccountName": "absent"}, None),
    "no-image": ([{"script": "true", "image": ABSENT_IMAGE}], {}, Fault.IMAGE_PULL),
    "no-secret": (
        [{"script": "true", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        {"volumes": [VOLUME]},
        None,
    ),
    "out-of-memory": ([{"command": ["sh", "-c", "echo begun; sleep 300"]}], {}, Fault.OUT_OF_MEMORY),
    "past-timeout": ([{"script": "sleep 100"}], {"timeout": "10s"}, None),
    "pod-deleted": ([{"script": "echo begun; sleep 300"}], {}, Fault.POD_DELETED),
    "step-fails": (
        [
            {"name": "fetch", "script": "true"},
            {"name": "build", "script": "echo no space; exit 125"},
            {"name": "push", "script": "true"},
        ],
        {},
        None,
    ),
    "too-big": ([{"script": "true"}], {}, Fault.NEVER_STARTS),
}
#: TaskRuns that do not end.
WAITING = ("no-secret", "too-big")


@pytest.fixture(scope="module")
def tekton() -> TektonController:
    return TektonController({IMAGE: Image()})


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory, tekton: TektonController) -> Iterator[FakeKubernetes]:
    folder: Path = tmp_path_factory.mktemp("recorded")
    with FakeKubernetes(folder, controllers=[tekton]) as made:
        yield made


def run(fake: FakeKubernetes, tekton: TektonController, name: str) -> dict[str, Any]:
    """Run a TaskRun until it has ended as the recorded one has, or waits as that one does; return it."""
    steps, fields, tekton.fault = ENDINGS[name]
    tekton.skipped_seconds = 0.0
    task = {"steps": [{"name": "build", "image": IMAGE} | step for step in steps]}
    task |= {key: fields[key] for key in fields if key in ("results", "volumes")}
    spec = {"taskSpec": task} | {key: fields[key] for key in fields if key not in task}
    metadata = {"name": name, "namespace": NAMESPACE}
    fake.apply({"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": metadata, "spec": spec})
    if name == "canceled":
        wait_until(fake, name, "Running")
        fake.update("TaskRun", NAMESPACE, name, lambda now: now["spec"].update(status="TaskRunCancelled"))
    if name == "past-timeout":
        wait_until(fake, name, "Running")
        tekton.skipped_seconds = 20.0
    reason = recorded_builds.task_run(name)["status"]["conditions"][0]["reason"]
    return wait_until(fake, name, reason)


def wait_until(fake: FakeKubernetes, name: str, reason: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = fake.store.get("TaskRun", NAMESPACE, name)
        conditions = found.get("status", {}).get("conditions", [])
        steps = found.get("status", {}).get("steps", [])
        is_reached = bool(conditions) and conditions[0]["reason"] == reason
        if is_reached and (reason != "Pending" or "waiting" in steps[0]):
            return found
        time.sleep(0.02)
    raise AssertionError(f"{name} is never {reason}")


def without_texts_of_containers(pod: Any) -> Any:
    """A pod's status without what Tekton's entrypoint writes for Tekton, and without the order of its lists."""
    if pod is None:
        return None
    status = dict(pod["status"])
    for kind in ("containerStatuses", "initContainerStatuses"):
        for container in status.get(kind, []):
            container["state"].get("terminated", {}).pop("message", None)
        if kind in status:
            status[kind] = sorted(status[kind], key=lambda one: str(one["name"]))
    status["conditions"] = sorted(status["conditions"], key=lambda one: str(one["type"]))
    return status


@pytest.mark.parametrize("name", ENDINGS)
def test_a_task_run_ends_or_waits_as_the_recorded_one(
    fake: FakeKubernetes, tekton: TektonController, name: str
) -> None:
    found = recorded_builds.shorten(run(fake, tekton, name))
    recorded = recorded_builds.task_run(name)
    assert found["status"] == recorded["status"]
    if name in WAITING:
        pods = [recorded_builds.shorten(pod) for pod in fake.objects("Pod") if pod["metadata"]["name"] == f"{name}-pod"]
        expected = recorded_builds.pod(f"{name}-pod")
        assert [without_texts_of_containers(pod) for pod in pods] == [without_texts_of_containers(expected)]
        fake.delete("TaskRun", NAMESPACE, name)


def test_every_recorded_task_run_is_compared() -> None:
    assert set(ENDINGS) == set(recorded_builds.task_runs())


def test_a_volume_without_its_secret_is_reported_as_the_kubelet_does(
    fake: FakeKubernetes, tekton: TektonController
) -> None:
    tekton.fault = None
    steps, fields, _ = ENDINGS["no-secret"]
    task = {"steps": [{"name": "build", "image": IMAGE} | steps[0]], "volumes": fields["volumes"]}
    metadata = {"name": "no-mount", "namespace": NAMESPACE}
    fake.apply({"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": metadata, "spec": {"taskSpec": task}})
    (recorded,) = [one for one in recorded_builds.events("no-secret-pod") if one["reason"] == "FailedMount"]
    deadline = time.monotonic() + 60
    counts: set[int] = set()
    while len(counts) < 2 and time.monotonic() < deadline:
        events = [one for one in fake.objects("Event") if one["involvedObject"]["name"] == "no-mount-pod"]
        for event in events:
            assert {key: event[key] for key in ("type", "reason", "message")} == {
                key: recorded[key] for key in ("type", "reason", "message")
            }
            counts.add(event["count"])
    assert len(counts) >= 2, "the event is repeated, and its count grows"
    fake.delete("TaskRun", NAMESPACE, "no-mount")
