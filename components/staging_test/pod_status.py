"""What Kubernetes says of a candidate's Deployment and pod, put into words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kfp_edge.components.staging_test.backend import ContainerState

Object = Mapping[str, Any]

# Reasons of a waiting container that no retry of the kubelet cures.
_INCURABLE = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
_PULL = ("ErrImagePull", "ImagePullBackOff")
_RESOURCES = "staging_options says how much cpu and memory is asked for, and on which nodes"


@dataclass(frozen=True)
class PodStatus:
    """How a start goes: ready, or why it is not yet; `hopeless` when waiting cannot help any more."""

    ready: bool
    hopeless: bool = False
    reason: str = ""


def pod_status(pod: Object) -> PodStatus:
    """Return how the start of a pod goes.

    Kubernetes tries most things again (scheduling, pulls, mounts), so those may still come right. An ended container
    is not one of them, though it is restarted: a candidate has to start the first time.
    """
    if not (state := state_of(pod)).running:
        return PodStatus(False, hopeless=True, reason=f"the container {state}")
    if _is(pod, "Ready", "True"):
        return PodStatus(True)
    if unscheduled := _is(pod, "PodScheduled", "False"):
        return PodStatus(False, reason=f"no node takes the pod: {_message(unscheduled)} ({_RESOURCES})")
    waiting = _container(pod).get("state", {}).get("waiting")
    if waiting is None:
        return PodStatus(False, reason="the container runs and is not ready" if has_started(pod) else "no node runs it")
    why = waiting.get("reason", "")
    told = f"{why}: {waiting['message']}" if waiting.get("message") else why
    if why in _PULL:
        advice = "a registry that asks for a login needs pull_secret in staging_options"
        return PodStatus(False, reason=f"the image cannot be pulled: {told} ({advice})")
    return PodStatus(False, hopeless=why in _INCURABLE, reason=f"the container cannot start: {told}")


def status_without_pod(deployment: Object | None) -> PodStatus:
    """Return why a Deployment has no pod; its condition ReplicaFailure tells of quotas and of refused pods."""
    if deployment is None:
        return PodStatus(False, hopeless=True, reason="its Deployment was deleted by somebody else")
    if refused := _is(deployment, "ReplicaFailure", "True"):
        return PodStatus(False, reason=f"the namespace refuses the pod: {_message(refused)} ({_RESOURCES})")
    return PodStatus(False, reason="its Deployment made no pod")


def state_of(pod: Object) -> ContainerState:
    """Return how the first container of a pod ended, also if another was started after it; running if none ended."""
    status = _container(pod)
    for state in (status.get("state", {}), status.get("lastState", {})):
        if ended := state.get("terminated"):
            return ContainerState(False, int(ended["exitCode"]), _cause(pod, ended))
    if pod.get("status", {}).get("phase") == "Failed":
        return ContainerState(False, None, _cause(pod, {}))
    return ContainerState(True)


def has_started(pod: Object) -> bool:
    """Whether the pod's container was started, so that it has a log."""
    status = _container(pod)
    return "running" in status.get("state", {}) or not state_of(pod).running


def first(pods: Sequence[Object]) -> Object:
    """Return the pod that was made first: one that takes the place of another, evicted one does not count."""
    return min(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def warning(events: Sequence[Object], pod: Object, known: str = "") -> str:
    """Return what the last warning about a pod says (why a probe, a pull or a mount fails) beyond what is `known`.

    It is empty without one.
    """
    about = [
        event
        for event in events
        if event["involvedObject"].get("uid") == pod["metadata"]["uid"]
        and event.get("type") == "Warning"
        # the kubelet tells each failed pull twice; this one only names the state
        and not event.get("message", "").startswith("Error: ")
        and not _says(known, event)
    ]
    about.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return _message(about[-1]) if about else ""


def _says(known: str, event: Object) -> bool:
    return bool(known) and event.get("message", "") in known


def _cause(pod: Object, ended: Object) -> str:
    """Return why a container was ended from outside, empty when it ended by itself."""
    if ended.get("reason") == "OOMKilled":
        return "out of memory"
    # what the kubelet says of a pod that it evicts
    return f"{pod['status']['reason']}: {_message(pod['status'])}" if pod["status"].get("reason") else ""


def _container(pod: Object) -> Object:
    statuses: Sequence[Object] = pod.get("status", {}).get("containerStatuses") or [{}]
    return statuses[0]


def _is(resource: Object, kind: str, status: str) -> Object | None:
    """Return the condition of that type if it has that status."""
    for condition in resource.get("status", {}).get("conditions") or []:
        if (condition["type"], condition["status"]) == (kind, status):
            found: Object = condition
            return found
    return None


def _message(told: Object) -> str:
    """Return the message of a condition, a status or an event as part of a sentence."""
    return " ".join(str(told.get("message", "")).split()).rstrip(".") or str(told.get("reason", "no reason is given"))
