"""Runs the graphs of a pipeline as a backend does; in place of the two functions of kfp.local for that.

Those of 2.16 stop at the first failure, so no exit task runs; they know no final status; they run a loop in a nested
pipeline or an exit handler once, without its items; and in a loop they replace what other tasks produced by the item.
Those of 2.17 know exit tasks, and evaluate conditions as Python code, which a quote in a text breaks.

The order is one after another along the dependencies, and a loop runs two of its iterations at the same time. After a
failure no further task starts, except tasks that run whatever happened before them: exit tasks, and those with
`ignore_upstream_failure`. After an interrupt none starts. A task whose condition is false does not run, nor does what
comes after it.
"""

import json
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kfp.dsl import Artifact
from kfp.local import executor_input_utils, graph_utils, importer_handler, task_dispatcher
from kfp.local.config import LocalRunnerType
from kfp.local.io import IOStore
from kfp.local.orchestrator import dag_orchestrator, enhanced_dag_orchestrator
from kfp.local.orchestrator.orchestrator_utils import OrchestratorUtils
from kfp.local.status import Status
from kfp.pipeline_spec.pipeline_spec_pb2 import ArtifactList, ComponentSpec, PipelineDeploymentConfig, PipelineTaskSpec

from kfp_edge.errors import PipelineError
from kfp_edge.local.conditions import choose_outputs, is_met
from kfp_edge.runtime.stage import LOG_PREFIX

#: Iterations of a loop that run at the same time, as in kfp.local: each of them may use the memory of a stage.
_PARALLEL_ITERATIONS = 2
#: The strategy of tasks that run whatever happened before them.
_ALWAYS = PipelineTaskSpec.TriggerPolicy.ALL_UPSTREAM_TASKS_COMPLETED
#: google.rpc.Code.UNKNOWN: a task has no error code, only a failure.
_UNKNOWN = 2

#: The output parameters and artifacts of a task by name; of a loop, lists of them.
Outputs = dict[str, Any]
#: An input of a task: a parameter value or an artifact.
Argument = Any


def install(is_interrupted: Callable[[], bool]) -> None:
    """Let kfp.local run its graphs with this module.

    Args:
        is_interrupted: Whether the run was interrupted, so that no further task may start.
    """

    def run_dag(
        *,
        pipeline_resource_name: str,
        dag_component_spec: ComponentSpec,
        dag_arguments: Mapping[str, Argument],
        fail_stack: list[str],
        **run: Any,
    ) -> tuple[Outputs, Status]:
        graphs = _GraphRunner(is_interrupted, fail_stack, **run)
        return graphs.run(dag_component_spec, dag_arguments, pipeline_resource_name)

    dag_orchestrator.run_dag = run_dag
    enhanced_dag_orchestrator.run_enhanced_dag = run_dag
    one_artifact = executor_input_utils.dsl_artifact_to_artifact_list

    def to_artifact_list(artifact: Artifact) -> ArtifactList:
        artifacts = artifact.artifacts if isinstance(artifact, _CollectedArtifacts) else [artifact]
        messages = [message for item in artifacts for message in one_artifact(item).artifacts]
        for message in messages:
            message.ClearField("type")  # a backend's driver sets none, and what a stage makes of that shows here, too
        return ArtifactList(artifacts=messages)

    executor_input_utils.dsl_artifact_to_artifact_list = to_artifact_list


class _CollectedArtifacts(Artifact):  # type: ignore[misc]  # kfp has no types
    """The artifacts that the iterations of a loop produced; for kfp.local an artifact like others."""

    def __init__(self, artifacts: list[Artifact]) -> None:
        super().__init__()
        self.artifacts = artifacts


@dataclass(frozen=True)
class _GraphRunner:
    """What all graphs of a run share.

    Attributes:
        fail_stack: the names of the first task that failed and of the graphs around it, innermost first.
        executors: what runs, by label.
        components: tasks refer to them by name.
        pipeline_root: the folder of the artifacts.
        runner: the runner of kfp.local.
        unique_pipeline_id: the ID of the run.
    """

    is_interrupted: Callable[[], bool]
    fail_stack: list[str]
    executors: Mapping[str, PipelineDeploymentConfig.ExecutorSpec]
    components: Mapping[str, ComponentSpec]
    pipeline_root: str
    runner: LocalRunnerType
    unique_pipeline_id: str

    def run(self, component: ComponentSpec, arguments: Mapping[str, Argument], folder: str) -> tuple[Outputs, Status]:
        """Run a graph.

        Args:
            component: The component that it implements.
            arguments: The inputs that are given; for the others the defaults apply.
            folder: The folder of its artifacts below the root; the name of the run, at the root of the pipeline.
        """
        store = IOStore()
        for name, value in OrchestratorUtils.join_user_inputs_and_defaults(
            dag_arguments=dict(arguments), dag_inputs_spec=component.input_definitions
        ).items():
            store.put_parent_input(name, value)
        tasks = component.dag.tasks
        states: dict[str, Status] = {}
        skipped: set[str] = set()
        for name in reversed(graph_utils.topological_sort_tasks(tasks)):
            task = tasks[name]
            if not self._may_start(task, states):
                continue
            try:
                if self._is_skipped(task, skipped, store):
                    skipped.add(name)
                    continue
                outputs, states[name] = self._run_task(name, _resolve_states(task, states, self, folder), store, folder)
            except PipelineError as error:  # of its condition
                print(LOG_PREFIX, json.dumps({"stage": name, "error": str(error)}), flush=True)
                outputs, states[name] = {}, Status.FAILURE
            if states[name] == Status.FAILURE and list(states.values()).count(Status.FAILURE) == 1:
                self.fail_stack.append(name)
            for key, output in outputs.items():
                store.put_task_output(name, key, output)
        if Status.FAILURE in states.values() or self.is_interrupted():
            return {}, Status.FAILURE
        return OrchestratorUtils.get_dag_outputs(choose_outputs(component.dag.outputs, skipped), store), Status.SUCCESS

    def _may_start(self, task: PipelineTaskSpec, states: Mapping[str, Status]) -> bool:
        if self.is_interrupted():
            return False
        if Status.FAILURE not in states.values():
            return True
        return task.trigger_policy.strategy == _ALWAYS and set(task.dependent_tasks) <= states.keys()

    def _is_skipped(self, task: PipelineTaskSpec, skipped: AbstractSet[str], store: IOStore) -> bool:
        """Return whether a task does not run, because its condition is false or it is behind a task that does not run.

        Exit tasks run all the same.
        """
        if task.trigger_policy.strategy == _ALWAYS:
            return False
        if not set(task.dependent_tasks).isdisjoint(skipped):
            return True
        condition = task.trigger_policy.condition
        if not condition:
            return False
        arguments = OrchestratorUtils.make_task_arguments(task.inputs, store)
        return not is_met(condition, {name: arguments[name] for name in task.inputs.parameters})

    def _run_task(self, name: str, task: PipelineTaskSpec, store: IOStore, folder: str) -> tuple[Outputs, Status]:
        component = self.components[task.component_ref.name]
        if component.WhichOneof("implementation") != "dag":
            return self._run_executor(task, _without_unset_inputs(component, task), store, folder)
        arguments = OrchestratorUtils.make_task_arguments(task.inputs, store)
        if task.WhichOneof("iterator") is None:
            return self.run(component, arguments, folder)
        return self._run_loop(task, component, arguments, f"{folder}/{name}")

    def _run_executor(
        self, task: PipelineTaskSpec, component: ComponentSpec, store: IOStore, folder: str
    ) -> tuple[Outputs, Status]:
        """Run an importer or a container.

        kfp.local has a function for this, which is elsewhere in 2.17 and also caches and retries there.
        """
        executor = self.executors[component.executor_label]
        arguments = {
            "pipeline_resource_name": folder,
            "component_name": task.component_ref.name,
            "component_spec": component,
            "executor_spec": executor,
            "arguments": OrchestratorUtils.make_task_arguments(task.inputs, store),
            "pipeline_root": self.pipeline_root,
            "unique_pipeline_id": self.unique_pipeline_id,
        }
        if executor.WhichOneof("spec") == "importer":
            outputs, status = importer_handler.run_importer(**arguments)
        else:
            outputs, status = task_dispatcher.run_single_task_implementation(
                **arguments, runner=self.runner, raise_on_error=False, block_input_artifact=False
            )
        return outputs, status

    def _run_loop(
        self, task: PipelineTaskSpec, component: ComponentSpec, arguments: Mapping[str, Argument], folder: str
    ) -> tuple[Outputs, Status]:
        """Run a graph for each item; return lists of its outputs in the order of the items."""
        item_input, items = _loop_items(task, arguments)

        def run_iteration(iteration: tuple[int, Argument]) -> tuple[Outputs, Status]:
            index, item = iteration
            return self.run(component, {**arguments, item_input: item}, f"{folder}-iteration-{index}")

        limit = task.iterator_policy.parallelism_limit or _PARALLEL_ITERATIONS
        with ThreadPoolExecutor(min(limit, _PARALLEL_ITERATIONS)) as threads:
            results = list(threads.map(run_iteration, enumerate(items)))
        if any(status == Status.FAILURE for _, status in results):
            return {}, Status.FAILURE
        definitions = component.output_definitions
        collected: Outputs = {name: [outputs[name] for outputs, _ in results] for name in definitions.parameters}
        for name in definitions.artifacts:
            collected[name] = _CollectedArtifacts([outputs[name] for outputs, _ in results])
        return collected, Status.SUCCESS


def _without_unset_inputs(component: ComponentSpec, task: PipelineTaskSpec) -> ComponentSpec:
    """Return a component without the optional inputs that a task does not set and that have no default.

    KFP would make each parameter a null, and fail on those of type int and on artifacts.
    """
    left = ComponentSpec()
    left.CopyFrom(component)
    for name, definition in component.input_definitions.parameters.items():
        if definition.is_optional and not definition.HasField("default_value") and name not in task.inputs.parameters:
            del left.input_definitions.parameters[name]
    for name, artifact in component.input_definitions.artifacts.items():
        if artifact.is_optional and name not in task.inputs.artifacts:
            del left.input_definitions.artifacts[name]
    return left


def _loop_items(task: PipelineTaskSpec, arguments: Mapping[str, Argument]) -> tuple[str, list[Argument]]:
    """Return the input that takes an item, and the items."""
    if task.HasField("artifact_iterator"):
        return task.artifact_iterator.item_input, arguments[task.artifact_iterator.items.input_artifact].artifacts
    iterator = task.parameter_iterator
    if iterator.items.WhichOneof("kind") == "raw":
        return iterator.item_input, json.loads(iterator.items.raw)
    return iterator.item_input, arguments[iterator.items.input_parameter]


def _resolve_states(
    task: PipelineTaskSpec, states: Mapping[str, Status], graphs: _GraphRunner, run_name: str
) -> PipelineTaskSpec:
    """Return a task whose inputs do not depend any more on how the tasks before it ended.

    A final status becomes its value; what a failed task would have produced is left out, so that the default applies.
    """
    resolved = PipelineTaskSpec()
    resolved.CopyFrom(task)
    for name, value in task.inputs.parameters.items():
        if value.HasField("task_final_status"):
            producer = value.task_final_status.producer_task
            failed = states[producer] == Status.FAILURE
            final_status = {
                "state": "FAILED" if failed else "SUCCEEDED",
                "pipelineJobResourceName": run_name,
                "pipelineTaskName": producer,
                "error": {"code": _UNKNOWN, "message": f"the task {graphs.fail_stack[0]} failed."} if failed else {},
            }
            resolved.inputs.parameters[name].runtime_value.constant.struct_value.update(final_status)
        elif states.get(value.task_output_parameter.producer_task) == Status.FAILURE:
            del resolved.inputs.parameters[name]
    for name, artifact in task.inputs.artifacts.items():
        if states.get(artifact.task_output_artifact.producer_task) == Status.FAILURE:
            del resolved.inputs.artifacts[name]
    return resolved
