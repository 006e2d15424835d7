"""What a compiled pipeline says of itself: its parameters with their types, its stages, their reports."""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import yaml

from kfp_edge.errors import KfpEdgeError
from kfp_edge.spec import compilation

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent

#: A pipeline of ours by name, a compiled one by its file, or a function with `@dsl.pipeline`.
PipelineLike = Union[str, Path, "BaseComponent"]

_TYPES = {
    "STRING": "text",
    "NUMBER_INTEGER": "a whole number",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": "a list",
    "STRUCT": "a mapping",
}


def text_of(pipeline: PipelineLike) -> str:
    """Return a pipeline as YAML, compiled or as its file has it; a text that ends in .yaml or .yml is a file, too.

    Raises:
        KfpEdgeError: there is no such pipeline or file, or a backend would refuse it.
    """
    if isinstance(pipeline, str) and pipeline.endswith((".yaml", ".yml")):
        pipeline = Path(pipeline)
    if isinstance(pipeline, Path):
        return _read(pipeline)
    return compilation.compile_text(compilation.load(pipeline) if isinstance(pipeline, str) else pipeline)


def _read(path: Path) -> str:
    from kfp_edge.spec.validation import validate_text  # loads the whole of KFP, and is needed for files only

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KfpEdgeError(f"cannot read the pipeline {path}: {error}.") from error
    report = validate_text(text)
    if not report.ok:
        finding = report.findings[0]
        where = f"{finding.path} " if finding.path else ""
        raise KfpEdgeError(f"a backend would refuse {path}: {where}{finding.message}")
    if "kind" in next(yaml.safe_load_all(text)):
        raise KfpEdgeError(f"{path} holds Kubernetes manifests, which go to a GitOps repository; give a pipeline.")
    return text


@dataclass(frozen=True)
class Stage:
    """A task that runs something: its name, and the kinds of its output artifacts by name."""

    name: str
    artifacts: Mapping[str, str]


class CompiledPipeline:
    """A compiled KFP v2 pipeline: the first document of its YAML."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._spec: dict[str, Any] = next(iter(yaml.safe_load_all(text)))

    @property
    def name(self) -> str:
        return str(self._spec["pipelineInfo"]["name"])

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """Name to {"parameterType", "defaultValue", ...}, as the pipeline spec has it."""
        found: dict[str, dict[str, Any]] = self._spec["root"].get("inputDefinitions", {}).get("parameters", {})
        return found

    @property
    def stages(self) -> list[Stage]:
        """Every task that runs a container, those of nested pipelines included, each after those it waits for."""
        return list(self._stages(self._spec["root"]["dag"]))

    def _stages(self, dag: dict[str, Any]) -> Iterator[Stage]:
        waiting = dict(dag["tasks"])
        while waiting:
            ready = [n for n, task in waiting.items() if not set(task.get("dependentTasks", ())) & waiting.keys()]
            for name in ready:
                component = self._spec["components"][waiting.pop(name)["componentRef"]["name"]]
                if "dag" in component:
                    yield from self._stages(component["dag"])
                    continue
                artifacts = component.get("outputDefinitions", {}).get("artifacts", {})
                yield Stage(name, {key: value["artifactType"]["schemaTitle"] for key, value in artifacts.items()})

    def check_local(self) -> None:
        """Refuse what `kfp.local` cannot run.

        Raises:
            KfpEdgeError: a task waits for a loop or for a condition, which `kfp.local` runs after all other tasks.
        """
        for component in (self._spec["root"], *self._spec["components"].values()):
            tasks = component.get("dag", {}).get("tasks", {})
            late = {name for name, task in tasks.items() if _is_late(task)}
            for name, task in tasks.items():
                if name not in late and (waits := late & set(task.get("dependentTasks", ()))):
                    raise KfpEdgeError(
                        f"the pipeline {self.name} cannot run on this machine: KFP's local runner starts {name} before "
                        f"{min(waits)}, for which it has to wait; run it on a cluster with `kfp-edge submit`."
                    )

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check arguments against the parameters; a text is read as the parameter's type asks.

        Raises:
            KfpEdgeError: an unknown parameter, a value of the wrong type, or a required one that is missing.
        """
        found = {name: self._argument(name, value) for name, value in given.items()}
        needed = [n for n, about in self.parameters.items() if not about.get("isOptional") and n not in found]
        if needed:
            raise KfpEdgeError(
                f"the pipeline {self.name} needs the parameter {needed[0]!r}; give -p {needed[0]}=VALUE."
            )
        return found

    def _argument(self, name: str, value: Any) -> Any:
        if name not in self.parameters:
            near = difflib.get_close_matches(name, self.parameters, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has: {', '.join(self.parameters)}."
            raise KfpEdgeError(f"the pipeline {self.name} has no parameter {name!r}; {hint}")
        wanted = self.parameters[name]["parameterType"]
        read = _yaml(name, value) if isinstance(value, str) and wanted != "STRING" else value
        if not _fits(read, wanted):
            raise KfpEdgeError(f"the parameter {name} wants {_TYPES[wanted]}, got {json.dumps(value, default=str)}.")
        if not _is_plain(read):
            raise KfpEdgeError(
                f"the parameter {name} holds something empty or a date: {read}; write {{name: value}}, texts in quotes."
            )
        return float(read) if wanted == "NUMBER_DOUBLE" else read


def _is_late(task: Mapping[str, Any]) -> bool:
    """Whether `kfp.local` 2.16 puts a task off until all others are done (`run_enhanced_dag`)."""
    return bool(
        {"parameterIterator", "artifactIterator"} & task.keys() or task.get("triggerPolicy", {}).get("condition")
    )


def _is_plain(value: Any) -> bool:
    """Whether a value has only what KFP has types for: YAML also knows null and dates, and keys that are no text."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(part) for key, part in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | float | bool)


def _yaml(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise KfpEdgeError(f"the parameter {name} is not valid YAML: {' '.join(str(error).split())}.") from error


def _fits(value: Any, wanted: str) -> bool:
    if wanted in ("NUMBER_INTEGER", "NUMBER_DOUBLE"):
        return isinstance(value, int if wanted == "NUMBER_INTEGER" else int | float) and not isinstance(value, bool)
    kinds = {"STRING": str, "BOOLEAN": bool, "LIST": list, "STRUCT": dict}
    return isinstance(value, kinds[wanted])
