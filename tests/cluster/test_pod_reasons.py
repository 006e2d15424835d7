"""Why a pod waits or failed, in the words of the kubelet and the scheduler, as a real cluster wrote them."""

import json
from typing import Any

import pytest

from kfp_edge.cluster.pod_reasons import failure_reason, is_starting, last_warning, waiting_reason
from support.paths import SHARED

RECORDED = SHARED / "recorded/kubernetes"

WAITING = {
    "no-claim": 'no node can run its pod: 0/1 nodes are available: persistentvolumeclaim "absent" not found. not found',
    "no-image": (
        "the image registry.example.com/nothing/here:1 cannot be pulled: Back-off pulling image "
        '"registry.example.com/nothing/here:1": ErrImagePull: failed to pull and unpack image '
        '"registry.example.com/nothing/here:1": failed to resolve reference "registry.example.com/nothing/here:1": '
        "pulling from host registry.example.com failed with status code [manifests 1]: 401 Unauthorized"
    ),
    "no-secret": 'its container main cannot be started: secret "absent" not found',
    "root-refused": (
        "its container main cannot be started: container has runAsNonRoot and image will run as root "
        '(pod: "root-refused_rec(941187e8-026d-4850-b3e5-1328e323ad70)", container: main)'
    ),
    "too-big": (
        "no node can run its pod: 0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, "
        "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling"
    ),
    "no-volume-secret": "",
    "exit-3": "",
}
FAILED = {
    "exit-3": "its container main ended with exit code 3",
    "no-command": (
        "its container main could not be started: failed to create containerd task: failed to create shim task: "
        "OCI runtime create failed: runc create failed: unable to start container process: "
        'exec: "/absent": stat /absent: no such file or directory: unknown'
    ),
    "out-of-memory": "it ran out of memory (its limit is 64Mi)",
    "past-deadline": "it was ended because its time was over",
    "no-image": "",
}


def pod(status: dict[str, Any], memory: str = "") -> dict[str, Any]:
    limits = {"resources": {"limits": {"memory": memory}}} if memory else {}
    return {"spec": {"containers": [{"name": "main", **limits}]}, "status": status}


def main(**state: Any) -> list[dict[str, Any]]:
    return [{"name": "main", "image": "a:1", "state": state}]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"phase": "Pending", "containerStatuses": main(waiting={"reason": "ContainerCreating"})}, ""),
        ({"phase": "Running", "containerStatuses": main(running={})}, ""),
        (
            {"containerStatuses": main(waiting={"reason": "ErrImagePull", "message": "not found"})},
            "the image a:1 cannot be pulled: not found",
        ),
        (
            {"initContainerStatuses": main(waiting={"reason": "CrashLoopBackOff"})},
            "its container main cannot be started: CrashLoopBackOff",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available."}]},
            "no node can run its pod: 0/3 nodes are available",
        ),
    ],
)
def test_a_pod_that_waits_says_what_for(status: dict[str, Any], reason: str) -> None:
    assert waiting_reason(pod(status)) == reason


@pytest.mark.parametrize(
    ("status", "log", "reason"),
    [
        ({"containerStatuses": main(terminated={"exitCode": 1})}, "no such column", "no such column"),
        ({"containerStatuses": main(terminated={"exitCode": 3})}, "", "its container main ended with exit code 3"),
        (
            {"containerStatuses": main(terminated={"exitCode": 137, "reason": "OOMKilled"})},
            "Killed",
            "it ran out of memory (its limit is 1Gi)",
        ),
        (
            {"containerStatuses": main(terminated={"exitCode": 143})},
            "",
            "it was ended from outside (SIGTERM): its pod was deleted, or its node was drained",
        ),
        ({"containerStatuses": main(terminated={"exitCode": 137})}, "", "it was killed (SIGKILL)"),
        (
            {"reason": "Evicted", "message": "The node was low on resource: memory."},
            "",
            "Kubernetes ended its pod (Evicted): The node was low on resource: memory",
        ),
        ({"phase": "Failed", "message": "Pod was rejected"}, "", "Pod was rejected"),
        ({"containerStatuses": main(terminated={"exitCode": 0})}, "", ""),
    ],
)
def test_a_pod_that_failed_says_why(status: dict[str, Any], log: str, reason: str) -> None:
    assert failure_reason(pod(status, memory="1Gi"), log) == reason


def test_the_latest_warning_that_says_why_counts() -> None:
    events = [
        {"type": "Warning", "message": "Error: ErrImagePull", "lastTimestamp": "2026-11-29T00:00:03Z"},
        {"type": "Warning", "message": "Failed to pull image.", "lastTimestamp": "2026-11-29T00:00:02Z"},
        {"type": "Warning", "message": "FailedMount", "eventTime": "2026-11-29T00:00:01Z"},
        {"type": "Normal", "message": "Scheduled", "lastTimestamp": "2026-11-29T00:00:04Z"},
    ]
    assert last_warning(events) == "Failed to pull image"
    assert last_warning([]) == ""


needs_records = pytest.mark.skipif(not RECORDED.is_dir(), reason="the answers of real servers are not here")


@needs_records
@pytest.mark.parametrize(("name", "reason"), WAITING.items())
def test_a_recorded_pod_waits_for(name: str, reason: str) -> None:
    assert waiting_reason(json.loads((RECORDED / f"pod.{name}.json").read_text())) == reason


@needs_records
@pytest.mark.parametrize(("name", "reason"), FAILED.items())
def test_a_recorded_pod_failed_because(name: str, reason: str) -> None:
    assert failure_reason(json.loads((RECORDED / f"pod.{name}.json").read_text())) == reason


@needs_records
def test_the_events_of_a_recorded_pod_say_what_its_status_does_not() -> None:
    waiting = json.loads((RECORDED / "pod.no-volume-secret.json").read_text())
    assert is_starting(waiting)
    events = json.loads((RECORDED / "events.json").read_text())["items"]
    events = [event for event in events if event["involvedObject"]["name"] == waiting["metadata"]["name"]]
    assert last_warning(events) == 'MountVolume.SetUp failed for volume "v" : secret "absent" not found'
