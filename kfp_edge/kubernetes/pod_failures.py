"""Why a pod failed, as part of a sentence, from its status and the end of its log."""

from kfp_edge.kubernetes.objects import KubernetesObject
from kfp_edge.kubernetes.pods import describe_pod_failure, to_one_line

#: What the exit codes of a container mean that a signal ended.
_SIGNALS = {
    137: "it was killed (SIGKILL)",
    143: "it was ended from outside (SIGTERM): its pod was deleted, or its node was drained",
}


def failure_reason(pod: KubernetesObject, log: str = "") -> str:
    """Return why a pod failed, empty if it did not.

    Args:
        pod: The pod.
        log: What the end of the log of the container that failed says; empty if that is nothing.
    """
    if reason := describe_pod_failure(pod):  # whatever its containers did
        return f"Kubernetes ended its pod: {reason}"
    if (failed := failed_container(pod)) is not None:
        return _reason_of_container(pod, failed, log)
    status = pod.get("status", {})
    return to_one_line(status.get("message", "")) if status.get("phase") == "Failed" else ""


def failed_container(pod: KubernetesObject) -> KubernetesObject | None:
    """Return the status of the container that failed first; None if none did."""
    status = pod.get("status", {})
    failed = [
        container
        for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
        if (container.get("state", {}).get("terminated") or {}).get("exitCode", 0) != 0
    ]
    return min(failed, key=lambda container: str(container["state"]["terminated"].get("finishedAt", "")), default=None)


def _reason_of_container(pod: KubernetesObject, container: KubernetesObject, log: str) -> str:
    name, terminated = container["name"], container["state"]["terminated"]
    match terminated.get("reason", ""), int(terminated["exitCode"]):
        case "OOMKilled", _:
            return f"it ran out of memory{_memory_limit(pod, name)}"
        case "StartError" | "ContainerCannotRun", _:
            return f"its container {name} could not be started: {to_one_line(terminated.get('message', ''))}"
        case _ if log:
            return log
        case _, code if code in _SIGNALS:
            return _SIGNALS[code]
        case _, code:
            return f"its container {name} ended with exit code {code}"


def _memory_limit(pod: KubernetesObject, name: str) -> str:
    containers = pod["spec"].get("initContainers", []) + pod["spec"]["containers"]
    limits = [each.get("resources", {}).get("limits", {}).get("memory") for each in containers if each["name"] == name]
    return f" (its limit is {limits[0]})" if limits and limits[0] else ""
