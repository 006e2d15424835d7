"""What Kubernetes reports about a candidate's Deployment and pod, as a status and a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from kfp_edge.components.staging_test.backend import ContainerState
from kfp_edge.kubernetes import KubernetesObject
from kfp_edge.kubernetes.pods import describe_failed_init_container
from kfp_edge.kubernetes.refusals import explain_refusal

# Reasons of a waiting container that the kubelet's retries cannot fix.
_UNRECOVERABLE_REASONS = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
_PULL_REASONS = ("ErrImagePull", "ImagePullBackOff")
#: Reason of a container that waits for an init container.
_INITIALIZING = "PodInitializing"
_RESOURCES_HINT = "staging_options sets cpu, memory and the nodes"
_OPTIONS_HINT = "staging_options sets namespace, service_account, cpu and memory"
#: Reasons of a container that ended by itself, which say nothing beside its exit code.
_ENDED_BY_ITSELF = ("Error", "Completed")


@dataclass(frozen=True)
class PodStatus:
    """The status of a pod's start: ready, or the reason why not; `unrecoverable` if waiting cannot help."""

    ready: bool
    unrecoverable: bool = False
    reason: str = ""


def pod_status(pod: KubernetesObject) -> PodStatus:
    """Return the status of a pod's start.

    Kubernetes retries scheduling, image pulls and mounts, so that those may still succeed. A container that ended is
    unrecoverable, although it is restarted: a candidate has to start the first time.
    """
    if ended := _describe_end(pod):
        return PodStatus(False, unrecoverable=True, reason=ended)
    if _find_condition(pod, "Ready", "True"):
        return PodStatus(True)
    if unscheduled := _find_condition(pod, "PodScheduled", "False"):
        return PodStatus(False, reason=f"no node can run the pod: {_message(unscheduled)} ({_RESOURCES_HINT})")
    waiting = _find_waiting(pod)
    if waiting is None:
        started = has_started(pod)
        return PodStatus(False, reason="the container runs and is not ready" if started else "it is not on a node yet")
    reason = waiting.get("reason", "")
    details = f"{reason}: {waiting['message']}" if waiting.get("message") else reason
    if reason in _PULL_REASONS:
        hint = "a registry that requires a login needs pull_secret in staging_options"
        return PodStatus(False, reason=f"the image cannot be pulled: {details} ({hint})")
    unrecoverable = reason in _UNRECOVERABLE_REASONS
    return PodStatus(False, unrecoverable=unrecoverable, reason=f"the container cannot start: {details}")


def status_without_pod(deployment: KubernetesObject | None) -> PodStatus:
    """Return why a Deployment has no pod; its condition ReplicaFailure has the API's reason for refusing the pod."""
    if deployment is None:
        return PodStatus(False, unrecoverable=True, reason="its Deployment was deleted by another client")
    if failure := _find_condition(deployment, "ReplicaFailure", "True"):
        refusal = explain_refusal(_message(failure))
        reason = f"the namespace refuses the pod: {refusal} ({_OPTIONS_HINT})"
        return PodStatus(False, unrecoverable=refusal.is_permanent, reason=reason)
    return PodStatus(False, reason="its Deployment has not created a pod")


def container_state(pod: KubernetesObject) -> ContainerState:
    """Return how the pod's container ended first, even if it was restarted since; running if it did not end."""
    status = _container_status(pod)
    for state in (status.get("state", {}), status.get("lastState", {})):
        if terminated := state.get("terminated"):
            return ContainerState(False, int(terminated["exitCode"]), _termination_reason(pod, terminated))
    if pod.get("status", {}).get("phase") == "Failed":
        return ContainerState(False, None, _termination_reason(pod, {}))
    return ContainerState(True)


def has_started(pod: KubernetesObject) -> bool:
    """Whether the pod's container was started, so that it has a log."""
    return "running" in _container_status(pod).get("state", {}) or not container_state(pod).running


def first_created(pods: Sequence[KubernetesObject]) -> KubernetesObject:
    """Return the oldest pod: the replacement of an evicted pod does not count."""
    return min(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))


def last_warning(events: Sequence[KubernetesObject], pod: KubernetesObject, reported: str = "") -> str:
    """Return the message of the last warning about a pod (probe, pull, mount), empty if there is none.

    Warnings whose message is part of the text `reported` do not count.
    """
    warnings = [
        event
        for event in events
        if event["involvedObject"].get("uid") == pod["metadata"]["uid"]
        and event.get("type") == "Warning"
        # the kubelet reports each failed pull twice; this event only names the state
        and not event.get("message", "").startswith("Error: ")
        and not (reported and event.get("message", "") in reported)
    ]
    warnings.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return _message(warnings[-1]) if warnings else ""


def _termination_reason(pod: KubernetesObject, terminated: KubernetesObject) -> str:
    """Return why a container was ended from outside, empty if it ended by itself."""
    if terminated.get("reason") == "OOMKilled":
        return "out of memory"
    if pod["status"].get("reason"):  # the kubelet sets this when it evicts a pod
        return f"{pod['status']['reason']}: {_message(pod['status'])}"
    reason = terminated.get("reason", "")  # StartError: there is no such program
    return "" if reason in ("", *_ENDED_BY_ITSELF) else f"{reason}: {_message(terminated)}"


def _container_status(pod: KubernetesObject) -> KubernetesObject:
    statuses: Sequence[KubernetesObject] = pod.get("status", {}).get("containerStatuses") or [{}]
    return statuses[0]


def _describe_end(pod: KubernetesObject) -> str:
    """Return how a container of the pod ended that has to succeed or to go on; empty if none did."""
    for init in pod.get("status", {}).get("initContainerStatuses") or ():
        for ended in (init.get("state", {}), init.get("lastState", {})):  # the second, once it was started again
            if ended.get("terminated", {}).get("exitCode", 0) != 0:
                return describe_failed_init_container({**init, "state": ended})
    state = container_state(pod)
    return "" if state.running else f"the container {state}"


def _find_waiting(pod: KubernetesObject) -> KubernetesObject | None:
    """Return why the container waits; if it waits for an init container, why that one does."""
    statuses: Sequence[KubernetesObject] = pod.get("status", {}).get("initContainerStatuses") or []
    waiting: list[KubernetesObject] = [
        status["state"]["waiting"]
        for status in (*statuses, _container_status(pod))
        if status.get("state", {}).get("waiting") is not None
    ]
    return next((each for each in waiting if each.get("reason", "") != _INITIALIZING), waiting[-1] if waiting else None)


def _find_condition(resource: KubernetesObject, kind: str, status: str) -> KubernetesObject | None:
    """Return the condition of a type, if it has this status."""
    conditions: Sequence[KubernetesObject] = resource.get("status", {}).get("conditions") or []
    return next((one for one in conditions if (one["type"], one["status"]) == (kind, status)), None)


def _message(resource: KubernetesObject) -> str:
    """Return the message of a condition, a status or an event, as part of a sentence."""
    message = " ".join(str(resource.get("message", "")).split()).rstrip(".")
    return message or str(resource.get("reason", "no reason is given"))
