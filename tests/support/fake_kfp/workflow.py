"""A simulation of the Argo Workflow that a KFP 2.16 backend makes of a pipeline: its nodes, one step at a time.

Names, states and order are those of the recorded runs of a real backend: a task is a driver, a node, and the pod
`executor` below it; a pod is pending, then running, then ended, and Argo looks every ten seconds.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from kfp_edge.client.runs.argo_nodes import node_id

JsonObject = dict[str, Any]

#: Argo looks at a Workflow at least this often.
TICK = timedelta(seconds=10)
#: Why a driver fails.
DRIVER_ERROR = "driver.Container(pipelineName=small) failed: failed to resolve inputs: no such parameter"
_EXIT_STRATEGY = "ALL_UPSTREAM_TASKS_COMPLETED"


@dataclass
class Behaviour:
    """What happens to the stages of a run, by name.

    Attributes:
        failing: Stages that fail, with the last line of their log.
        failing_drivers: Tasks whose driver fails; `root` is the whole pipeline.
        stuck: Stages whose pod does not start.
        slow: Stages that take one step more than others.
        cached: Stages whose result comes from the cache.
        skipped: Tasks whose condition is false.
        items: The number of items of each loop; two by default.
        failed_attempts: How often a stage with a retry policy fails before it succeeds.
    """

    failing: dict[str, str] = field(default_factory=dict)
    failing_drivers: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    cached: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    items: dict[str, int] = field(default_factory=dict)
    failed_attempts: dict[str, int] = field(default_factory=dict)


@dataclass
class Node:
    """A node; its state is PENDING, RUNNING, SUCCEEDED, FAILED, SKIPPED or OMITTED."""

    name: str
    is_pod: bool
    task: str
    state: str
    start: datetime
    end: datetime | None = None
    children: list[str] = field(default_factory=list)
    history: list[tuple[datetime, str]] = field(default_factory=list)

    @property
    def display_name(self) -> str:
        *_, parent, name = f".{self.name}".split(".")
        return f"{parent}.{name}" if name == "onExit" else name

    @property
    def has_ended(self) -> bool:
        return self.state not in ("PENDING", "RUNNING")

    def become(self, state: str, now: datetime) -> None:
        if state == self.state:
            return
        self.state = state
        self.history.append((now, state))
        self.end = now if self.has_ended else None


class FakeWorkflow:
    """The Workflow of one run; `step` lets ten seconds pass."""

    def __init__(self, spec: JsonObject, created: datetime, behaviour: Behaviour) -> None:
        self.name = f"{spec['pipelineInfo']['name']}-{secrets.token_hex(3)[:5]}"
        self.nodes: dict[str, Node] = {}
        self.now = created
        self.stages_done: list[str] = []
        self._spec = spec
        self._behaviour = behaviour
        self._attempts: dict[str, int] = {}
        self._histories: dict[str, list[tuple[datetime, str]]] = {}
        self.is_terminated = False
        self._node(self.name, "", is_pod=False, state="RUNNING")
        self._advance()

    @property
    def state(self) -> str:
        return self.nodes[self.name].state

    def step(self) -> None:
        """Let every pod come one state further, then start what is ready."""
        self.now += TICK
        for node in list(self.nodes.values()):
            if node.is_pod and not node.has_ended:
                self._step_pod(node)
        self._advance()

    def terminate(self) -> None:
        """End all pods; the Workflow fails with the next step."""
        self.is_terminated = True

    def retry(self) -> None:
        """Run what did not succeed again: Argo deletes the pods and restarts the nodes around them."""
        self.is_terminated = False
        self._attempts.clear()
        gone = {name for name, node in self.nodes.items() if node.state == "OMITTED" or (node.is_pod and _failed(node))}
        for name in gone:
            self._histories[name] = self.nodes.pop(name).history
        for node in self.nodes.values():
            node.children = [child for child in node.children if child not in gone]
            if _failed(node):
                node.become("RUNNING", self.now)

    def _step_pod(self, node: Node) -> None:
        if self.is_terminated:
            node.become("FAILED", self.now)
        elif node.state == "PENDING":
            if node.task not in self._behaviour.stuck or node.display_name.endswith("-driver"):
                node.become("RUNNING", self.now)
        elif node.task in self._behaviour.slow and self.now - node.history[-1][0] <= TICK:
            return
        else:
            node.become("FAILED" if self._fails(node) else "SUCCEEDED", self.now)

    def _fails(self, node: Node) -> bool:
        if node.display_name.endswith("-driver"):
            return node.task in self._behaviour.failing_drivers
        attempt = self._attempts[node.name] = self._attempts.get(node.name, 0) + 1
        number = int(node.name.rpartition("(")[2].rstrip(")")) if node.name.endswith(")") else attempt - 1
        return node.task in self._behaviour.failing or number < self._behaviour.failed_attempts.get(node.task, 0)

    # --- the graph

    def _advance(self) -> None:
        """Start what is ready and end what is done, until nothing changes."""
        while True:
            before = [(node.name, node.state, len(node.children)) for node in self.nodes.values()]
            self._run_root()
            if before == [(node.name, node.state, len(node.children)) for node in self.nodes.values()]:
                return

    def _run_root(self) -> None:
        top = self.nodes[self.name]
        if top.has_ended:
            return
        root = f"{self.name}.root"
        self._run_with_driver(root, "root", [self.name])
        if root in self.nodes and not self.nodes[root].has_ended:
            self._run_dag(root, self._spec["root"]["dag"])
        if self._ended(root):
            top.become("SUCCEEDED" if self._succeeded(root) else "FAILED", self.now)

    def _run_with_driver(self, name: str, task: str, after: list[str], condition: bool = False) -> None:
        """Create the driver of a node, and after that the node."""
        driver = f"{name}-driver"
        if driver not in self.nodes:
            self._node(driver, task, is_pod=True, state="PENDING", after=after)
        if name in self.nodes or not self._ended(driver):
            return
        if not self._succeeded(driver):
            self._node(name, task, is_pod=False, state="OMITTED", after=[driver])
        elif condition and task in self._behaviour.skipped:
            self._node(name, task, is_pod=False, state="SKIPPED", after=[driver])
        else:
            self._node(name, task, is_pod=False, state="RUNNING", after=[driver])

    def _run_dag(self, name: str, dag: JsonObject) -> None:
        tasks = {key: task for key, task in dag["tasks"].items() if not _is_exit_task(task)}
        fails_fast = any(self._failed(f"{name}.{key}") for key in tasks)
        for key, task in sorted(tasks.items()):
            self._run_task(name, key, task, fails_fast)
        for key, task in dag["tasks"].items():
            if _is_exit_task(task):
                self._run_exit_task(name, key, task)
        hooks = [self.nodes[each] for each in self.nodes if each.startswith(f"{name}.") and each.endswith(".onExit")]
        nodes = [self.nodes.get(f"{name}.{key}") for key in tasks]
        started = [node for node in nodes if node is not None]
        is_over = all(node.has_ended for node in (*started, *hooks)) and (fails_fast or len(started) == len(nodes))
        waiting = any(self._is_open(f"{name}.{key}-driver") for key in tasks)
        if is_over and not waiting and self._exit_tasks_started(name, dag):
            failed = any(node.state == "FAILED" for node in (*started, *hooks)) or any(
                self._failed(f"{name}.{key}-driver") for key in tasks
            )
            self.nodes[name].become("FAILED" if failed else "SUCCEEDED", self.now)

    def _is_open(self, name: str) -> bool:
        return name in self.nodes and not self.nodes[name].has_ended

    def _exit_tasks_started(self, name: str, dag: JsonObject) -> bool:
        exits = [task for task in dag["tasks"].values() if _is_exit_task(task)]
        hooks = [f"{name}.{dependency}.onExit" for task in exits for dependency in task.get("dependentTasks", ())]
        return all(hook in self.nodes for hook in hooks)

    def _run_exit_task(self, parent: str, key: str, task: JsonObject) -> None:
        for dependency in task.get("dependentTasks", ()):
            followed = f"{parent}.{dependency}"
            hook = f"{followed}.onExit"
            if self._ended(followed) and hook not in self.nodes:
                self._node(hook, key, is_pod=False, state="RUNNING", after=[followed])
            if hook in self.nodes and not self.nodes[hook].has_ended:
                self._run_task(hook, key, _without_dependencies(task), fails_fast=False)
                if self._ended(f"{hook}.{key}"):
                    self.nodes[hook].become(self.nodes[f"{hook}.{key}"].state, self.now)

    def _run_task(self, parent: str, key: str, task: JsonObject, fails_fast: bool) -> None:
        name = f"{parent}.{key}"
        dependencies = [f"{parent}.{each}" for each in _dependencies(task)]
        if name not in self.nodes and f"{name}-driver" not in self.nodes:
            if not all(self._ended(each) for each in dependencies) or (fails_fast and not dependencies):
                return
            after = [node for each in dependencies for node in self._outbound(each)] or [parent]
            if any(not self._succeeded(each) for each in dependencies):
                self._omit(name, key, after, "parameterIterator" in task)
                return
        else:
            after = []
        if "parameterIterator" in task:
            self._run_loop(name, key, task, after or [parent])
        else:
            self._run_component(name, key, task, after or [parent])

    def _omit(self, name: str, key: str, after: list[str], is_loop: bool) -> None:
        if not is_loop:
            self._node(f"{name}-driver", key, is_pod=True, state="OMITTED", after=after)
            after = [f"{name}-driver"]
        self._node(name, key, is_pod=False, state="OMITTED", after=after)

    def _run_component(self, name: str, key: str, task: JsonObject, after: list[str]) -> None:
        component = self._spec["components"][task["componentRef"]["name"]]
        is_new = name not in self.nodes
        self._run_with_driver(name, key, after, condition="condition" in task.get("triggerPolicy", {}))
        if name not in self.nodes or self.nodes[name].has_ended:
            return
        if "dag" in component:
            self._run_dag(name, component["dag"])
            return
        if is_new and key in self._behaviour.cached:
            self._node(f"{name}.executor", key, is_pod=True, state="SKIPPED", after=[name])
            self.nodes[name].history.clear()  # it has ended before anybody looked
            self.nodes[name].become("SUCCEEDED", self.now)
            self.stages_done.append(key)
            return
        self._run_executor(name, key, "retryPolicy" in task)

    def _run_executor(self, name: str, key: str, may_retry: bool) -> None:
        executor = f"{name}.executor"
        if executor not in self.nodes:
            self._node(executor, key, is_pod=not may_retry, state="RUNNING" if may_retry else "PENDING", after=[name])
        if may_retry:
            self._run_attempts(executor, key)
        if self._ended(executor):
            self.nodes[name].become("SUCCEEDED" if self._succeeded(executor) else "FAILED", self.now)
            if self._succeeded(executor):
                self.stages_done.append(key)

    def _run_attempts(self, executor: str, key: str) -> None:
        number = sum(each.startswith(f"{executor}(") for each in self.nodes)
        last = f"{executor}({number - 1})"
        if number and not self._ended(last):
            return
        if number and (self._succeeded(last) or number > self._behaviour.failed_attempts.get(key, 0)):
            self.nodes[executor].become(self.nodes[last].state, self.now)
            return
        self._node(f"{executor}({number})", key, is_pod=True, state="PENDING", after=[executor])

    def _run_loop(self, name: str, key: str, task: JsonObject, after: list[str]) -> None:
        if name not in self.nodes:
            self._node(name, key, is_pod=False, state="RUNNING", after=after)
        if self.nodes[name].has_ended:
            return
        driver, group = f"{name}.iteration-driver", f"{name}.iteration-iterations"
        if driver not in self.nodes:
            self._node(driver, key, is_pod=True, state="PENDING", after=[name])
        if not self._ended(driver):
            return
        if not self._succeeded(driver):
            self.nodes[name].become("FAILED", self.now)
            return
        if group not in self.nodes:
            self._node(group, key, is_pod=False, state="RUNNING", after=[driver])
        items = [f"{group}({number}:{number})" for number in range(self._behaviour.items.get(key, 2))]
        for item in items:
            self._run_item(group, item, key, task)
        if all(self._ended(item) for item in items):
            state = "SUCCEEDED" if all(self._succeeded(item) for item in items) else "FAILED"
            for node in (group, name):
                self.nodes[node].become(state, self.now)

    def _run_item(self, group: str, item: str, key: str, task: JsonObject) -> None:
        if item not in self.nodes:
            self._node(item, key, is_pod=False, state="RUNNING", after=[group])
        if not self.nodes[item].has_ended:
            self._run_component(f"{item}.iteration-item", key, _without_dependencies(task), [item])
            if self._ended(f"{item}.iteration-item"):
                self.nodes[item].become(self.nodes[f"{item}.iteration-item"].state, self.now)

    def _node(self, name: str, task: str, is_pod: bool, state: str, after: list[str] | None = None) -> None:
        self.nodes[name] = node = Node(name, is_pod, task, "", self.now, history=self._histories.get(name, []))
        node.become(state, self.now)
        for parent in after or ():
            if name not in self.nodes[parent].children:
                self.nodes[parent].children.append(name)

    def _outbound(self, name: str) -> Iterator[str]:
        """Yield the last nodes of a task, after which those that depend on it come."""
        inside = {each for each in self.nodes if each.startswith(f"{name}.")}
        yield from [each for each in inside if not inside & set(self.nodes[each].children)] or [name]

    def _ended(self, name: str) -> bool:
        return name in self.nodes and self.nodes[name].has_ended

    def _succeeded(self, name: str) -> bool:
        return name in self.nodes and self.nodes[name].state == "SUCCEEDED"

    def _failed(self, name: str) -> bool:
        return name in self.nodes and self.nodes[name].state == "FAILED"

    def log(self, node: Node) -> list[str]:
        """Return what the container `main` of a pod that has ended wrote: the stage, KFP and Argo."""
        if node.display_name.endswith("-driver"):
            lines = ["I1128 23:48:21.118291      19 main.go:166] input ComponentSpec:{", '  "dag": {}', "}"]
            if node.state == "FAILED":
                lines.append(f"F1128 23:48:22.618134      19 main.go:114] KFP driver: {DRIVER_ERROR}")
        else:
            error = self._behaviour.failing.get(node.task)
            lines = ["I1128 23:48:44.070319      18 launcher_v2.go:190] ExecutorInput: {", '  "inputs": {}', "}"]
            lines += [f"error: {error}"] if error else []
            if node.state == "FAILED":
                lines.append("F1128 23:48:47.218135      18 main.go:57] failed to execute component: exit status 1")
        lines.append('time="2026-11-28T23:48:47.312Z" level=info msg="sub-process exited" argo=true error="<nil>"')
        return lines + (["Error: exit status 1"] if node.state == "FAILED" else [])

    def id_of(self, node: Node) -> str:
        """Return the id of a node."""
        return node_id(self.name, node.name)


def _is_exit_task(task: JsonObject) -> bool:
    return bool(task.get("triggerPolicy", {}).get("strategy") == _EXIT_STRATEGY)


def _failed(node: Node) -> bool:
    return node.state == "FAILED"


def _without_dependencies(task: JsonObject) -> JsonObject:
    return {**task, "dependentTasks": [], "triggerPolicy": {}, "inputs": {}}


def _dependencies(task: JsonObject) -> list[str]:
    """Return the tasks that a task depends on, those whose outputs it reads included."""
    inputs = task.get("inputs", {})
    producers = [
        source.get("taskOutputParameter", source.get("taskOutputArtifact", {})).get("producerTask")
        for source in (*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values())
    ]
    return list(dict.fromkeys(filter(None, (*task.get("dependentTasks", ()), *producers))))
