"""Why a pod failed, by what the kubelet of a real cluster reports."""

import json
from typing import Any

import pytest

from kfp_edge.kubernetes.pod_failures import failure_reason
from support.paths import SHARED

RECORDED = SHARED / "recorded/kubernetes"

FAILED = {
    "exit-3": "its container main ended with exit code 3",
    "no-command": (
        "its container main could not be started: failed to create containerd task: failed to create shim task: "
        "OCI runtime create failed: runc create failed: unable to start container process: "
        'exec: "/absent": stat /absent: no such file or directory: unknown'
    ),
    "out-of-memory": "it ran out of memory (its limit is 64Mi)",
    "past-deadline": (
        "Kubernetes ended its pod: DeadlineExceeded: Pod was active on the node longer than the specified deadline"
    ),
    "no-image": "",
}


def pod(status: dict[str, Any], memory: str = "") -> dict[str, Any]:
    limits = {"resources": {"limits": {"memory": memory}}} if memory else {}
    return {"spec": {"containers": [{"name": "main", **limits}]}, "status": status}


def main(**state: Any) -> list[dict[str, Any]]:
    return [{"name": "main", "image": "a:1", "state": state}]


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
            "Kubernetes ended its pod: Evicted: The node was low on resource: memory",
        ),
        ({"phase": "Failed", "message": "Pod was rejected"}, "", "Pod was rejected"),
        ({"containerStatuses": main(terminated={"exitCode": 0})}, "", ""),
    ],
)
def test_a_pod_that_failed_says_why(status: dict[str, Any], log: str, reason: str) -> None:
    assert failure_reason(pod(status, memory="1Gi"), log) == reason


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the answers of real servers are not beside this repository")
@pytest.mark.parametrize(("name", "reason"), FAILED.items())
def test_a_recorded_pod_failed_because(name: str, reason: str) -> None:
    assert failure_reason(json.loads((RECORDED / f"pod.{name}.json").read_text())) == reason
