"""Why a pod does not start, and why it failed, as part of a sentence, from its status and its events.

The reasons are the kubelet's and the scheduler's (kubernetes/kubernetes, `pkg/kubelet`, `pkg/scheduler`).
"""

from collections.abc import Iterator, Sequence

from kfp_edge.cluster.objects import KubernetesObject

_ENDED_PHASES = ("Succeeded", "Failed")
_STARTING = ("", "ContainerCreating", "PodInitializing")
_PULL_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
#: What the exit codes of a container mean that a signal ended.
_SIGNALS = {
    137: "it was killed (SIGKILL)",
    143: "it was ended from outside (SIGTERM): its pod was deleted, or its node was drained",
}


def has_ended(pod: KubernetesObject) -> bool:
    """Whether all containers of a pod have ended, or the pod was refused."""
    return pod.get("status", {}).get("phase") in _ENDED_PHASES


def waiting_reason(pod: KubernetesObject) -> str:
    """Return why a pod has not started; empty if it has, if it is about to, or if only an event says why."""
    if has_ended(pod):
        return ""
    status = pod.get("status", {})
    for condition in status.get("conditions") or ():
        if (condition["type"], condition["status"]) == ("PodScheduled", "False"):
            return f"no node can run its pod: {_message(condition)}"
    for container in _container_statuses(pod):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason", "") not in _STARTING:
            return _container_reason(container, waiting)
    return ""


def is_starting(pod: KubernetesObject) -> bool:
    """Whether a container of a pod was not started yet."""
    statuses = list(_container_statuses(pod))
    return not has_ended(pod) and (not statuses or any("waiting" in each.get("state", {}) for each in statuses))


def last_warning(events: Sequence[KubernetesObject]) -> str:
    """Return the message of the latest warning among a pod's events, empty if there is none."""
    warnings = [
        event
        for event in events
        # the kubelet reports a failure twice; this event only names the state
        if event.get("type") == "Warning" and not event.get("message", "").startswith("Error: ")
    ]
    warnings.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return _message(warnings[-1]) if warnings else ""


def failure_reason(pod: KubernetesObject, log: str = "") -> str:
    """Return why a pod failed, empty if it did not.

    Args:
        pod: The pod.
        log: The end of the log of the container that failed, or what it says; empty if there is none.
    """
    status = pod.get("status", {})
    if status.get("reason"):  # the kubelet ended the pod, whatever its containers did
        return _reason_of_kubelet(status)
    failed = failed_container(pod)
    if failed is None:
        return _message(status) if status.get("phase") == "Failed" else ""
    return _reason_of_container(pod, failed, log)


def _reason_of_container(pod: KubernetesObject, container: KubernetesObject, log: str) -> str:
    name, terminated = container["name"], container["state"]["terminated"]
    match terminated.get("reason", ""), int(terminated["exitCode"]):
        case "OOMKilled", _:
            return f"it ran out of memory{_memory_limit(pod, name)}"
        case "StartError" | "ContainerCannotRun", _:
            return f"its container {name} could not be started: {_message(terminated)}"
        case _ if log:
            return log
        case _, code if code in _SIGNALS:
            return _SIGNALS[code]
        case _, code:
            return f"its container {name} ended with exit code {code}"


def failed_container(pod: KubernetesObject) -> KubernetesObject | None:
    """Return the status of the container that failed first; None if none did."""
    failed = [
        container
        for container in _container_statuses(pod)
        if (container.get("state", {}).get("terminated") or {}).get("exitCode", 0) != 0
    ]
    return min(failed, key=lambda container: str(container["state"]["terminated"].get("finishedAt", "")), default=None)


def _reason_of_kubelet(status: KubernetesObject) -> str:
    if status["reason"] == "DeadlineExceeded":
        return "it was ended because its time was over"
    return f"Kubernetes ended its pod ({status['reason']}): {_message(status)}"


def _container_reason(container: KubernetesObject, waiting: KubernetesObject) -> str:
    reason = waiting["reason"]
    if reason in _PULL_REASONS:
        image = " ".join(filter(None, ("the image", container.get("image"))))
        return f"{image} cannot be pulled: {_message(waiting)}"
    return f"its container {container['name']} cannot be started: {_message(waiting)}"


def _memory_limit(pod: KubernetesObject, name: str) -> str:
    containers = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    limits = [each.get("resources", {}).get("limits", {}).get("memory") for each in containers if each["name"] == name]
    return f" (its limit is {limits[0]})" if limits and limits[0] else ""


def _container_statuses(pod: KubernetesObject) -> Iterator[KubernetesObject]:
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _message(resource: KubernetesObject) -> str:
    """Return the message of a condition, a state, a status or an event, as part of a sentence."""
    message = " ".join(str(resource.get("message", "")).split()).rstrip(".")
    return message or str(resource.get("reason", "no reason is given"))
