"""How far a TaskRun and its Pod are, in the words of the kubelet and of Tekton (compare `tests/support/recorded`)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from support.fake_kubernetes.objects import (
    Object,
    condition,
    container_status,
    now,
    terminated,
    waiting,
    with_conditions,
)
from support.fake_kubernetes.taskrun_pod import step_name, unfinished_condition

if TYPE_CHECKING:
    from support.fake_kubernetes.tekton import TektonController

#: When a container was started that could not be.
NEVER = "1970-01-01T00:00:00Z"


class TaskRunReport:
    """The states of the containers of a TaskRun's Pod, and what is written of them into both objects."""

    def __init__(self, controller: "TektonController", taskrun: Object) -> None:
        self._controller, self._taskrun = controller, taskrun
        self._pod: Object | None = None
        self.states: list[Object] = []
        self.init_states: list[Object] = []
        self.reasons: list[str] = []  # why each step ended, in Tekton's words
        self._conditions: list[Object] = []

    @property
    def pod(self) -> Object:
        """The Pod, which was created."""
        assert self._pod is not None
        return self._pod

    @property
    def has_pod(self) -> bool:
        """Whether the Pod was created."""
        return self._pod is not None

    @property
    def containers(self) -> list[Object]:
        """The containers of the steps; none before there is a Pod."""
        return self._pod["spec"]["containers"] if self._pod else []

    @property
    def init_containers(self) -> list[Object]:
        """Tekton's own init containers."""
        return self._pod["spec"]["initContainers"] if self._pod else []

    def set_pod(self, pod: Object) -> None:
        """Take the Pod that was created; all its containers wait."""
        self._pod = pod
        self.states = [waiting("PodInitializing") for _ in self.containers]
        self.init_states = [waiting("PodInitializing") for _ in self.init_containers]
        self.reasons = ["" for _ in self.states]

    def publish(self, phase: str, *, on_node: bool = True, reason: str = "", message: str = "") -> None:
        """Write the Pod's status, and what Tekton makes of it into the TaskRun's.

        Args:
            phase: The Pod's phase.
            on_node: Whether its volumes are there, so that its containers can be made.
            reason: Why the node ended the Pod.
            message: In the node's words.
        """
        self._conditions = with_conditions(self._conditions, *self._phase_conditions(phase, on_node))
        statuses = self._statuses(self.containers, self.states)
        status = {
            "phase": phase,
            "conditions": self._conditions,
            "containerStatuses": statuses,
            "initContainerStatuses": self._statuses(self.init_containers, self.init_states),
            "hostIP": "127.0.0.1",
        }
        detail = {"reason": reason, "message": message}
        self._controller.set_status(self.pod, status | {name: text for name, text in detail.items() if text})
        self._write_progress(phase, statuses)

    def _phase_conditions(self, phase: str, on_node: bool) -> list[Object]:
        initial = zip(self.init_containers, self.init_states, strict=True)
        waiting_for = [one["name"] for one, state in initial if "terminated" not in state]
        if waiting_for:
            detail = f"containers with incomplete status: [{' '.join(waiting_for)}]"
            initialized = condition("Initialized", "False", "ContainersNotInitialized", detail)
        else:
            initialized = condition("Initialized", "True", "PodCompleted" if phase == "Succeeded" else "")
        names = " ".join(container["name"] for container in self.containers)
        not_ready = {
            "Pending": ("False", "ContainersNotReady", f"containers with unready status: [{names}]"),
            "Running": ("True",),
            "Failed": ("False", "PodFailed"),
            "Succeeded": ("False", "PodCompleted"),
        }[phase]
        return [
            condition("PodReadyToStartContainers", str(on_node and phase in ("Pending", "Running"))),
            initialized,
            condition("Ready", *not_ready),
            condition("ContainersReady", *not_ready),
            condition("PodScheduled", "True"),
        ]

    def publish_unscheduled(self, detail: str) -> None:
        """Write that the Pod waits for a node: it has no states of containers."""
        self._conditions = [condition("PodScheduled", "False", "Unschedulable", detail)]
        self._controller.set_status(self.pod, {"phase": "Pending", "conditions": self._conditions})
        self.states = [{} for _ in self.states]
        self._write_progress("Pending", [])

    def _write_progress(self, phase: str, statuses: Sequence[Object]) -> None:
        found = {"podName": self.pod["metadata"]["name"], "steps": self.steps()}
        if phase in ("Pending", "Running"):
            self.write(found, unfinished_condition(phase, self._conditions, statuses))
        else:
            self.write(found)

    def write(self, status: Object, *succeeded: Object) -> None:
        """Write into the TaskRun's status."""
        always = {"podName": self.pod["metadata"]["name"] if self._pod else ""}
        if succeeded:
            always["conditions"] = list(succeeded)
        self._controller.set_status(self._taskrun, always | status)

    def steps(self) -> list[Object]:
        """The states of the steps in the TaskRun's status."""
        if self._pod is None:
            return [{"name": step["name"]} for step in self._taskrun["spec"]["taskSpec"]["steps"]]
        return [
            {"name": step_name(container)}
            | ({"container": container["name"]} if state else {})
            | ({"imageID": container["image"]} if "running" in state or "terminated" in state else {})
            | state
            | ({"terminationReason": reason} if reason else {})
            for container, state, reason in zip(self.containers, self.states, self.reasons, strict=True)
        ]

    def finish_init_containers(self) -> None:
        """Let the init containers end."""
        self.init_states = [terminated(0, "Completed", now()) for _ in self.init_states]

    @staticmethod
    def _statuses(containers: Sequence[Object], states: Sequence[Object]) -> list[Object]:
        return [
            container_status(container, state, ready="running" in state)
            for container, state in zip(containers, states, strict=True)
        ]
