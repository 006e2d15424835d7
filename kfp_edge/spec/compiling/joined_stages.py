"""Stages that share a pod: tasks of a compiled pipeline become one task, which runs them one after another.

On a cluster, a task takes two pods and some 20 s, whatever it does. What is joined keeps its stages, parameters and
artifacts; it loses a pod, and with it limits and retries, of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

from kfp_edge.errors import PipelineError
from kfp_edge.runtime.joined_stages import EXECUTOR_INPUT, SEPARATOR, TASK_INPUT, Source, StagePlan, write_plan
from kfp_edge.storage.files import JsonObject

#: Stages that may share a pod, because they need the same resources and trust each other with their secrets, by the
#: name of the task that they become. The stages that read data get no secret of those that deliver.
STAGE_GROUPS = {
    "train-and-verify": ("ingest", "train", "export", "verify"),
    "deliver": ("containerize", "staging-test", "release", "gitops-commit"),
}

_EXECUTOR_INPUT_PLACEHOLDER = "{{$}}"
#: Kinds of inputs with the fields of the pipeline spec that name an output of another task.
_OUTPUT_FIELDS = {
    "parameters": ("taskOutputParameter", "outputParameterKey"),
    "artifacts": ("taskOutputArtifact", "outputArtifactKey"),
}


def join_stages(spec: JsonObject, platform: JsonObject, groups: Mapping[str, Sequence[str]] = STAGE_GROUPS) -> None:
    """Change a pipeline so that stages that may share a pod are one task.

    Args:
        spec: The pipeline spec.
        platform: The platform spec; empty if there is none.
        groups: The stages that may share a pod, by the name of the task that they become.

    Raises:
        PipelineError: it has no such stages, or they cannot share a pod.
    """
    joined = 0
    for graph in [owner["dag"] for owner in (spec["root"], *spec["components"].values()) if "dag" in owner]:
        for name, stages in groups.items():
            members = [task for task in _sort_tasks(graph) if task in stages]
            if len(members) > 1:
                _Join(spec, platform, graph, name, members).apply()
                joined += 1
    if not joined:
        known = "; ".join(", ".join(stages) for stages in groups.values())
        raise PipelineError(
            f"the pipeline {spec['pipelineInfo']['name']} has no stages that can share a pod; these can: {known}."
        )


@dataclass(frozen=True)
class _Join:
    """One join: `members` of `graph`, in the order in which they run, become the task `name`."""

    spec: JsonObject
    platform: JsonObject
    graph: JsonObject
    name: str
    members: Sequence[str]

    def apply(self) -> None:
        """Change the pipeline."""
        tasks = self.graph["tasks"]
        self._check_nothing_runs_between()
        inputs = {kind: _InputNames(self._uses(kind)) for kind in _OUTPUT_FIELDS}
        plan = [self._plan(stage, inputs) for stage in self.members]
        label = _unused(f"exec-{self.name}", self._executors)
        component = _unused(f"comp-{self.name}", self.spec["components"])
        task = {
            "cachingOptions": self._caching(),
            "componentRef": {"name": component},
            "dependentTasks": sorted({name for stage in self.members for name in self._dependencies(stage)}),
            "inputs": {kind: names.sources for kind, names in inputs.items() if names.sources},
            "taskInfo": {"name": self.name},
        }
        self.spec["components"][component] = {
            "executorLabel": label,
            "inputDefinitions": {kind: names.definitions for kind, names in inputs.items() if names.definitions},
            "outputDefinitions": self._output_definitions(),
        }
        self._executors[label] = {"container": self._container(plan)}
        self._join_platform(label)
        for stage in self.members:
            del tasks[stage]
        tasks[self.name] = {key: value for key, value in task.items() if value or key == "cachingOptions"}
        self._redirect_consumers()
        self._remove_unused()

    @property
    def _executors(self) -> JsonObject:
        executors: JsonObject = self.spec["deploymentSpec"]["executors"]
        return executors

    def _component(self, stage: str) -> JsonObject:
        component: JsonObject = self.spec["components"][self.graph["tasks"][stage]["componentRef"]["name"]]
        if "executorLabel" not in component:
            raise PipelineError(f"{stage} is a pipeline of its own, and cannot share a pod; rename it.")
        return component

    def _check_nothing_runs_between(self) -> None:
        """Check that no other task waits for one of the stages while another one waits for it."""
        behind: set[str] = set()
        for name in _sort_tasks(self.graph):
            upstream = set(self.graph["tasks"][name].get("dependentTasks", ()))
            if name in self.members and upstream & behind:
                between = sorted(upstream & behind)[0]
                raise PipelineError(f"{', '.join(self.members)} cannot share a pod: {between} runs between them.")
            if name not in self.members and upstream & (behind | set(self.members)):
                behind.add(name)

    def _uses(self, kind: str) -> Iterator["_Use"]:
        """Return the inputs of one kind that the stages take from outside."""
        for stage in self.members:
            definitions = self._component(stage).get("inputDefinitions", {}).get(kind, {})
            sources = self.graph["tasks"][stage].get("inputs", {}).get(kind, {})
            for name in definitions.keys() | sources.keys():
                source = sources.get(name)
                if self._producer(kind, source) is None:
                    yield _Use(stage, name, source, definitions.get(name))

    def _producer(self, kind: str, source: JsonObject | None) -> Source | None:
        """Return the stage that an input comes from, None if it comes from outside."""
        output, key = _OUTPUT_FIELDS[kind]
        produced = (source or {}).get(output)
        if produced is None or produced["producerTask"] not in self.members:
            return None
        return produced["producerTask"], produced[key]

    def _plan(self, stage: str, inputs: Mapping[str, "_InputNames"]) -> StagePlan:
        task = self.graph["tasks"][stage]
        container = self._executors[self._component(stage)["executorLabel"]]["container"]
        command = [*container.get("command", ()), *container.get("args", ())]
        if any("{{$" in part.replace(_EXECUTOR_INPUT_PLACEHOLDER, "") for part in command):
            raise PipelineError(f"the command of {stage} has placeholders; only Python components can share a pod.")
        return StagePlan(
            stage,
            [EXECUTOR_INPUT if part == _EXECUTOR_INPUT_PLACEHOLDER else part for part in command],
            parameters=self._plan_inputs(stage, "parameters", inputs),
            artifacts=self._plan_inputs(stage, "artifacts", inputs),
            waits=_retry_waits(task.get("retryPolicy", {})),
        )

    def _plan_inputs(self, stage: str, kind: str, inputs: Mapping[str, "_InputNames"]) -> dict[str, Source]:
        outside = {name: (TASK_INPUT, given) for (user, name), given in inputs[kind].names.items() if user == stage}
        sources = self.graph["tasks"][stage].get("inputs", {}).get(kind, {})
        inside = {name: producer for name, source in sources.items() if (producer := self._producer(kind, source))}
        return dict(sorted((outside | inside).items()))

    def _caching(self) -> JsonObject:
        options: list[JsonObject] = [self.graph["tasks"][stage].get("cachingOptions", {}) for stage in self.members]
        return options[0] if all(option.get("enableCache") for option in options) else {}

    def _dependencies(self, stage: str) -> set[str]:
        return set(self.graph["tasks"][stage].get("dependentTasks", ())) - set(self.members)

    def _output_definitions(self) -> JsonObject:
        definitions: JsonObject = {}
        for stage in self.members:
            for kind, outputs in self._component(stage).get("outputDefinitions", {}).items():
                for name, output in outputs.items():
                    definitions.setdefault(kind, {})[f"{stage}{SEPARATOR}{name}"] = output
        return definitions

    def _container(self, plan: list[StagePlan]) -> JsonObject:
        containers = [self._executors[self._component(stage)["executorLabel"]]["container"] for stage in self.members]
        kept = [{key: value for key, value in each.items() if key not in ("command", "args")} for each in containers]
        for stage, container in zip(self.members, kept, strict=True):
            if container != kept[0]:
                raise PipelineError(
                    f"{self.members[0]} and {stage} cannot share a pod: they differ in image, resources or environment."
                )
        command = ["python3", "-m", "kfp_edge.runtime.joined_stages"]
        return {**kept[0], "command": command, "args": [write_plan(plan), _EXECUTOR_INPUT_PLACEHOLDER]}

    def _join_platform(self, label: str) -> None:
        """Give the pod what the pods of the stages have: Secrets, volumes, nodes and labels."""
        executors = self.platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors")
        if executors is None:
            return
        joined: JsonObject = {}
        for stage in self.members:
            for key, value in executors.get(self._component(stage)["executorLabel"], {}).items():
                if isinstance(value, list):
                    joined[key] = joined.get(key, []) + [item for item in value if item not in joined.get(key, [])]
                elif joined.setdefault(key, value) != value:
                    raise PipelineError(f"{stage} cannot share a pod with the stages before it: {key} differs.")
        executors[label] = joined

    def _redirect_consumers(self) -> None:
        """Let what took an output of a stage take it from the joined task."""
        for task in self.graph["tasks"].values():
            if set(task.get("dependentTasks", ())) & set(self.members):
                others = set(task["dependentTasks"]) - set(self.members)
                task["dependentTasks"] = sorted({*others, self.name})
            for kind, (output, key) in _OUTPUT_FIELDS.items():
                for source in task.get("inputs", {}).get(kind, {}).values():
                    if output in source:
                        self._redirect(source[output], "producerTask", key)
        for selector, key in _output_selectors(self.graph.get("outputs", {})):
            self._redirect(selector, "producerSubtask", key)

    def _redirect(self, reference: JsonObject, producer: str, key: str) -> None:
        if reference[producer] in self.members:
            reference[key] = f"{reference[producer]}{SEPARATOR}{reference[key]}"
            reference[producer] = self.name

    def _remove_unused(self) -> None:
        """Remove the components and executors that no task uses any more."""
        components = self.spec["components"]
        graphs = [owner["dag"] for owner in (self.spec["root"], *components.values()) if "dag" in owner]
        used = {task["componentRef"]["name"] for graph in graphs for task in graph["tasks"].values()}
        for name in components.keys() - used:
            label = components.pop(name).get("executorLabel")
            self._executors.pop(label, None)
            platforms = self.platform.get("platforms", {})
            for platform in platforms.values():
                platform["deploymentSpec"]["executors"].pop(label, None)


@dataclass(frozen=True)
class _Use:
    """An input that a stage takes from outside: where from, None if the default applies, and its definition.

    A task has inputs without a definition where only its resources refer to them.
    """

    stage: str
    name: str
    source: JsonObject | None
    definition: JsonObject | None

    def is_like(self, other: "_Use") -> bool:
        """Whether both always have the same value."""
        return self.source == other.source and _without_text(self.definition) == _without_text(other.definition)


class _InputNames:
    """The inputs of the joined task: one for all stages that have it under the same name with the same value.

    Attributes:
        names: The input of the task by stage and name there.
        sources: Where each of them comes from, as the task states it.
        definitions: Their definitions.
    """

    def __init__(self, uses: Iterator[_Use]) -> None:
        self.names: dict[tuple[str, str], str] = {}
        self.sources: JsonObject = {}
        self.definitions: JsonObject = {}
        first: dict[str, _Use] = {}
        for use in uses:
            is_shared = first.setdefault(use.name, use).is_like(use)
            name = use.name if is_shared else f"{use.stage}{SEPARATOR}{use.name}"
            self.names[use.stage, use.name] = name
            if use.source is not None:
                self.sources[name] = use.source
            if use.definition is not None:
                self.definitions[name] = use.definition


def _without_text(definition: JsonObject | None) -> JsonObject:
    return {key: value for key, value in (definition or {}).items() if key != "description"}


def _sort_tasks(graph: JsonObject) -> list[str]:
    """Return the names of the tasks, each after those that it waits for."""
    tasks = graph["tasks"]
    sorter = TopologicalSorter({name: sorted(tasks[name].get("dependentTasks", ())) for name in sorted(tasks)})
    return list(sorter.static_order())


def _retry_waits(policy: Mapping[str, Any]) -> list[float]:
    """Return the seconds before each retry of a policy of the pipeline spec."""
    first, longest = (
        float(policy.get(name, default).removesuffix("s"))
        for name, default in (("backoffDuration", "0s"), ("backoffMaxDuration", "3600s"))
    )
    factor = policy.get("backoffFactor", 2.0)
    return [min(first * factor**number, longest) for number in range(policy.get("maxRetryCount", 0))]


def _output_selectors(outputs: Mapping[str, Any]) -> Iterator[tuple[JsonObject, str]]:
    """Return what refers to an output of a task in the outputs of a graph, with the field of its key."""
    for output in outputs.get("artifacts", {}).values():
        for selector in output["artifactSelectors"]:
            yield selector, "outputArtifactKey"
    for output in outputs.get("parameters", {}).values():
        if "valueFromParameter" in output:
            yield output["valueFromParameter"], "outputParameterKey"
        for selector in output.get("valueFromOneof", {}).get("parameterSelectors", ()):
            yield selector, "outputParameterKey"


def _unused(name: str, used: Mapping[str, Any]) -> str:
    """Return the name, with a number where it is in use, as KFP does."""
    names = (name, *(f"{name}-{number}" for number in range(2, len(used) + 3)))
    return next(each for each in names if each not in used)
