"""What a compiled pipeline says of itself: its parameters with their types, its stages, their reports."""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from kfp_edge.errors import KfpEdgeError

_TYPES = {
    "STRING": "text",
    "NUMBER_INTEGER": "a whole number",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": "a list",
    "STRUCT": "a mapping",
}


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
