"""What the Kubernetes cluster says about a run: why it failed, what it waits for, and whether it still exists.

The KFP API server reports states without reasons: those are in the pods of the run, in their events and logs, and in
the Argo Workflow that executes it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from kfp_edge.client.runs.argo_nodes import NODE_NAME_ANNOTATION, NodePlace, parse_node_name
from kfp_edge.client.runs.pod_logs import TAIL_LINES, summarize_log
from kfp_edge.kubernetes import Cluster, ClusterError, KubernetesObject
from kfp_edge.kubernetes.pod_failures import failed_container, failure_reason
from kfp_edge.kubernetes.pods import find_start_problem, has_started

#: The label of a run's Workflow and pods.
RUN_LABEL = "pipeline/runid"
_FAILED_PHASES = ("Failed", "Error")


@dataclass(frozen=True)
class Failure:
    """Why a node of a run failed; `pod` is empty if there is none whose log can be read."""

    place: NodePlace
    reason: str
    pod: str = ""
    container: str = ""


@dataclass(frozen=True)
class Waiting:
    """What a node of a run waits for."""

    place: NodePlace
    reason: str


class RunInCluster:
    """The Workflow and the pods of a run, as they are when this object is made.

    Raises:
        ClusterError: the pods of the namespace cannot be listed.
    """

    def __init__(self, cluster: Cluster, run_id: str) -> None:
        self._cluster = cluster
        selector = f"{RUN_LABEL}={run_id}"
        self._pods = cluster.list("Pod", selector)
        self._has_workflows = True
        self._workflows: list[KubernetesObject] = []
        try:
            self._workflows = cluster.list("Workflow", selector)
        except ClusterError as error:
            # a client that may list pods need not be allowed to list Workflows; and without Argo there are none
            if error.status not in (403, 404):
                raise
            self._has_workflows = False

    @property
    def exists(self) -> bool:
        """Whether the cluster has anything of the run."""
        return bool(self._pods or self._workflows)

    @property
    def is_lost(self) -> bool:
        """Whether the cluster has no Workflow of the run; False if we may not know."""
        return self._has_workflows and not self._workflows

    @property
    def was_terminated(self) -> bool:
        """Whether a person has terminated the run: KFP then sets the deadline of its Workflow to zero."""
        spec = self._workflow.get("spec", {})
        return spec.get("activeDeadlineSeconds") == 0 or bool(spec.get("shutdown"))

    def failures(self) -> list[Failure]:
        """Return the nodes that failed, the first one first; of a pod that was started again, the last attempt."""
        pods = sorted((pod for pod in self._pods if failed_container(pod) or _has_failed(pod)), key=_end_time)
        latest = {_place(pod): pod for pod in pods}
        failures = [self._pod_failure(place, pod) for place, pod in latest.items()]
        # a pod that was refused or deleted leaves its message with the Workflow
        failures += [Failure(place, message) for place, message in self._failed_nodes() if place not in latest]
        return failures

    def waits(self) -> list[Waiting]:
        """Return the nodes that wait for something, with what they wait for."""
        waits = [Waiting(_place(pod), self._waiting_reason(pod)) for pod in self._pods if not _has_ended(pod)]
        known = {_place(pod) for pod in self._pods}
        waits += [Waiting(place, message) for place, message in self._pending_nodes() if place not in known]
        if self._workflows and not self._workflow.get("status", {}).get("phase"):
            controller = "Argo's workflow controller, which has not taken it up (is it running?)"
            waits.append(Waiting(NodePlace((), is_driver=False), controller))
        return [waiting for waiting in waits if waiting.reason]

    @cached_property
    def _workflow(self) -> KubernetesObject:
        return self._workflows[-1] if self._workflows else {}

    def _pod_failure(self, place: NodePlace, pod: KubernetesObject) -> Failure:
        container = failed_container(pod)
        if container is None:
            return Failure(place, failure_reason(pod))
        log = self._last_lines(pod, container["name"])
        reason = failure_reason(pod, summarize_log(log))
        return Failure(place, reason, pod["metadata"]["name"] if log else "", container["name"])

    def _last_lines(self, pod: KubernetesObject, container: str) -> Sequence[str]:
        try:
            return self._cluster.tail(pod["metadata"]["name"], container, TAIL_LINES)
        except ClusterError:
            return ()  # not permitted, or gone by now: the pod's status says at least how it ended

    def _waiting_reason(self, pod: KubernetesObject) -> str:
        problem = find_start_problem(pod, () if has_started(pod) else self._events(pod))
        return problem.reason if problem is not None else ""

    def _events(self, pod: KubernetesObject) -> Sequence[KubernetesObject]:
        try:
            return self._cluster.list_events(pod["metadata"]["name"])
        except ClusterError:
            return ()  # not permitted, or not now: the pod's status says at least what the kubelet waits for

    def _failed_nodes(self) -> Iterator[tuple[NodePlace, str]]:
        for node in sorted(self._nodes(), key=lambda node: str(node.get("finishedAt") or "")):
            if node.get("phase") in _FAILED_PHASES:
                yield parse_node_name(node["name"]), _to_one_line(node["message"])

    def _pending_nodes(self) -> Iterator[tuple[NodePlace, str]]:
        for node in self._nodes():
            if node.get("phase") == "Pending":
                yield parse_node_name(node["name"]), _to_one_line(node["message"])

    def _nodes(self) -> list[KubernetesObject]:
        """Return the nodes of the Workflow that are pods and have a message."""
        nodes = self._workflow.get("status", {}).get("nodes") or {}
        return [node for node in nodes.values() if node.get("type") == "Pod" and node.get("message")]


def _place(pod: KubernetesObject) -> NodePlace:
    annotations = pod["metadata"].get("annotations") or {}
    return parse_node_name(annotations.get(NODE_NAME_ANNOTATION, ""))


def _has_ended(pod: KubernetesObject) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _has_failed(pod: KubernetesObject) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Failed")


def _end_time(pod: KubernetesObject) -> str:
    container = failed_container(pod)
    return str(container["state"]["terminated"].get("finishedAt", "") if container is not None else "")


def _to_one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
