"""Why a pod does not start, and how it ended: what the kubelet, the scheduler and the pod's events report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kfp_edge.kubernetes.objects import KubernetesObject

# What the kubelet reports while all is well.
_STARTING = ("", "ContainerCreating", "PodInitializing")
# Reasons of a waiting container that the kubelet's retries cannot fix. After `ErrImagePull` it tries once more at once.
_UNRECOVERABLE = ("InvalidImageName", "ErrImageNeverPull", "ImagePullBackOff", "CreateContainerConfigError")
# So many reports of an object that is missing (about 10 s) are no delay between two controllers any more.
_REPEATED = 4
# An event that only says that there are others, which say why.
_SUMMARY = "Unable to attach or mount volumes"
# Events of a pod that is deleted from outside, by the node's taints or for a pod of higher priority.
_DELETION_REASONS = ("TaintManagerEviction", "Preempted", "Evicted", "NodeNotReady", "NodeShutdown")


@dataclass(frozen=True)
class StartProblem:
    """Why a pod's containers do not run; `unrecoverable` if waiting cannot help."""

    reason: str
    unrecoverable: bool = False


def find_start_problem(pod: KubernetesObject, events: Sequence[KubernetesObject]) -> StartProblem | None:
    """Return why a pod waits: for a node, an image, a volume, or an init container that failed.

    Args:
        pod: The pod.
        events: Its events, in any order.

    Returns:
        None if nothing is wrong so far.
    """
    status = pod.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return StartProblem(join_reason(condition))
    for description, state in _states(status):
        waiting = state.get("waiting", {})
        if (reason := waiting.get("reason", "")) not in _STARTING:
            return StartProblem(description + join_reason(waiting), reason in _UNRECOVERABLE)
    if init := find_failed_init_container(pod):  # the pod fails now, or the kubelet starts the container again
        return StartProblem(describe_failed_init_container(init))
    return None if has_started(pod) else _find_problem_in_events(events)


def has_started(pod: KubernetesObject) -> bool:
    """Whether a container of a pod runs or has ended, init containers aside."""
    states = [container.get("state", {}) for container in pod.get("status", {}).get("containerStatuses", [])]
    return any({"running", "terminated"} & state.keys() for state in states)


def find_failed_init_container(pod: KubernetesObject) -> KubernetesObject | None:
    """Return the status of the init container that failed, if one did."""
    for container in pod.get("status", {}).get("initContainerStatuses", []):
        if container.get("state", {}).get("terminated", {}).get("exitCode", 0) != 0:
            status: KubernetesObject = container
            return status
    return None


def describe_failed_init_container(container: KubernetesObject) -> str:
    """Return how an init container failed."""
    ended = container["state"]["terminated"]
    return f"its init container {container['name']} ended with exit code {ended['exitCode']}: {join_reason(ended)}"


def describe_pod_failure(pod: KubernetesObject) -> str:
    """Return why Kubernetes ended a pod (an eviction, a node that shuts down, a deadline); empty if it did not."""
    status = pod.get("status", {})
    if status.get("reason"):
        return join_reason(status)
    for condition in status.get("conditions", []):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return join_reason(condition)
    return ""


def is_deleted(pod: KubernetesObject | None) -> bool:
    """Whether a pod is gone, or about to be."""
    return pod is None or "deletionTimestamp" in pod["metadata"]


def describe_deletion(events: Sequence[KubernetesObject]) -> str:
    """Return what Kubernetes reported when it deleted a pod; empty if it did not, as when a person does."""
    reported = [event for event in _sorted(events) if event.get("reason") in _DELETION_REASONS]
    return join_reason(reported[-1]) if reported else ""


def describe_pull_secrets(events: Sequence[KubernetesObject]) -> str:
    """Return what the kubelet reported about pull secrets that it cannot read; empty if it can."""
    reported = [event for event in _sorted(events) if event.get("reason") == "FailedToRetrieveImagePullSecret"]
    return to_one_line(reported[-1]["message"]) if reported else ""


def join_reason(state: KubernetesObject) -> str:
    """Return `REASON: MESSAGE` of a state, a condition, a status or an event, in one line."""
    message = to_one_line(state["message"]) if state.get("message") else ""
    return ": ".join(filter(None, (state.get("reason", ""), message)))


def to_one_line(text: str) -> str:
    """Return a text of Kubernetes as part of a sentence."""
    return " ".join(text.split()).rstrip(".") or "no reason was given"


def _states(status: KubernetesObject) -> Iterator[tuple[str, KubernetesObject]]:
    """Yield the state of every container; those of init containers with a description."""
    for container in status.get("initContainerStatuses", []):
        yield f"its init container {container['name']}: ", container.get("state", {})
    for container in status.get("containerStatuses", []):
        yield "", container.get("state", {})


def _find_problem_in_events(events: Sequence[KubernetesObject]) -> StartProblem | None:
    warnings = [event for event in _sorted(events) if event.get("type") == "Warning"]
    warnings = [event for event in warnings if event.get("reason") != "FailedScheduling"]  # it has a node by now
    reasons = [event for event in warnings if not event.get("message", "").startswith(_SUMMARY)] or warnings
    if not reasons:
        return None
    last = reasons[-1]
    missing = last.get("reason") == "FailedMount" and "not found" in last.get("message", "")
    return StartProblem(join_reason(last), missing and int(last.get("count") or 1) >= _REPEATED)


def _sorted(events: Sequence[KubernetesObject]) -> list[KubernetesObject]:
    return sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
