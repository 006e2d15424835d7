"""Deleting the pod of a stage while it works."""

import logging
import time
from dataclasses import dataclass

import kubernetes

from kfp_edge.kubernetes import KubernetesObject
from kfp_edge.kubernetes.credentials import find_credentials
from support.live_cluster.commands import RunningCommand
from support.live_cluster.live_cluster import LiveCluster
from support.live_cluster.settings import RUN_SECONDS

_POLL_SECONDS = 0.2
#: How often a stage may have ended before its pod was deleted.
_ATTEMPTS = 3
#: What a stage has created when it is in the middle of its work. The others take a second: their pods are deleted as
#: they start.
_MIDDLE = {"containerize": "TaskRun", "staging-test": "Deployment"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class KilledRun:
    """A run of which a pod was deleted, and how it ended.

    `is_restarted` says that another pod ran the stage: Argo, which looks every ten seconds, creates a pod again that it
    has not seen running.
    """

    run_id: str
    code: int
    output: str
    is_restarted: bool


def kill_stage(live: LiveCluster, command: RunningCommand, stage: str, *, by_force: bool) -> KilledRun:
    """Delete the pod of a stage of a run in the middle of its work, and wait for the end of the run.

    Raises:
        AssertionError: the stage has not started, or the run has not ended, in time.
    """
    metadata = _wait_for_middle(live, command, stage)["metadata"]
    logger.info("deleting the pod of %s of the run %s", stage, command.run_id)
    _delete_pod(live, metadata["name"], by_force)
    code = command.wait(live.settings.seconds(RUN_SECONDS))
    pod = live.cluster.get("Pod", metadata["name"])
    is_restarted = pod is not None and pod["metadata"]["uid"] != metadata["uid"]
    return KilledRun(command.run_id, code, command.output, is_restarted)


def _wait_for_middle(live: LiveCluster, command: RunningCommand, stage: str) -> KubernetesObject:
    """Return the pod of the stage."""
    deadline = time.monotonic() + live.settings.seconds(RUN_SECONDS)
    while time.monotonic() < deadline:
        pod = live.stage_pod(command.run_id, stage)
        if pod is not None and _is_in_the_middle(live, command.run_id, stage, pod):
            return pod
        assert command.process.poll() is None, f"the run has ended without {stage}:\n{command.output}"
        time.sleep(_POLL_SECONDS)
    raise AssertionError(f"{stage} has not started in time:\n{command.output}")


def _is_in_the_middle(live: LiveCluster, run_id: str, stage: str, pod: KubernetesObject) -> bool:
    if stage not in _MIDDLE:
        return True
    if stage == "containerize" and not live.has_tekton:
        return _is_running(pod)
    return _is_running(pod) and any(each["kind"] == _MIDDLE[stage] for each in live.created_objects(run_id))


def _is_running(pod: KubernetesObject) -> bool:
    """Whether the container of the stage runs."""
    containers = pod.get("status", {}).get("containerStatuses", [])
    return any(each["name"] == "main" and "running" in each.get("state", {}) for each in containers)


def _delete_pod(live: LiveCluster, pod: str, by_force: bool) -> None:
    """Delete a pod as `kubectl delete pod` does, with `--grace-period=0 --force` if it is by force."""
    client = kubernetes.client.ApiClient(find_credentials().configuration)
    grace = {"grace_period_seconds": 0} if by_force else {}
    kubernetes.client.CoreV1Api(client).delete_namespaced_pod(pod, live.settings.namespace, **grace)
