"""Whether the parts of a pipeline spec fit: every name that a task uses is one that something gives."""

import graphlib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kfp_edge.spec.fields import Finding, at

_CONDITION_INPUT = re.compile(r"inputs\.parameter_values\['([^']+)'\]")


def _misfit(path: str, message: str) -> Finding:
    return Finding("KE102", path, message)


def graph_findings(spec: Any, executors: frozenset[str], path: str) -> list[Finding]:
    """Return what does not fit in a parsed `PipelineSpec`.

    Args:
        spec: The message `ml_pipelines.PipelineSpec`.
        executors: The labels in its deployment spec.
        path: Where the spec stands in its document.
    """
    components = {name: spec.components[name] for name in sorted(spec.components)}
    findings: list[Finding] = []
    for name, component in components.items():
        findings += _component(component, components, executors, at(path, "components", name))
    if spec.HasField("root"):
        findings += _component(spec.root, components, executors, at(path, "root"))
    uses = {
        name: {task.component_ref.name for task in component.dag.tasks.values()}
        for name, component in components.items()
    }
    if cycle := _cycle(uses):
        findings.append(_misfit(at(path, "components", cycle[0]), f"contains itself: {' -> '.join(cycle)}."))
    return findings


def _component(
    component: Any, components: Mapping[str, Any], executors: frozenset[str], path: str
) -> Iterator[Finding]:
    match component.WhichOneof("implementation"):
        case "executor_label":
            label = component.executor_label
            if label not in executors:
                yield _misfit(at(path, "executorLabel"), f"there is no executor {label!r} in deploymentSpec.executors.")
        case "dag":
            yield from _Dag(component, components, at(path, "dag")).findings()
        case _:
            yield _misfit(path, "has neither a dag nor an executorLabel, so there is nothing to run.")


def _cycle(edges: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names along a cycle, first and last equal; empty when there is none."""
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return []


class _Dag:
    """The tasks of one component, with what they may refer to."""

    def __init__(self, component: Any, components: Mapping[str, Any], path: str) -> None:
        self.inputs = component.input_definitions
        self.outputs = component.output_definitions
        self.dag = component.dag
        self.tasks = {name: component.dag.tasks[name] for name in sorted(component.dag.tasks)}
        self.components = components
        self.path = path

    def findings(self) -> Iterator[Finding]:
        for name, task in self.tasks.items():
            yield from self._task(task, at(self.path, "tasks", name))
        yield from self._given()
        if cycle := _cycle({name: self._upstream(task) for name, task in self.tasks.items()}):
            yield _misfit(at(self.path, "tasks", cycle[0]), f"waits for itself: {' -> '.join(cycle)}.")

    def _upstream(self, task: Any) -> set[str]:
        parameters = task.inputs.parameters.values()
        artifacts = task.inputs.artifacts.values()
        producers = {value.task_output_parameter.producer_task for value in parameters}
        producers |= {value.task_final_status.producer_task for value in parameters}
        producers |= {value.task_output_artifact.producer_task for value in artifacts}
        return (producers | set(task.dependent_tasks)) & self.tasks.keys()

    def _task(self, task: Any, path: str) -> Iterator[Finding]:
        reference = task.component_ref.name
        if reference not in self.components:
            yield _misfit(at(path, "componentRef", "name"), f"there is no component {reference!r} in components.")
        else:
            yield from self._inputs_fit(task, self.components[reference].input_definitions, path)
        for index, name in enumerate(task.dependent_tasks):
            yield from self._producer(name, f"{at(path, 'dependentTasks')}[{index}]")
        yield from self._parameters(task, path)
        yield from self._artifacts(task, path)
        for name in _CONDITION_INPUT.findall(task.trigger_policy.condition):
            if name not in task.inputs.parameters:
                yield _misfit(at(path, "triggerPolicy", "condition"), f"the task has no input parameter {name!r}.")

    def _inputs_fit(self, task: Any, wanted: Any, path: str) -> Iterator[Finding]:
        items = {task.parameter_iterator.item_input, task.artifact_iterator.item_input}
        for kind in ("parameters", "artifacts"):
            defined, given = getattr(wanted, kind), getattr(task.inputs, kind)
            for name in sorted(set(defined) - set(given) - items):
                optional = defined[name].is_optional or (
                    kind == "parameters" and defined[name].HasField("default_value")
                )
                if not optional:
                    yield _misfit(
                        at(path, "inputs", kind), f"{task.component_ref.name} needs the input {kind[:-1]} {name!r}."
                    )

    def _parameters(self, task: Any, path: str) -> Iterator[Finding]:
        for name in sorted(task.inputs.parameters):
            value = task.inputs.parameters[name]
            place = at(path, "inputs", "parameters", name)
            match value.WhichOneof("kind"):
                case "task_output_parameter":
                    source = value.task_output_parameter
                    yield from self._output(
                        "parameters",
                        (source.producer_task, at(place, "taskOutputParameter", "producerTask")),
                        (source.output_parameter_key, at(place, "taskOutputParameter", "outputParameterKey")),
                    )
                case "component_input_parameter":
                    wanted = value.component_input_parameter
                    if wanted not in self.inputs.parameters:
                        yield _misfit(at(place, "componentInputParameter"), self._no_input("parameter", wanted))
                case "task_final_status":
                    yield from self._producer(
                        value.task_final_status.producer_task, at(place, "taskFinalStatus", "producerTask")
                    )

    def _artifacts(self, task: Any, path: str) -> Iterator[Finding]:
        for name in sorted(task.inputs.artifacts):
            value = task.inputs.artifacts[name]
            place = at(path, "inputs", "artifacts", name)
            match value.WhichOneof("kind"):
                case "task_output_artifact":
                    source = value.task_output_artifact
                    yield from self._output(
                        "artifacts",
                        (source.producer_task, at(place, "taskOutputArtifact", "producerTask")),
                        (source.output_artifact_key, at(place, "taskOutputArtifact", "outputArtifactKey")),
                    )
                case "component_input_artifact":
                    wanted = value.component_input_artifact
                    if wanted not in self.inputs.artifacts:
                        yield _misfit(at(place, "componentInputArtifact"), self._no_input("artifact", wanted))

    def _no_input(self, kind: str, name: str) -> str:
        owner = "the pipeline" if self.path.endswith("root.dag") else "the component around it"
        return f"{owner} has no input {kind} {name!r}."

    def _given(self) -> Iterator[Finding]:
        """Check what the component gives out against what its tasks make."""
        outputs = self.dag.outputs
        for kind in ("parameters", "artifacts"):
            defined, given = getattr(self.outputs, kind), getattr(outputs, kind)
            for name in sorted(set(given) ^ set(defined)):
                what = (
                    "is not in outputDefinitions" if name in given else "is in outputDefinitions but no task gives it"
                )
                yield _misfit(at(self.path, "outputs", kind, name), f"{what}.")
        for name in sorted(outputs.parameters):
            place = at(self.path, "outputs", "parameters", name)
            for selector, where in _parameter_selectors(outputs.parameters[name], place):
                yield from self._output(
                    "parameters",
                    (selector.producer_subtask, at(where, "producerSubtask")),
                    (selector.output_parameter_key, at(where, "outputParameterKey")),
                )
        for name in sorted(outputs.artifacts):
            place = at(self.path, "outputs", "artifacts", name, "artifactSelectors")
            for index, selector in enumerate(outputs.artifacts[name].artifact_selectors):
                yield from self._output(
                    "artifacts",
                    (selector.producer_subtask, at(f"{place}[{index}]", "producerSubtask")),
                    (selector.output_artifact_key, at(f"{place}[{index}]", "outputArtifactKey")),
                )

    def _producer(self, name: str, place: str) -> Iterator[Finding]:
        if name not in self.tasks:
            yield _misfit(place, f"there is no task {name!r} in {self.path}.tasks.")

    def _output(self, kind: str, producer: tuple[str, str], key: tuple[str, str]) -> Iterator[Finding]:
        """Check that a task of this graph gives an output; `producer` and `key` are (name, place)."""
        task, place = producer
        if task not in self.tasks:
            yield from self._producer(task, place)
            return
        reference = self.tasks[task].component_ref.name
        name, place = key
        if reference in self.components and name not in getattr(self.components[reference].output_definitions, kind):
            yield _misfit(place, f"{reference}, which the task {task!r} runs, has no output {kind[:-1]} {name!r}.")


def _parameter_selectors(output: Any, place: str) -> Iterator[tuple[Any, str]]:
    if output.WhichOneof("kind") == "value_from_parameter":
        yield output.value_from_parameter, at(place, "valueFromParameter")
    for index, selector in enumerate(output.value_from_oneof.parameter_selectors):
        yield selector, f"{at(place, 'valueFromOneof', 'parameterSelectors')}[{index}]"
