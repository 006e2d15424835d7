"""The states of a run's stages, from the tasks that the KFP API server lists."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

from kfp_edge.client.runs.argo_nodes import DRIVER_SUFFIX, TaskIndex
from kfp_edge.spec.compiled_pipeline import Stage

FINAL_STATES = ("succeeded", "failed", "skipped", "canceled")
#: The state of a stage with several tasks (a loop) is the first of these that one of its tasks has.
_PRECEDENCE = ("failed", "canceling", "running", "pending", "paused", "canceled", "succeeded", "skipped")
_UNSPECIFIED = "RUNTIME_STATE_UNSPECIFIED"
#: A time that was never set is not after this one.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Argo creates a node and the pod below it at the same time, which the API gives in whole seconds.
_SAME_TIME = timedelta(seconds=1)

_FALSE_CONDITION = "its condition is false"
_NOT_REACHED = "an earlier stage did not succeed"
_DRIVER_FAILED = "KFP's driver failed before its pod was created"


@dataclass(frozen=True)
class StageState:
    """The state of a stage.

    Attributes:
        name: The stage's name; with the names of the tasks that contain it if another stage has the same name.
        state: pending, running, succeeded, failed, skipped or canceled.
        seconds: The duration so far.
        note: Details of the state: from the cache, the number of attempts or of items of a loop,
            why it was skipped.
    """

    name: str
    state: str
    seconds: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class _NodeState:
    """The state of one node of a stage, and the task that reports it."""

    state: str
    note: str
    task: V2beta1PipelineTaskDetail


def normalize_state(state: str | None) -> str:
    """Return a state of the API as a word; a state that is not set, or not known, means that nothing has started."""
    word = str(state).lower()
    return word if word in _PRECEDENCE else "pending"


def terminated_at(run: V2beta1Run) -> datetime | None:
    """Return when a person terminated a run; None if nobody did, or if the server did not note it."""
    times = [status.update_time for status in run.state_history or () if status.state == "CANCELING"]
    return min(times, default=None)


def is_retried(run: V2beta1Run) -> bool:
    """Whether failed stages of a run were executed again: that begins its history anew, and keeps what succeeded."""
    begin = min((status.update_time for status in run.state_history or ()), default=None)
    tasks = run.run_details.task_details or () if run.run_details is not None else ()
    return begin is not None and any(_EPOCH < task.end_time < begin for task in tasks if task.display_name)


def failed_driver(run: V2beta1Run) -> str:
    """Return the name of a driver of KFP that failed, `root-driver` or `TASK-driver`; empty if none did."""
    tasks = run.run_details.task_details or () if run.run_details is not None else ()
    drivers = [task for task in tasks if (task.display_name or "").endswith(DRIVER_SUFFIX) and task.state == "FAILED"]
    return str(drivers[0].display_name) if drivers else ""


def display_names(stages: Sequence[Stage]) -> list[str]:
    """Return a name for each stage; those of nested pipelines that would be ambiguous have their paths."""
    names = Counter(stage.name for stage in stages)
    return ["/".join(_path(stage)) if names[stage.name] > 1 else stage.name for stage in stages]


def stage_states(
    stages: Sequence[Stage], run: V2beta1Run, state: str, terminated: datetime | None
) -> tuple[StageState, ...]:
    """Return the states of a pipeline's stages in a run.

    Args:
        stages: Those of the pipeline.
        run: The run as the server reports it.
        state: Its state.
        terminated: When it was terminated; None if it was not.
    """
    reader = _StateReader(run, state, terminated)
    return tuple(reader.stage_state(name, stage) for name, stage in zip(display_names(stages), stages, strict=True))


class _StateReader:
    def __init__(self, run: V2beta1Run, state: str, terminated: datetime | None) -> None:
        details = run.run_details
        self._index = TaskIndex(details.task_details or () if details is not None else ())
        self._run_state = state
        self._has_ended = state in FINAL_STATES
        self._terminated_at = terminated
        history = run.state_history or ()
        # a retry begins the history anew
        self._retried_at: datetime | None = min((status.update_time for status in history), default=None)

    def stage_state(self, name: str, stage: Stage) -> StageState:
        own = list(self._node_states(stage))
        nodes = own or list(self._states_around(stage))
        if not nodes:
            return StageState(name, "skipped", note=_NOT_REACHED) if self._has_ended else StageState(name, "pending")
        state = min((node.state for node in nodes), key=_PRECEDENCE.index)
        notes = [node.note for node in nodes if node.state == state and node.note][:1]
        if len(own) > 1:
            done = sum(node.state in FINAL_STATES for node in own)
            notes = [f"{done} of {len(own)} done", *notes]
        return StageState(name, state, self._seconds(state, [node.task for node in nodes]), ", ".join(notes))

    def _node_states(self, stage: Stage) -> Iterator[_NodeState]:
        if not self._index.has_node_ids:
            for task in self._index.named(stage.name):
                yield _NodeState(self._adjust(normalize_state(task.state), task), "", task)
            return
        for node in self._index.instances(stage.path):
            if (state := self._node_state(node)) is not None:
                yield state

    def _states_around(self, stage: Stage) -> Iterator[_NodeState]:
        """Yield the states of nested pipelines, conditions and loops around a stage that are not executed."""
        for length in range(1, len(stage.path)):
            for node in filter(self._index.exists, self._index.instances(stage.path[:length])):
                tasks = [task for task in self._index.tasks_without_pod(node) if not task.child_tasks]
                yield from (self._state_without_pod(task) for task in tasks if _is_not_executed(task))

    def _node_state(self, node: str) -> _NodeState | None:
        """Return the state of a stage's node; None if the Workflow has not come to it."""
        if (task := self._index.task(node)) is not None:
            return self._state_with_pod(node, task)
        if self._index.exists(node):
            if self._index.has_failed_driver(node):
                return _first(self._state_of_failed_driver(task) for task in self._index.tasks_without_pod(node))
            return _first(self._state_without_pod(task) for task in self._index.tasks_without_pod(node))
        if self._index.exists(f"{node}-driver"):
            return _first(self._state_of_driver(task) for task in self._index.drivers(node))
        return None

    def _state_with_pod(self, node: str, task: V2beta1PipelineTaskDetail) -> _NodeState:
        pods = [pod.state for pod in self._index.executors() if abs(pod.start_time - task.start_time) <= _SAME_TIME]
        state = self._adjust(normalize_state(task.state), task)
        note = ""
        if state == "running" and pods and set(pods) == {"PENDING"}:
            state = "pending"
        if state == "succeeded" and task.start_time == task.end_time and "SKIPPED" in pods:
            note = "from the cache"
        if (attempts := self._index.attempts(node)) > 1:
            note = f"attempt {attempts}"
        return _NodeState(state, note, task)

    def _state_without_pod(self, task: V2beta1PipelineTaskDetail) -> _NodeState:
        if task.state == "SKIPPED":
            return _NodeState("skipped", _FALSE_CONDITION, task)
        if _is_omitted(task):
            return self._omitted(task)
        return _NodeState(self._adjust(normalize_state(task.state), task), "", task)

    def _state_of_driver(self, task: V2beta1PipelineTaskDetail) -> _NodeState:
        if _is_omitted(task):
            return self._omitted(task)
        if normalize_state(task.state) == "failed":
            return self._state_of_failed_driver(task)
        state = self._adjust("pending", task)
        return _NodeState(state, "", task)

    def _state_of_failed_driver(self, task: V2beta1PipelineTaskDetail) -> _NodeState:
        state = self._adjust("failed", task)
        return _NodeState(state, _DRIVER_FAILED if state == "failed" else "", task)

    def _omitted(self, task: V2beta1PipelineTaskDetail) -> _NodeState:
        if self._is_of_earlier_attempt(task):
            return _NodeState("pending", "", task)
        return _NodeState("skipped", _NOT_REACHED, task)

    def _adjust(self, state: str, task: V2beta1PipelineTaskDetail) -> str:
        """Correct a state by what happened to the whole run: it was retried or terminated, or it has ended."""
        if state == "failed" and self._is_of_earlier_attempt(task):
            return "pending"
        if state == "failed" and self._terminated_at is not None and task.end_time >= self._terminated_at:
            return "canceled"
        if state not in FINAL_STATES and self._run_state == "canceled":
            return "canceled"
        return state

    def _is_of_earlier_attempt(self, task: V2beta1PipelineTaskDetail) -> bool:
        """Whether a task ended before the run was retried, and will be executed again."""
        return not self._has_ended and self._retried_at is not None and _EPOCH < task.end_time < self._retried_at

    def _seconds(self, state: str, tasks: Sequence[V2beta1PipelineTaskDetail]) -> float:
        start_times = [task.start_time for task in tasks if task.start_time and task.start_time > _EPOCH]
        end_times = [task.end_time for task in tasks if task.end_time and task.end_time > _EPOCH]
        now = datetime.now(UTC)
        end = max(end_times, default=now) if state in FINAL_STATES else now
        return max(0.0, (end - min(start_times, default=end)).total_seconds())


def _is_not_executed(task: V2beta1PipelineTaskDetail) -> bool:
    return task.state == "SKIPPED" or _is_omitted(task)


def _is_omitted(task: V2beta1PipelineTaskDetail) -> bool:
    """Whether Argo did not execute a node, because one that it depends on did not succeed: it has no state then."""
    return task.state in (None, _UNSPECIFIED)


def _first(states: Iterable[_NodeState]) -> _NodeState | None:
    return min(states, key=lambda node: _PRECEDENCE.index(node.state), default=None)


def _path(stage: Stage) -> list[str]:
    return [step.name for step in stage.path]
