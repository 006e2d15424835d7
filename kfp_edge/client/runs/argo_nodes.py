"""The nodes of a run's Argo Workflow: their names, and the ids by which the KFP API server refers to them.

KFP compiles a pipeline into a Workflow (kubeflow/pipelines, `backend/src/v2/compiler/argocompiler`): a task becomes a
node `NAME-driver`, a node `NAME`, and below that the pod `executor`. The API lists all nodes as tasks, by the last part
of their names: two stages of one name in different nested pipelines look alike. But a task has the ids of the nodes
below or after it, and an id is the Workflow's name with the hash of the node's full name (argo-workflows,
`Workflow.NodeID`). The full names follow from the pipeline, so that the ids identify the tasks.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, zip_longest

from kfp_server_api import V2beta1PipelineTaskDetail

from kfp_edge.spec.compiled_pipeline import PathStep

#: The annotation of a pod with the full name of its node.
NODE_NAME_ANNOTATION = "workflows.argoproj.io/node-name"
#: Ends the names of KFP's drivers.
DRIVER_SUFFIX = "-driver"

_ROOT = "root"
_EXECUTOR = "executor"
_ON_EXIT = "onExit"
# the nodes of a loop: KFP's names for its driver, for all items, and for the task of one item
_ITERATIONS = "iteration-iterations"
_ITEM = "iteration-item"
_LOOP_NODES = ("iteration", _ITEM)
_NUMBERED = re.compile(r"(.+)\(\d+(?::.*)?\)")  # an attempt, or an item of a loop
_NODE_ID = re.compile(r"(.+)-\d+")
_FNV_OFFSET, _FNV_PRIME = 0x811C9DC5, 0x01000193


def node_id(workflow: str, name: str) -> str:
    """Return the id of the node with this full name, which begins with the Workflow's name (FNV-1a, 32 bits)."""
    if name == workflow:
        return workflow
    value = _FNV_OFFSET
    for byte in name.encode():
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return f"{workflow}-{value}"


@dataclass(frozen=True)
class NodePlace:
    """The place of a node in the pipeline.

    Attributes:
        path: The names of the tasks that contain it, and of its own; empty for the whole pipeline.
        is_driver: Whether it is KFP's driver, which prepares the task; else the task itself.
    """

    path: tuple[str, ...]
    is_driver: bool


def parse_node_name(name: str) -> NodePlace:
    """Return the place of a node, by its full name such as `press-x7k2p.root.inner.learn.executor`."""
    parts = name.split(".")[1:]
    is_driver = bool(parts) and parts[-1].endswith(DRIVER_SUFFIX)
    if is_driver:
        parts[-1] = parts[-1].removesuffix(DRIVER_SUFFIX)
    parts = [match[1] if (match := _NUMBERED.fullmatch(part)) else part for part in parts]
    if not is_driver:
        parts = _without_pod(parts)
    return NodePlace(tuple(_task_names(parts[1:])), is_driver)


def _without_pod(parts: list[str]) -> list[str]:
    """Remove the name of the pod below a task; a retried pod is a numbered child of `executor`."""
    return parts[:-1] if len(parts) > 2 and parts[-1] == _EXECUTOR else parts


def _task_names(parts: Sequence[str]) -> Iterator[str]:
    for part, following in zip_longest(parts, parts[1:], fillvalue=""):
        is_hook = _ON_EXIT in (part, following)  # an exit task is below the task that it follows
        if not is_hook and part not in (*_LOOP_NODES, _ITERATIONS):
            yield part


class TaskIndex:
    """The tasks of a run, found by the full names of their nodes."""

    def __init__(self, tasks: Sequence[V2beta1PipelineTaskDetail]) -> None:
        # besides nodes, the API lists records of KFP's cache, which have no name
        self.tasks = [task for task in tasks if task.display_name]
        self._parents: dict[str, list[V2beta1PipelineTaskDetail]] = defaultdict(list)
        for task in self.tasks:
            for child in task.child_tasks or ():
                if child.pod_name:
                    self._parents[child.pod_name].append(task)
        self.workflow = next((match[1] for child in self._parents if (match := _NODE_ID.fullmatch(child))), "")

    @property
    def has_node_ids(self) -> bool:
        """Whether nodes can be found by their full names; a backend that does not run Argo Workflows has none."""
        return self.exists(f"{self.workflow}.{_ROOT}{DRIVER_SUFFIX}")

    def named(self, display_name: str) -> list[V2beta1PipelineTaskDetail]:
        """Return all tasks of a display name."""
        return [task for task in self.tasks if task.display_name == display_name]

    def exists(self, name: str) -> bool:
        """Whether the Workflow has a node of this full name."""
        return self._id(name) in self._parents

    def instances(self, path: Sequence[PathStep]) -> list[str]:
        """Return the full names of the nodes of a task: none before its loop has started, several in a loop."""
        names = [f"{self.workflow}.{_ROOT}"]
        for step in path:
            names = [name for parent in names for name in self._step_names(parent, step)]
        return names

    def _step_names(self, parent: str, step: PathStep) -> Iterator[str]:
        # an old backend runs an exit task beside the others
        hooks = (f"{parent}.{task}.{_ON_EXIT}.{step.name}" for task in step.runs_after)
        names = [hook for hook in hooks if self.exists(f"{hook}{DRIVER_SUFFIX}")] or [f"{parent}.{step.name}"]
        for name in names:
            yield from self._item_names(name) if step.is_loop else (name,)

    def _item_names(self, name: str) -> Iterator[str]:
        for number in count():
            item = f"{name}.{_ITERATIONS}({number}:{number})"
            if not self.exists(item):
                return
            yield f"{item}.{_ITEM}"

    def task(self, name: str) -> V2beta1PipelineTaskDetail | None:
        """Return the task of a stage's node once its pod exists; None before."""
        parents = self._parents.get(self._id(f"{name}.{_EXECUTOR}"), ())
        return parents[0] if parents else None

    def attempts(self, name: str) -> int:
        """Return how often the pod of a stage's node was started, if KFP may repeat it; else 0."""
        attempts = (self.exists(f"{name}.{_EXECUTOR}({number})") for number in count())
        return next(number for number, exists in enumerate(attempts) if not exists)

    def has_failed_driver(self, name: str) -> bool:
        """Whether the driver of a stage's node failed, after which the node is omitted."""
        parents = self._parents.get(self._id(name), ())
        return any(task.state == "FAILED" for task in parents if task.display_name.endswith(DRIVER_SUFFIX))

    def tasks_without_pod(self, name: str) -> list[V2beta1PipelineTaskDetail]:
        """Return the task of a stage's node that has no pod; others of its display name may be among them."""
        return self._childless(name, "")

    def drivers(self, name: str) -> list[V2beta1PipelineTaskDetail]:
        """Return the driver of a stage's node that has not ended; others of its display name may be among them."""
        return self._childless(name, DRIVER_SUFFIX)

    def executors(self) -> list[V2beta1PipelineTaskDetail]:
        """Return the tasks of all pods of stages."""
        return [task for task in self.tasks if task.display_name.partition("(")[0] == _EXECUTOR]

    def _childless(self, name: str, suffix: str) -> list[V2beta1PipelineTaskDetail]:
        display_name = name.rpartition(".")[2] + suffix
        tasks = self.named(display_name)
        return [task for task in tasks if not task.child_tasks] or tasks

    def _id(self, name: str) -> str:
        return node_id(self.workflow, name)
