"""Checks of the task graph: every component, task, input and output that a task refers to has to exist."""

import graphlib
import re
from collections.abc import Collection, Iterator, Mapping

from kfp.pipeline_spec.pipeline_spec_pb2 import (
    ComponentInputsSpec,
    ComponentSpec,
    DagOutputsSpec,
    PipelineSpec,
    PipelineTaskSpec,
)

from kfp_edge.spec.validation.lint_findings import Finding, join_path

_EXIT = PipelineTaskSpec.TriggerPolicy.ALL_UPSTREAM_TASKS_COMPLETED
_CHANNEL = "pipelinechannel--"
#: A server does not look at inputs before the task is reached.
_RUN_FAILS = "and the run fails when it reaches the task"
_CONDITION_INPUT = re.compile(r"inputs\.parameter_values\['([^']+)'\]")


def check_task_graph(spec: PipelineSpec, executors: frozenset[str], path: str) -> list[Finding]:
    """Return a finding for every reference that does not resolve, and for every cycle.

    Args:
        spec: The parsed pipeline spec.
        executors: The labels in its deployment spec.
        path: The location of the spec in its document.
    """
    components = {name: spec.components[name] for name in sorted(spec.components)}
    findings: list[Finding] = []
    for name, component in components.items():
        findings += _check_component(component, components, executors, join_path(path, "components", name))
    if spec.HasField("root"):
        findings += _check_component(spec.root, components, executors, join_path(path, "root"))
    uses = {
        name: {task.component_ref.name for task in component.dag.tasks.values()}
        for name, component in components.items()
    }
    if cycle := _find_cycle(uses):
        message = (
            f"contains itself: {' -> '.join(cycle)}; a run would never end, so remove the task that closes the circle."
        )
        findings.append(_graph_finding(join_path(path, "components", cycle[0]), message))
    return findings


def _graph_finding(path: str, message: str) -> Finding:
    return Finding("KE102", path, message)


def _check_component(
    component: ComponentSpec, components: Mapping[str, ComponentSpec], executors: frozenset[str], path: str
) -> Iterator[Finding]:
    match component.WhichOneof("implementation"):
        case "executor_label":
            label = component.executor_label
            if label not in executors:
                yield _graph_finding(
                    join_path(path, "executorLabel"), f"there is no executor {label!r} in deploymentSpec.executors."
                )
        case "dag":
            if all(task.trigger_policy.strategy == _EXIT for task in component.dag.tasks.values()):
                message = "has no task but exit tasks, and the server refuses to start a run; add one."
                yield Finding("KE103", join_path(path, "dag"), message)
            yield from _DagChecker(component, components, join_path(path, "dag")).findings()
        case _:
            yield _graph_finding(path, "has neither a dag nor an executorLabel, so there is nothing to run.")


def _find_cycle(edges: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names along a cycle, first and last equal; empty when there is none."""
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return []


class _DagChecker:
    """Checks the tasks of one component, and what they refer to."""

    def __init__(self, component: ComponentSpec, components: Mapping[str, ComponentSpec], path: str) -> None:
        self.inputs = component.input_definitions
        self.outputs = component.output_definitions
        self.dag = component.dag
        self.tasks = {name: component.dag.tasks[name] for name in sorted(component.dag.tasks)}
        self.components = components
        self.path = path

    def findings(self) -> Iterator[Finding]:
        for name, task in self.tasks.items():
            yield from self._check_task(task, join_path(self.path, "tasks", name))
        yield from self._check_dag_outputs()
        if cycle := _find_cycle({name: self._upstream_tasks(task) for name, task in self.tasks.items()}):
            message = f"waits for itself: {' -> '.join(cycle)}."
            yield _graph_finding(join_path(self.path, "tasks", cycle[0]), message)

    def _upstream_tasks(self, task: PipelineTaskSpec) -> set[str]:
        parameters = task.inputs.parameters.values()
        artifacts = task.inputs.artifacts.values()
        producers = {value.task_output_parameter.producer_task for value in parameters}
        producers |= {value.task_final_status.producer_task for value in parameters}
        producers |= {value.task_output_artifact.producer_task for value in artifacts}
        return (producers | set(task.dependent_tasks)) & self.tasks.keys()

    def _check_task(self, task: PipelineTaskSpec, path: str) -> Iterator[Finding]:
        reference = task.component_ref.name
        if reference not in self.components:
            yield _graph_finding(
                join_path(path, "componentRef", "name"), f"there is no component {reference!r} in components."
            )
        else:
            yield from self._check_required_inputs(task, self.components[reference].input_definitions, path)
        if task.HasField("artifact_iterator"):
            message = (
                "no backend executes a loop over artifacts, and the server refuses to start a run; loop in a task."
            )
            yield Finding("KE103", join_path(path, "artifactIterator"), message)
        for index, name in enumerate(task.dependent_tasks):
            yield from self._check_producer(name, f"{join_path(path, 'dependentTasks')}[{index}]")
        yield from self._check_input_sources(task, "parameter", path)
        yield from self._check_input_sources(task, "artifact", path)
        for name in _CONDITION_INPUT.findall(task.trigger_policy.condition):
            if name not in task.inputs.parameters:
                message = f"the task has no input parameter {name!r}, {_RUN_FAILS}; add it to the inputs of the task."
                yield _graph_finding(join_path(path, "triggerPolicy", "condition"), message)

    def _check_required_inputs(
        self, task: PipelineTaskSpec, definitions: ComponentInputsSpec, path: str
    ) -> Iterator[Finding]:
        items = {task.parameter_iterator.item_input, task.artifact_iterator.item_input}
        for kind in ("parameters", "artifacts"):
            defined, passed = getattr(definitions, kind), getattr(task.inputs, kind)
            for name in sorted(set(defined) - set(passed) - items):
                optional = defined[name].is_optional or (
                    kind == "parameters" and defined[name].HasField("default_value")
                )
                if not optional:
                    needs = f"{task.component_ref.name} needs the input {kind[:-1]} {name!r}"
                    message = f"{needs}, {_RUN_FAILS}; give it a value."
                    yield _graph_finding(join_path(path, "inputs", kind), message)

    def _check_input_sources(self, task: PipelineTaskSpec, kind: str, path: str) -> Iterator[Finding]:
        """Check where a task's inputs come from; `kind` is parameter or artifact."""
        inputs, title = getattr(task.inputs, f"{kind}s"), kind.capitalize()
        for name in sorted(inputs):
            value, value_path = inputs[name], join_path(path, "inputs", f"{kind}s", name)
            source_kind = value.WhichOneof("kind")
            if source_kind == f"task_output_{kind}":
                output, output_path = getattr(value, source_kind), join_path(value_path, f"taskOutput{title}")
                yield from self._check_output(
                    f"{kind}s",
                    (output.producer_task, join_path(output_path, "producerTask")),
                    (getattr(output, f"output_{kind}_key"), join_path(output_path, f"output{title}Key")),
                )
            elif source_kind == f"component_input_{kind}":
                source_name = getattr(value, source_kind)
                if source_name not in getattr(self.inputs, f"{kind}s"):
                    message = self._no_input_message(kind, source_name)
                    yield _graph_finding(join_path(value_path, f"componentInput{title}"), message)
            elif source_kind == "task_final_status":
                producer = value.task_final_status.producer_task
                yield from self._check_producer(producer, join_path(value_path, "taskFinalStatus", "producerTask"))

    def _no_input_message(self, kind: str, name: str) -> str:
        if self.path.endswith("root.dag"):
            return f"the pipeline has no input {kind} {name!r}, {_RUN_FAILS}; correct the name, or give a value."
        remedy = "correct the name"
        if name.startswith(_CHANNEL):
            remedy = (
                "if it is the limit or request of a task in an ExitHandler, a condition or a loop, which kfp does not "
                f"hand on, call task.register_pipeline_channels([{name.removeprefix(_CHANNEL)}])"
            )
        return f"the component around it has no input {kind} {name!r}, {_RUN_FAILS}; {remedy}."

    def _check_dag_outputs(self) -> Iterator[Finding]:
        """Compare the outputs that the component declares with those that its tasks produce."""
        outputs = self.dag.outputs
        for kind in ("parameters", "artifacts"):
            defined, produced = getattr(self.outputs, kind), getattr(outputs, kind)
            for name in sorted(set(produced) ^ set(defined)):
                problem = (
                    "is not in outputDefinitions"
                    if name in produced
                    else "is in outputDefinitions but no task produces it"
                )
                yield _graph_finding(join_path(self.path, "outputs", kind, name), f"{problem}.")
        for name in sorted(outputs.parameters):
            path = join_path(self.path, "outputs", "parameters", name)
            for selector, selector_path in _parameter_selectors(outputs.parameters[name], path):
                yield from self._check_output(
                    "parameters",
                    (selector.producer_subtask, join_path(selector_path, "producerSubtask")),
                    (selector.output_parameter_key, join_path(selector_path, "outputParameterKey")),
                )
        for name in sorted(outputs.artifacts):
            path = join_path(self.path, "outputs", "artifacts", name, "artifactSelectors")
            for index, selector in enumerate(outputs.artifacts[name].artifact_selectors):
                yield from self._check_output(
                    "artifacts",
                    (selector.producer_subtask, join_path(f"{path}[{index}]", "producerSubtask")),
                    (selector.output_artifact_key, join_path(f"{path}[{index}]", "outputArtifactKey")),
                )

    def _check_producer(self, name: str, path: str) -> Iterator[Finding]:
        if name not in self.tasks:
            yield _graph_finding(path, f"there is no task {name!r} in {self.path}.tasks.")

    def _check_output(self, kind: str, producer: tuple[str, str], key: tuple[str, str]) -> Iterator[Finding]:
        """Check that a task of this graph has an output; `producer` and `key` are (name, path of the reference)."""
        task, path = producer
        if task not in self.tasks:
            yield from self._check_producer(task, path)
            return
        reference = self.tasks[task].component_ref.name
        name, path = key
        if reference in self.components and name not in getattr(self.components[reference].output_definitions, kind):
            yield _graph_finding(
                path,
                f"{reference}, which the task {task!r} runs, has no output {kind[:-1]} {name!r}, {_RUN_FAILS}; "
                "correct the name.",
            )


def _parameter_selectors(
    output: DagOutputsSpec.DagOutputParameterSpec, path: str
) -> Iterator[tuple[DagOutputsSpec.ParameterSelectorSpec, str]]:
    if output.WhichOneof("kind") == "value_from_parameter":
        yield output.value_from_parameter, join_path(path, "valueFromParameter")
    for index, selector in enumerate(output.value_from_oneof.parameter_selectors):
        yield selector, f"{join_path(path, 'valueFromOneof', 'parameterSelectors')}[{index}]"
